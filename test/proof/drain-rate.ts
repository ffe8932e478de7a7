import type { LogRecord } from '../support/topics.ts'

/** Records a second, from the first record of a topic to its last. */
export function ratePerSecond(records: readonly LogRecord[]): number {
  const times = records.map(({ timestamp }) => timestamp)
  const [first, last] = times.reduce(([least, most], at) => [Math.min(least, at), Math.max(most, at)], [Infinity, 0])
  return (records.length / Math.max(1, last - first)) * 1_000
}

/** The middle one. */
export const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1]!

/** Ratios of pairs that were measured one after the other, so that whatever else the machine did met both: median and spread, as text. */
export function ratiosText(pairs: readonly (readonly [a: number, b: number])[]): string {
  const ratios = pairs.map(([a, b]) => a / b).sort((a, b) => a - b)
  const [least, most] = [ratios[0]!, ratios.at(-1)!].map((ratio) => ratio.toFixed(2))
  return `${median(ratios).toFixed(2)} (${least} to ${most}, ${pairs.length} pairs)`
}
