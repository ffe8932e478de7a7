/** What a lane or a topic skips: for each bucket the lowest id that it has not taken. Rows from there on are read again at its resume. */
export class SkippedFrom {
  readonly #lowest = new Map<number, number>()

  get any(): boolean {
    return this.#lowest.size > 0
  }

  skip(bucket: number, id: number): void {
    const known = this.#lowest.get(bucket)
    if (known === undefined || id < known) this.#lowest.set(bucket, id)
  }

  /** Whether rows of the bucket from this id on are skipped. */
  covers(bucket: number, id: number): boolean {
    const known = this.#lowest.get(bucket)
    return known !== undefined && known <= id
  }

  /** Returns and forgets what was skipped: [bucket, lowest id] pairs. */
  take(): [bucket: number, id: number][] {
    const skipped = [...this.#lowest]
    this.#lowest.clear()
    return skipped
  }
}
