import { setTimeout as sleep } from 'node:timers/promises'
import { readTopic } from '../../test/support/topics.ts'
import { contenders, start } from '../contenders.ts'
import { complete, drained, ratePerSecond } from '../drain.ts'
import type { Measured } from '../figures.ts'
import { Ground } from '../ground.ts'
import type { Mode } from '../mode.ts'
import type { Program } from '../program.ts'

/** The same backlog with one relay, with two, and with three. */
export const scaleMode: Mode<{ name: string; messages: number }> = {
  cases: ({ messages = 100_000 }) => [{ name: `${messages} messages`, messages }],
  contenders: ['1 relay', '2 relays', '3 relays'],
  ratios: {
    figure: 'perSecond',
    pairs: [
      ['2 relays', '1 relay'],
      ['3 relays', '1 relay'],
    ],
  },
  measure: async (bench, name, { messages }) => {
    await using ground = await Ground.prepare(bench, contenders.relay.schema)
    const count = Number.parseInt(name, 10)
    const programs = Array.from({ length: count }, () => start(contenders.relay, ground, bench.options.transport))
    try {
      await shared(ground, count)
      return await together(ground, programs, messages)
    } finally {
      await Promise.all(programs.map((program) => program[Symbol.asyncDispose]()))
    }
  },
}

/** Resolves when the relays have divided the 64 buckets among them. */
async function shared(ground: Ground, count: number): Promise<void> {
  const sql =
    'SELECT min(n) * (count(*) = $1)::int FROM (SELECT count(*) AS n FROM outbox_lease WHERE owner IS NOT NULL GROUP BY owner) AS share'
  while ((await ground.number(sql, [count])) < 64 - Math.ceil(64 / count) * (count - 1)) await sleep(100)
}

async function together(ground: Ground, programs: readonly Program[], messages: number): Promise<Measured> {
  const cpu = programs.map((program) => program.cpuMicros())
  await contenders.relay.preload(ground, { messages, keys: 10_000 })
  await drained(ground, contenders.relay, messages, programs)
  const used = programs.reduce((sum, program, index) => sum + program.cpuMicros() - cpu[index]!, 0)
  const records = complete(await readTopic(ground.topic, ground.brokers), { messages, keys: 0 })
  const peakMiB = Math.max(...programs.map((program) => program.peakMiB()))
  return { perSecond: ratePerSecond(records), cpuMicros: used / messages, peakMiB }
}
