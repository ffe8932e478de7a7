/** Figures of one run. `ok`: true, or why the run did not come to its end. */
export type Result = { ok: true | string } & Record<string, unknown>

/** Rounds to so many digits behind the point. */
export const round = (value: number, digits = 0): number => Math.round(value * 10 ** digits) / 10 ** digits

/** The value below which a share of the sorted values lies; null of none. */
export function quantile(sorted: readonly number[], share: number): number | null {
  return sorted.length === 0 ? null : sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]!
}
