import { setTimeout as sleep } from 'node:timers/promises'
import { type LogRecord, readTopic } from '../test/support/topics.ts'
import type { Backlog } from './backlog.ts'
import { type Contender, start } from './contenders.ts'
import type { Measured } from './figures.ts'
import { Ground } from './ground.ts'
import type { Bench } from './mode.ts'
import type { Program } from './program.ts'

/** Milliseconds between two looks at the topic. */
const lookMs = 100

/** Puts a backlog there, starts the contender, and measures until everything is published and deleted. */
export async function drain(
  bench: Bench,
  contender: Contender,
  backlog: Backlog,
  { partitions }: { partitions?: number } = {},
): Promise<Measured> {
  await using ground = await Ground.prepare(bench, contender.schema, partitions)
  await contender.preload(ground, backlog)
  await ground.settle()
  const wal = await ground.walPosition()
  await using program = start(contender, ground, bench.options.transport, backlog)
  await program.line(contender.begins)
  const cpu = program.cpuMicros()
  await drained(ground, contender, backlog.messages, [program])
  const costs = {
    cpuMicros: (program.cpuMicros() - cpu) / backlog.messages,
    peakMiB: program.peakMiB(),
    ...(contender.waiting ? { walBytes: ((await ground.walPosition()) - wal) / backlog.messages } : {}),
  }
  if (backlog.orders) Object.assign(costs, { topicBytes: (await ground.topicBytes()) / backlog.messages })
  if (contender.wrote !== undefined) await program.line(contender.wrote)
  if (!contender.records) return { ...JSON.parse(await program.line('perSecond')), ...costs }
  return { perSecond: ratePerSecond(complete(await readTopic(ground.topic, ground.brokers), backlog)), ...costs }
}

/** Resolves when the topic holds so many records and nothing waits in the database. */
export async function drained(
  ground: Ground,
  contender: Contender,
  messages: number,
  programs: readonly Program[],
): Promise<void> {
  const { waiting } = contender
  const isEmpty = async () => (await ground.number(`SELECT count(*) FROM (SELECT FROM ${waiting} LIMIT 1) AS waiting`)) === 0
  for (;;) {
    if (programs.some((program) => program.ended)) throw new Error('A contender ended before its work was done.')
    const published = !contender.records || (await ground.records()) >= messages
    if (published && (!waiting || (await isEmpty()))) return
    await sleep(lookMs)
  }
}

/** Resolves, with the time, when the first records are in the topic. */
export async function filling(ground: Ground, programs: readonly Program[]): Promise<number> {
  while ((await ground.records()) === 0) {
    if (programs.some((program) => program.ended)) throw new Error('A contender ended before its work was done.')
    await sleep(lookMs)
  }
  return performance.now()
}

/** The records, if each message of the backlog is among them: a rate of messages that were lost counts nothing. */
export function complete(records: LogRecord[], { messages, from = 0 }: Backlog): LogRecord[] {
  const seen = new Set(records.map(({ value }) => (JSON.parse(String(value)) as { n: number }).n))
  for (let n = from; n < from + messages; n++) if (!seen.has(n)) throw new Error(`Message ${n} is not in the topic.`)
  return records
}

/** From the first append to the last, by the broker's clock. */
export function ratePerSecond(records: readonly LogRecord[]): number {
  const [first, last] = records.reduce(
    ([least, most], { timestamp }) => [Math.min(least, timestamp), Math.max(most, timestamp)],
    [Number.POSITIVE_INFINITY, 0],
  )
  return (records.length / Math.max(1, last - first)) * 1_000
}
