/** Milliseconds for which lines are counted. */
const windowMs = 60_000

/** Lets so many lines of a kind through a minute, and counts those that it leaves out. For logs and the console. */
export class Throttle {
  /** Kinds that were told lately, how often, and how many were left out since. */
  readonly #kinds = new Map<string, { since: number; told: number; left: number }>()
  readonly #now: () => number

  constructor(now: () => number) {
    this.#now = now
  }

  /** How many of that kind were left out before this one; undefined when this one is to be left out, too. */
  leftOut(kind: string, lines: number): number | undefined {
    const before = this.#kinds.get(kind)
    const now = this.#now()
    if (!before || now - before.since >= windowMs) {
      this.#kinds.set(kind, { since: now, told: 1, left: 0 })
      return before?.left ?? 0
    }
    if (before.told < lines) {
      before.told++
      return 0
    }
    before.left++
    return undefined
  }
}
