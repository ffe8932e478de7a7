import { contenderOf, start } from '../contenders.ts'
import { drained, filling } from '../drain.ts'
import { Ground } from '../ground.ts'
import type { Mode } from '../mode.ts'

/** A backlog that is too large to read back: memory and rate, by the number of records and the clock of the benchmark. */
export const backlogMode: Mode<{ name: string; messages: number }> = {
  cases: ({ messages = 1_000_000 }) => [{ name: `${messages} messages`, messages }],
  contenders: ['relay', 'naive'],
  ratios: { figure: 'perSecond', pairs: [['relay', 'naive']] },
  measure: async (bench, name, { messages }) => {
    const contender = contenderOf(name)
    await using ground = await Ground.prepare(bench, contender.schema)
    await contender.preload(ground, { messages, keys: 10_000 })
    await ground.settle()
    await using program = start(contender, ground, bench.options.transport)
    await program.line(contender.begins)
    const cpu = program.cpuMicros()
    const began = await filling(ground, [program])
    await drained(ground, contender, messages, [program])
    const perSecond = (messages / (performance.now() - began)) * 1_000
    return { perSecond, cpuMicros: (program.cpuMicros() - cpu) / messages, peakMiB: program.peakMiB() }
  },
}
