import { setTimeout as sleep } from 'node:timers/promises'
import { contenderOf, start } from '../contenders.ts'
import { drained } from '../drain.ts'
import { Ground } from '../ground.ts'
import type { Mode } from '../mode.ts'

/** PostgreSQL writes its counters down a second late. */
const countersLateMs = 1_200

/** What a relay costs while there is nothing to publish. */
export const idleMode: Mode<{ name: string; seconds: number }> = {
  cases: ({ seconds = 20 }) => [{ name: `${seconds} s without a message`, seconds }],
  contenders: ['relay', 'naive'],
  ratios: { figure: 'cpuPercent', pairs: [['relay', 'naive']] },
  measure: async (bench, name, { seconds }) => {
    const contender = contenderOf(name)
    await using ground = await Ground.prepare(bench, contender.schema)
    await using program = start(contender, ground, bench.options.transport)
    await program.line(contender.begins)
    await contender.preload(ground, { messages: 1_000, keys: 1_000 })
    await drained(ground, contender, 1_000, [program])
    await sleep(countersLateMs)
    const before = { transactions: await ground.transactions(), cpu: program.cpuMicros(), at: performance.now() }
    await sleep(seconds * 1_000)
    const passed = (performance.now() - before.at) / 1_000
    const cpuPercent = (program.cpuMicros() - before.cpu) / 10_000 / passed
    return { cpuPercent, transactionsPerSecond: ((await ground.transactions()) - before.transactions) / passed }
  },
}
