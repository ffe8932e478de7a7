/** Ids above `from`, up to `to`. */
interface Range {
  from: number
  to: number
}

/** Ranges remembered for one bucket. Beyond that the shortest is forgotten, and read once more. */
const mostRanges = 64

/**
 * What stuck lanes have skipped in one bucket, so that the reader does not read their backlog again and again when another lane resumes
 * (rule 8). Written and read by the {@link Reader}; it belongs to a claim and ends with it.
 *
 * Below the low-water mark no row can appear any more: there it remembers ranges in which every row belongs to stuck lanes. Above the mark
 * a late row may appear between two others: there it remembers the ids, which the next fetch leaves out.
 */
export class Skipped {
  #ranges: Range[] = []
  readonly #ids = new Set<number>()

  /** Ids above the position that a fetch leaves out. */
  get ids(): ReadonlySet<number> {
    return this.#ids
  }

  /** Every row above `from` up to `to` belongs to stuck lanes, and no other can appear there. */
  addRange(from: number, to: number): void {
    if (to <= from) return
    const union = { from, to }
    const others: Range[] = []
    for (const range of this.#ranges) {
      if (range.from > to || range.to < from) {
        others.push(range)
      } else {
        union.from = Math.min(union.from, range.from)
        union.to = Math.max(union.to, range.to)
      }
    }
    this.#ranges = [...others, union]
    if (this.#ranges.length <= mostRanges) return
    const shortest = this.#ranges.reduce((a, b) => (b.to - b.from < a.to - a.from ? b : a))
    this.#ranges = this.#ranges.filter((range) => range !== shortest)
  }

  addId(id: number): void {
    this.#ids.add(id)
  }

  /** The position from which on there may be rows of other lanes. Forgets the ids up to there: they are below every later fetch. */
  past(position: number): number {
    const range = this.#ranges.find(({ from, to }) => from <= position && position < to)
    const past = range?.to ?? position
    for (const id of this.#ids) if (id <= past) this.#ids.delete(id)
    return past
  }

  /** A lane resumes that skipped rows here: they must be read again. */
  forget(): void {
    this.#ranges = []
    this.#ids.clear()
  }
}
