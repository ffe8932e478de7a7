import { readTopic } from '../../test/support/topics.ts'
import { contenderOf, start } from '../contenders.ts'
import { complete, drained, ratePerSecond } from '../drain.ts'
import type { Measured } from '../figures.ts'
import { Ground } from '../ground.ts'
import type { Bench, Mode } from '../mode.ts'

interface Case {
  name: string
  messages: number
  /** Whether a transaction with a snapshot stays open, so that no dead row can be removed. */
  held: boolean
}

const rounds = 5

/** Five backlogs, one after the other, while an idle transaction keeps every deleted row from being removed; and without it. */
export const xminMode: Mode<Case> = {
  cases: ({ messages = 20_000 }) => [
    { name: `${rounds} rounds of ${messages}, a snapshot held open`, messages, held: true },
    { name: `${rounds} rounds of ${messages}, none held`, messages, held: false },
  ],
  contenders: ['relay', 'naive'],
  ratios: { figure: 'lastPerSecond', pairs: [['relay', 'naive']] },
  measure: async (bench, contender, of) => {
    const { schema } = contenderOf(contender)
    await using ground = await Ground.prepare(bench, schema)
    const holder = await ground.pool.connect()
    try {
      if (of.held) await holder.query('BEGIN ISOLATION LEVEL REPEATABLE READ')
      await holder.query('SELECT 1')
      return await inRounds(bench, ground, contender, of)
    } finally {
      holder.release(true)
    }
  },
}

async function inRounds(bench: Bench, ground: Ground, name: string, { messages }: Case): Promise<Measured> {
  const contender = contenderOf(name)
  await using program = start(contender, ground, bench.options.transport)
  await program.line(contender.begins)
  const cpu = program.cpuMicros()
  for (let round = 0; round < rounds; round++) {
    await contender.preload(ground, { messages, keys: 10_000, from: round * messages })
    await drained(ground, contender, (round + 1) * messages, [program])
  }
  const cpuMicros = (program.cpuMicros() - cpu) / (rounds * messages)
  const records = complete(await readTopic(ground.topic, ground.brokers), { messages: rounds * messages, keys: 0 })
  const ofRound = (round: number) =>
    ratePerSecond(records.filter(({ value }) => Math.floor((JSON.parse(String(value)) as { n: number }).n / messages) === round))
  return { firstPerSecond: ofRound(0), lastPerSecond: ofRound(rounds - 1), cpuMicros }
}
