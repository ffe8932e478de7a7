/**
 * Milliseconds to wait before try number `attempt` (1 is the first repetition): doubled each time from `firstMs` up to `maxMs`, and then
 * anything from half of it to all of it, so that members which failed together do not come back together (AWS, "Exponential Backoff And
 * Jitter", equal jitter). `random` is from 0 to 1.
 */
export function backoff(attempt: number, random: number, { firstMs = 100, maxMs = 5_000 } = {}): number {
  const full = Math.min(maxMs, firstMs * 2 ** Math.min(attempt - 1, 30))
  return Math.round(full / 2 + (full / 2) * random)
}
