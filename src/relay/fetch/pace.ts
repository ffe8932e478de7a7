/** A fetch that brought at least this share of its limit is followed by the next one at once. */
const fullShare = 1 / 8

/** Milliseconds that the reader rests after a few rows, at least and at most. */
const restMs = { least: 1, most: 10 } as const

/** Milliseconds of rest more for each step of the root of the rows. */
const rootMs = 2

/**
 * Milliseconds until the next fetch: none after a full one, and otherwise the longer the more rows it brought. One at a time must not wait for
 * each other; where a thousand come in a second, a query for each handful would take the CPU that the application's commits need. With the root
 * of the rows the rest comes to an end at any rate, and passes from one to the other without a step: at 200 a second it is 1 ms, at 1,000 about 3.
 * While there is nothing, half as much more than `before`, the wait after the last fetch that brought nothing (0: it brought rows), up to `maxMs`.
 */
export function nextPollMs(before: number, rows: number, limit: number, maxMs: number): number {
  if (rows >= Math.max(1, limit * fullShare)) return 0
  if (rows > 0) return Math.min(restMs.most, restMs.least + rootMs * (Math.sqrt(rows) - 1))
  return Math.min(maxMs, Math.max(restMs.least, before * 1.5))
}
