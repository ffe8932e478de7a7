import { load } from '../application.ts'
import { plainTable } from '../backlog.ts'
import { contenderOf, start } from '../contenders.ts'
import { type Measured, percentile } from '../figures.ts'
import { Ground } from '../ground.ts'
import type { Bench, Mode } from '../mode.ts'
import type { Load } from '../programs/load.ts'

interface Case {
  name: string
  rate: number
  seconds: number
}

/** Milliseconds at the beginning that do not count: then programs compile their code, which they do once in their lives. */
const warmUpMs = 3_000

/** What the application pays while the relay runs beside it: BEGIN, INSERT of one message, COMMIT, and a wake-up. */
export const commitMode: Mode<Case> = {
  cases: ({ seconds = 10 }) => [
    { name: '1000 transactions/s', rate: 1_000, seconds },
    { name: '24 writers, each as fast as it can', rate: 0, seconds },
  ],
  contenders: ['relay', 'naive', 'nothing'],
  ratios: {
    figure: 'commitMs',
    beside: 'commitsPerSecond',
    pairs: [
      ['relay', 'naive'],
      ['relay', 'nothing'],
    ],
  },
  measure: async (bench, contender, of) => {
    if (contender !== 'nothing') return beside(bench, contender, of)
    await using ground = await Ground.prepare(bench, plainTable)
    return await paid(bench, ground, 'plain', of)
  },
}

async function beside(bench: Bench, name: string, of: Case): Promise<Measured> {
  const contender = contenderOf(name)
  await using ground = await Ground.prepare(bench, contender.schema)
  await using program = start(contender, ground, bench.options.transport)
  await program.line(contender.begins)
  return await paid(bench, ground, contender.way, of)
}

async function paid(bench: Bench, ground: Ground, way: Load['way'], { rate, seconds }: Case): Promise<Measured> {
  const { commits } = await load(ground, bench.options.transport, { rate, seconds: seconds + warmUpMs / 1_000, way })
  const from = commits[0]![1] + warmUpMs
  const times = commits.filter(([, at]) => at >= from).map(([, , tookMs]) => tookMs)
  return { commitMs: percentile(times, 0.5), commitsPerSecond: times.length / seconds }
}
