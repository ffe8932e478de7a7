import { contenders } from '../contenders.ts'
import { drain } from '../drain.ts'
import type { Mode } from '../mode.ts'

/** The same backlog for a topic of one partition, of twelve, and of 48: each partition has a request of its own in flight. */
export const partitionsMode: Mode<{ name: string; messages: number }> = {
  cases: ({ messages = 100_000 }) => [{ name: `${messages} messages`, messages }],
  contenders: ['1 partition', '12 partitions', '48 partitions'],
  ratios: {
    figure: 'perSecond',
    pairs: [
      ['1 partition', '12 partitions'],
      ['48 partitions', '12 partitions'],
    ],
  },
  measure: (bench, name, { messages }) =>
    drain(bench, contenders.relay, { messages, keys: 10_000 }, { partitions: Number.parseInt(name, 10) }),
}
