import pg from 'pg'
import { judge, type Read, readBack } from '../log.ts'
import { type Bench, Place, pause } from '../place.ts'
import { now, Relay } from '../relay.ts'
import { type Result, round } from '../result.ts'

const rounds = 5

/** Five backlogs, one after the other; with `hold`, while an open snapshot keeps every deleted row from being removed. */
export async function fiveRounds(bench: Bench, { n, keys, hold }: { n: number; keys: number; hold: boolean }): Promise<Result> {
  await using place = await Place.create(bench)
  await using _snapshot = hold ? await snapshot(place.context.databaseUrl) : undefined
  await place.settle()
  await using relay = new Relay(bench.adapter, place.context)
  await pause(1_500)
  const until = now() + bench.options.timeoutMs
  let ok: true | string = true
  for (let r = 0; r < rounds && ok === true; r++) {
    await place.preload({ n, keys, first: r * n, salt: `${r}-` })
    ok = await place.drained(() => relay, (r + 1) * n, until - now())
  }
  const { cpuMs, rssMb } = relay.costs()
  await relay[Symbol.asyncDispose]()
  const rows = await readBack(bench.adapter, place.context)
  const { first, last, ...verdict } = judge(rows, rounds * n)
  const perSec = Array.from({ length: rounds }, (_, r) => rate(rows.filter(({ i }) => Math.floor(i / n) === r)))
  return { ok, rounds, n, perSec, cpuUsPerMsg: round((cpuMs * 1_000) / Math.max(1, verdict.records)), rssMb, ...verdict }
}

/** Records a second, from the first to the last. */
function rate(rows: readonly Read[]): number | null {
  const [first, last] = rows.reduce(([low, high], { at }) => [Math.min(low, at), Math.max(high, at)], [Infinity, 0])
  return rows.length === 0 ? null : round(rows.length / ((last - first) / 1_000))
}

async function snapshot(url: string): Promise<AsyncDisposable> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SELECT 1')
  return { [Symbol.asyncDispose]: () => client.end() }
}
