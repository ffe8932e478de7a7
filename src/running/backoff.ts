/**
 * Milliseconds to wait before try number `attempt` (1 is the first repetition). Doubles each time from `firstMs` up to `maxMs`, and takes
 * from half to all of it at random. Members that failed together thus do not come back together (AWS, "Exponential Backoff And
 * Jitter", equal jitter). `random` is from 0 to 1.
 */
export function backoff(attempt: number, random: number, { firstMs = 100, maxMs = 5_000 } = {}): number {
  const full = Math.min(maxMs, firstMs * 2 ** Math.min(attempt - 1, 30))
  return Math.round(full / 2 + (full / 2) * random)
}
