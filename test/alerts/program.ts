import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { buildIfStale } from '../support/build.ts'
import { faults } from './faults.ts'
import { type Ground, prepareGround } from './ground.ts'
import { type Pager, startPager } from './pager.ts'
import { shorten } from './shorten.ts'
import { tryFault } from './try-fault.ts'

/**
 * `npm run alerts [-- --silent MINUTES]`: each alert of ops/alerts.yml fires on the fault that it is for, and no other does, with real servers,
 * real relays and a real Prometheus. Without faults, for so many minutes, none may fire. Durations of the rules are a thirtieth.
 */
const rules = readFileSync(fileURLToPath(new URL('../../ops/alerts.yml', import.meta.url)), 'utf8')
const [flag, minutes] = process.argv.slice(2)
if (flag !== undefined && (flag !== '--silent' || !(Number(minutes) > 0))) {
  console.error('npm run alerts [-- --silent MINUTES]')
  process.exit(2)
}

await buildIfStale()
const ground = await prepareGround()
const pager = await startPager(shorten(rules), ground.ports)
try {
  const wrong = flag === '--silent' ? await silent(pager, Number(minutes)) : await everyFault(ground, pager)
  for (const line of wrong) console.log(`WRONG: ${line}`)
  console.log(
    wrong.length === 0
      ? flag === '--silent'
        ? 'No alert fired.'
        : 'Every alert fired on what it is for.'
      : `${wrong.length} things are wrong.`,
  )
  process.exitCode = wrong.length === 0 ? 0 : 1
} finally {
  await pager.stop()
  await ground.close()
}
// Left to end on its own, Node 20 turns forever while it cleans up (Environment::CleanupHandles), with nothing left to wait for.
process.exit()

/** Names of what fired though nothing was wrong. */
async function silent(pager: Pager, minutes: number): Promise<string[]> {
  const start = performance.now()
  await pager.until((firing) => firing.length > 0, AbortSignal.timeout(minutes * 60_000))
  const { rows } = await ground.pool.query(
    "SELECT count(*)::int AS waiting, nextval('outbox_id_seq')::int AS enqueued FROM outbox",
  )
  const seconds = Math.round((performance.now() - start) / 1_000)
  console.log(`${seconds} s without a fault, ${rows[0].enqueued} messages, ${rows[0].waiting} of them waiting.`)
  return pager.firing().map((name) => `${name} fired without a fault`)
}

async function everyFault(ground: Ground, pager: Pager): Promise<string[]> {
  const wrong: string[] = []
  for (const fault of faults) wrong.push(...(await tryFault(fault, ground, pager, console.log)))
  return wrong
}
