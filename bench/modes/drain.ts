import { contenderOf } from '../contenders.ts'
import { drain } from '../drain.ts'
import type { MeasuringMode, Mode } from '../mode.ts'

interface Case {
  name: string
  messages: number
  keys: number
}

const against = {
  contenders: ['relay', 'naive', 'kafka-only', 'postgres-only'],
  ratios: {
    figure: 'perSecond',
    pairs: [
      ['relay', 'naive'],
      ['relay', 'kafka-only'],
      ['relay', 'postgres-only'],
    ],
  },
  measure: (bench, contender, { messages, keys }) => drain(bench, contenderOf(contender), { messages, keys }),
} as const satisfies Omit<MeasuringMode<Case>, 'cases'>

/** A backlog of 10,000 keys. */
export const drainMode: Mode<Case> = {
  ...against,
  cases: ({ messages = 100_000 }) => [{ name: `${messages} messages`, messages, keys: 10_000 }],
}

/** Few keys: the order of a key leaves little to do at once. */
export const hotMode: Mode<Case> = {
  ...against,
  cases: ({ messages = 20_000 }) => [
    { name: `1 key, ${messages} messages`, messages, keys: 1 },
    { name: `50 keys, ${messages * 5} messages`, messages: messages * 5, keys: 50 },
  ],
}
