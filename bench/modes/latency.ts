import { readTopic } from '../../test/support/topics.ts'
import { load } from '../application.ts'
import { contenderOf, start } from '../contenders.ts'
import { complete, drained } from '../drain.ts'
import { type Measured, percentile } from '../figures.ts'
import { Ground } from '../ground.ts'
import type { Bench, Mode } from '../mode.ts'
import type { Loaded } from '../programs/load.ts'

interface Case {
  name: string
  rate: number
  seconds: number
}

/** From the commit to the broker's append, one message a transaction at a steady rate. `kafka-only`: the application sends itself. */
export const latencyMode: Mode<Case> = {
  cases: ({ rate: only, seconds = 15 }) =>
    (only ? [only] : [200, 1_000]).map((rate) => ({ name: `${rate} transactions/s`, rate, seconds })),
  contenders: ['relay', 'naive', 'kafka-only'],
  ratios: {
    figure: 'p50Ms',
    beside: 'p99Ms',
    pairs: [
      ['relay', 'naive'],
      ['relay', 'kafka-only'],
    ],
  },
  measure: (bench, contender, of) => (contender === 'kafka-only' ? sendItself(bench, of) : relayed(bench, contender, of)),
}

async function relayed(bench: Bench, name: string, { rate, seconds }: Case): Promise<Measured> {
  const { transport } = bench.options
  const contender = contenderOf(name)
  await using ground = await Ground.prepare(bench, contender.schema)
  await using program = start(contender, ground, transport)
  await program.line(contender.begins)
  // What is done once, for the first message, is no part of the latency of the others.
  await contender.preload(ground, { messages: 1_000, keys: 1_000, from: warmFrom })
  await drained(ground, contender, 1_000, [program])
  const cpu = program.cpuMicros()
  const loaded = await load(ground, transport, { rate, seconds, way: contender.way })
  await drained(ground, contender, 1_000 + loaded.commits.length, [program])
  const cpuMicros = (program.cpuMicros() - cpu) / loaded.commits.length
  return { ...(await latencies(ground, loaded)), cpuMicros, peakMiB: program.peakMiB() }
}

/** Numbers of the messages before the measured ones. */
const warmFrom = 1_000_000_000

async function sendItself(bench: Bench, { rate, seconds }: Case): Promise<Measured> {
  await using ground = await Ground.prepare(bench, '')
  return await latencies(ground, await load(ground, bench.options.transport, { rate, seconds, way: 'send' }))
}

/** Both clocks are the machine's; the broker's counts whole milliseconds, so that half of one is added. */
async function latencies({ topic, brokers }: Ground, { commits, seconds }: Loaded): Promise<Measured> {
  const records = complete(await readTopic(topic, brokers), { messages: commits.length, keys: 0 })
  const appended = new Map<number, number>()
  for (const { value, timestamp } of records) {
    const { n } = JSON.parse(String(value)) as { n: number }
    appended.set(n, Math.min(timestamp, appended.get(n) ?? timestamp))
  }
  const waits = commits.map(([n, at]) => appended.get(n)! + 0.5 - at)
  return {
    p50Ms: percentile(waits, 0.5),
    p99Ms: percentile(waits, 0.99),
    mostMs: Math.max(...waits),
    commitsPerSecond: commits.length / seconds,
  }
}
