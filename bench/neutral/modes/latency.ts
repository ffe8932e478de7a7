import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Loaded } from '../load.ts'
import { judge, type Read, readBack } from '../log.ts'
import { type Bench, Place, pause } from '../place.ts'
import { now, Relay } from '../relay.ts'
import { quantile, type Result, round } from '../result.ts'

/** Messages that warm the relay up have numbers from here on. */
const warmFrom = 1e9
const warm = 500

/** One message a transaction beside the running relay: from the end of the commit to the append. Rate 0: 24 writers, each as fast as it can. */
export async function latency(bench: Bench, { rate, seconds }: { rate: number; seconds: number }): Promise<Result> {
  const { adapter } = bench
  await using place = await Place.create(bench)
  await place.preload({ n: warm, keys: 100, first: warmFrom, salt: 'warm-' })
  await place.settle()
  await using relay = new Relay(adapter, place.context)
  const warmed = await place.drained(() => relay, warm, 60_000)
  const idle = await idleCosts(place, relay)
  const { cpuMs } = relay.costs()
  const loaded = await load(bench, place, { rate, seconds })
  const n = rate > 0 ? rate * seconds : loaded.commits.length
  const ok = warmed === true ? await place.drained(() => relay, warm + n, 60_000) : warmed
  const costs = relay.costs()
  await relay[Symbol.asyncDispose]()
  const rows = (await readBack(adapter, place.context)).filter(({ i }) => i < warmFrom)
  const { records, lost, dup, order } = judge(rows, n)
  const took = latencies(rows, loaded)
  const p50 = (values: number[]) => round(quantile([...values].sort(ascending), 0.5) ?? 0, 2)
  return {
    ok,
    rate,
    n,
    p50: round(quantile(took, 0.5) ?? 0, 1),
    p99: round(quantile(took, 0.99) ?? 0, 1),
    max: round(took.at(-1) ?? 0, 1),
    insertP50: p50(loaded.commits.map(([, , tookMs]) => tookMs)),
    lateP50: p50(loaded.commits.map(([, , , lateMs]) => lateMs)),
    achieved: round(n / loaded.seconds),
    cpuUsPerMsg: round(((costs.cpuMs - cpuMs) * 1_000) / n),
    rssMb: costs.rssMb,
    ...idle,
    records,
    lost,
    dup,
    order,
  }
}

const ascending = (a: number, b: number): number => a - b

/** Milliseconds from the commit to the first append of each message, sorted. The broker's clock has whole milliseconds. */
function latencies(rows: readonly Read[], { commits }: Loaded): number[] {
  const committed = new Map(commits.map(([i, at]) => [i, at]))
  const first = new Map<number, number>()
  for (const { i, at } of rows) if (!first.has(i)) first.set(i, at)
  return [...first].flatMap(([i, at]) => (committed.has(i) ? [at - committed.get(i)!] : [])).sort(ascending)
}

/** CPU and transactions of a relay that has nothing to do, for ten seconds. */
async function idleCosts(place: Place, relay: Relay): Promise<{ idleCpuPct: number; idleTxPerSec: number }> {
  await pause(2_000)
  const [transactions, cpu, began] = [await place.transactions(), relay.costs().cpuMs, now()]
  await pause(10_000)
  const idleCpuPct = round(((relay.costs().cpuMs - cpu) / (now() - began)) * 100, 1)
  // PostgreSQL tells its statistics up to a second late.
  await pause(1_200)
  const idleTxPerSec = round(((await place.transactions()) - transactions) / ((now() - began) / 1_000), 1)
  return { idleCpuPct, idleTxPerSec }
}

/** The writers, in a process of their own. */
async function load(bench: Bench, { context }: Place, work: { rate: number; seconds: number }): Promise<Loaded> {
  const out = join(context.folder, `${context.id}.load.json`)
  const told = JSON.stringify({ ...work, context, adapter: bench.adapterFile, out })
  const program = fileURLToPath(new URL('../load.ts', import.meta.url))
  const child = spawn(process.execPath, ['--import', 'tsx', program], {
    stdio: 'inherit',
    env: { ...process.env, BENCH_LOAD: told },
  })
  const [code] = await once(child, 'exit')
  if (code !== 0) throw new Error(`The writers ended with ${code}.`)
  return JSON.parse(readFileSync(out, 'utf8')) as Loaded
}
