/** Every figure that a mode may measure: how it is called in a table, and how many digits after the point mean something. */
export const figures = {
  perSecond: { title: 'messages/s', digits: 0 },
  cpuMicros: { title: 'CPU µs/message', digits: 1 },
  peakMiB: { title: 'peak RSS MiB', digits: 0 },
  walBytes: { title: 'WAL bytes/message', digits: 0 },
  topicBytes: { title: 'topic bytes/message', digits: 0 },
  p50Ms: { title: 'p50 ms', digits: 1 },
  p99Ms: { title: 'p99 ms', digits: 1 },
  mostMs: { title: 'max ms', digits: 1 },
  commitsPerSecond: { title: 'commits/s', digits: 0 },
  commitMs: { title: 'commit p50 ms', digits: 2 },
  transactionMs: { title: 'transaction p50 ms', digits: 2 },
  transactionMicros: { title: 'CPU µs/transaction', digits: 0 },
  cpuPercent: { title: 'CPU % of a core', digits: 2 },
  transactionsPerSecond: { title: 'transactions/s', digits: 1 },
  firstPerSecond: { title: 'first round messages/s', digits: 0 },
  lastPerSecond: { title: 'last round messages/s', digits: 0 },
} as const

export type Figure = keyof typeof figures

/** What one contender came to in one run. */
export type Measured = Partial<Record<Figure, number>>

/** Median and spread of the runs. */
export interface Spread {
  median: number
  least: number
  most: number
  /** Where the middle half of the runs begins and ends. */
  half: readonly [from: number, to: number]
  /**
   * Where the median of endlessly many such runs lies, with 95 % certainty: runs of these ranks lie around it whatever their distribution
   * is. Of few runs it is their least and most, and less certain.
   */
  known: readonly [from: number, to: number]
}

/** The middle of all runs, their ends, and how well the middle is known; of an even number of runs the mean of the middle two. */
export function spread(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b)
  const { length } = sorted
  const middle = sorted.slice((length - 1) >> 1, (length >> 1) + 1)
  const within = (left: number): [number, number] => [sorted[left]!, sorted[length - 1 - left]!]
  return {
    median: middle.reduce((sum, value) => sum + value, 0) / middle.length,
    least: sorted[0]!,
    most: sorted.at(-1)!,
    half: within(Math.floor((length - 1) / 4)),
    known: within(Math.max(0, Math.floor(length / 2 - 0.98 * Math.sqrt(length)))),
  }
}

const text = (value: number, digits: number) =>
  value.toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits })

const rangeText = ([from, to]: readonly [number, number], digits: number) => `${text(from, digits)} to ${text(to, digits)}`

/** `median (least to most)`. */
export const spreadText = ({ median, least, most }: Spread, digits: number): string =>
  `${text(median, digits)} (${rangeText([least, most], digits)})`

/** How well the median is known, for those that are divided in many runs: least and most only lie further apart then. */
export const certaintyText = ({ half, known }: Spread, digits: number): string =>
  `half of them ${rangeText(half, digits)}; median with 95 % certainty ${rangeText(known, digits)}`

/** The value below which that share of the values lies. */
export const percentile = (values: readonly number[], share: number): number =>
  [...values].sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * share))]!
