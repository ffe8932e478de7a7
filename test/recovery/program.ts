import { parseArgs } from 'node:util'
import { buildIfStale } from '../support/build.ts'
import { Ground, measureRecovery } from './recovery.ts'
import { TroubleGround } from './trouble.ts'

/**
 * `npm run recovery [-- --repetitions N --lease MS]`: how long messages stand still after a relay was killed, and after PostgreSQL or the
 * broker came back. Ends with 1 if a limit is broken.
 *
 * `npm run recovery -- --trouble [--relays N --stuck ROWS --messages N --repetitions N]`: the rate of healthy messages while one topic,
 * broker, partition or row is in trouble, beside the undisturbed rate. Ends with 1 if a ratio is below {@link leastRatio}.
 */
const { values } = parseArgs({
  options: {
    repetitions: { type: 'string' },
    lease: { type: 'string', default: '10000' },
    trouble: { type: 'boolean', default: false },
    relays: { type: 'string', default: '1,2' },
    stuck: { type: 'string', default: '20000' },
    messages: { type: 'string', default: '200000' },
  },
})

/** What the promise "only its key waits" leaves to the others, as a part of their undisturbed rate. */
const leastRatio = 0.9

const medianOf = (all: readonly number[]): number => all.toSorted((a, b) => a - b)[all.length >> 1]!

await buildIfStale()
process.exit((values.trouble ? await trouble() : await recovery()) ? 0 : 1)

async function recovery(): Promise<boolean> {
  const ground = await Ground.start(Number(values.lease))
  const results = await measureRecovery(ground, Number(values.repetitions ?? 5), console.log)
  await ground[Symbol.asyncDispose]()
  console.log(`\n${'fault'.padEnd(30)}${'median'.padEnd(12)}${'slowest'.padEnd(12)}limit`)
  let kept = true
  for (const { fault, ms, limitMs } of results) {
    const slowest = Math.max(...ms)
    kept &&= slowest <= limitMs
    const verdict = slowest <= limitMs ? '' : '  BROKEN'
    console.log(`${fault.padEnd(30)}${`${medianOf(ms)} ms`.padEnd(12)}${`${slowest} ms`.padEnd(12)}${limitMs} ms${verdict}`)
  }
  return kept
}

async function trouble(): Promise<boolean> {
  const repetitions = Number(values.repetitions ?? 3)
  const options = { stuck: Number(values.stuck), messages: Number(values.messages), repetitions }
  const lines: string[] = []
  let kept = true
  for (const relays of values.relays.split(',').map(Number)) {
    const ground = await TroubleGround.start({ ...options, relays })
    const results = await ground.measure((line) => console.log(`relays ${relays}, ${line}`))
    await ground[Symbol.asyncDispose]()
    for (const { trouble, undisturbed, beside } of results) {
      const ratio = medianOf(beside) / medianOf(undisturbed)
      kept &&= ratio >= leastRatio
      const cells = [trouble, relays, medianOf(undisturbed), medianOf(beside), ratio.toFixed(2)]
      lines.push(cells.map((cell) => String(cell).padEnd(14)).join('') + (ratio >= leastRatio ? '' : 'BROKEN'))
    }
  }
  console.log(`\n${['trouble', 'relays', 'undisturbed/s', 'beside it/s', 'ratio'].map((head) => head.padEnd(14)).join('')}`)
  for (const line of lines) console.log(line)
  return kept
}
