/** Milliseconds of one point: statistics of the database come once a second at best, and shorter points would show that and not the flow. */
export const pointMs = 5_000

interface Reading {
  atMs: number
  count: number
  /** What {@link Rate.perSecond} was after this reading. */
  perSecond: number | null
}

/** How often something happens, by a counter that is read now and then. Keeps the last points only. The dashboard and `status --watch` read it. */
export class Rate {
  readonly #points: number
  #readings: Reading[] = []

  /** Keeps so many points. */
  constructor(points: number) {
    this.#points = points
  }

  /** Takes a reading; `atMs` is on a monotonic clock. A counter that has become smaller was reset: what was known of it counts no more. */
  read(atMs: number, count: number): void {
    const last = this.#readings.at(-1)
    if (last !== undefined && count < last.count) this.#readings = []
    this.#readings.push({ atMs, count, perSecond: null })
    this.#readings.at(-1)!.perSecond = this.#slope()
    // One point more: the oldest one begins before it.
    const first = this.#readings.findLastIndex((one) => one.atMs <= atMs - (this.#points + 1) * pointMs)
    if (first > 0) this.#readings.splice(0, first)
  }

  /** A second, over the last five seconds or as long as it is read; null before the second reading. */
  get perSecond(): number | null {
    return this.#readings.at(-1)?.perSecond ?? null
  }

  /** The highest rate a second since the oldest point began; 0 if none is known. At least {@link perSecond}, now and whenever it was read since. */
  get highest(): number {
    const since = (this.#readings.at(-1)?.atMs ?? 0) - this.#points * pointMs
    const read = this.#readings.filter(({ atMs }) => atMs > since)
    return Math.max(...this.points.map((value) => value ?? 0), ...read.map(({ perSecond }) => perSecond ?? 0))
  }

  /** A second, of each five seconds that are over, the oldest first; null where nothing was read. */
  get points(): (number | null)[] {
    return this.pointsUntil(this.#readings.at(-1)?.atMs ?? 0)
  }

  /** The same, of the five seconds that are over at `atMs`. */
  pointsUntil(atMs: number): (number | null)[] {
    const end = Math.floor(atMs / pointMs) * pointMs
    return Array.from({ length: this.#points }, (_, n) => {
      const from = this.#at(end - (this.#points - n) * pointMs)
      const to = this.#at(end - (this.#points - n - 1) * pointMs)
      return from === null || to === null ? null : ((to - from) * 1_000) / pointMs
    })
  }

  #slope(): number | null {
    const last = this.#readings.at(-1)!
    if (this.#readings.length < 2) return null
    const from = this.#readings.findLast((one) => one.atMs <= last.atMs - pointMs) ?? this.#readings[0]!
    return ((last.count - from.count) * 1_000) / (last.atMs - from.atMs)
  }

  /** The counter at a moment, between two readings by the line that joins them; null before the first. */
  #at(atMs: number): number | null {
    const next = this.#readings.findIndex((one) => one.atMs >= atMs)
    if (next < 0) return null
    const [before, after] = [this.#readings[next - 1], this.#readings[next]!]
    if (after.atMs === atMs) return after.count
    if (before === undefined) return null
    return before.count + ((after.count - before.count) * (atMs - before.atMs)) / (after.atMs - before.atMs)
  }
}

const bars = '▁▂▃▄▅▆▇█'

/** A line of bars, the highest as high as the highest value; a blank where nothing is known. */
export function sparkline(values: readonly (number | null)[]): string {
  const top = Math.max(...values.map((value) => value ?? 0))
  const bar = (value: number) => bars[top === 0 ? 0 : Math.round((value / top) * (bars.length - 1))]!
  return values.map((value) => (value === null ? ' ' : bar(value))).join('')
}
