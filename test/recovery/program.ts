import { parseArgs } from 'node:util'
import { buildIfStale } from '../support/build.ts'
import { Ground, measureRecovery } from './recovery.ts'

/**
 * `npm run recovery [-- --repetitions N --lease MS]`: how long messages stand still after a relay was killed, and after PostgreSQL or the
 * broker came back. Ends with 1 where a limit is broken.
 */
const { values } = parseArgs({
  options: { repetitions: { type: 'string', default: '5' }, lease: { type: 'string', default: '10000' } },
})
await buildIfStale()
const ground = await Ground.start(Number(values.lease))
const results = await measureRecovery(ground, Number(values.repetitions), console.log)
await ground[Symbol.asyncDispose]()
console.log(`\n${'fault'.padEnd(30)}${'median'.padEnd(12)}${'slowest'.padEnd(12)}limit`)
let kept = true
for (const { fault, ms, limitMs } of results) {
  const sorted = ms.toSorted((a, b) => a - b)
  const slowest = sorted.at(-1)!
  kept &&= slowest <= limitMs
  const median = sorted[sorted.length >> 1]!
  const verdict = slowest <= limitMs ? '' : '  BROKEN'
  console.log(`${fault.padEnd(30)}${`${median} ms`.padEnd(12)}${`${slowest} ms`.padEnd(12)}${limitMs} ms${verdict}`)
}
process.exit(kept ? 0 : 1)
