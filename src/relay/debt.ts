/** What a lane or a topic owes: for each bucket the lowest id that it has not taken. Rows from there on are read again at its resume. */
export class Debt {
  readonly #lowest = new Map<number, number>()

  get any(): boolean {
    return this.#lowest.size > 0
  }

  owe(bucket: number, id: number): void {
    const known = this.#lowest.get(bucket)
    if (known === undefined || id < known) this.#lowest.set(bucket, id)
  }

  /** Whether rows of the bucket from this id on are owed. */
  covers(bucket: number, id: number): boolean {
    const known = this.#lowest.get(bucket)
    return known !== undefined && known <= id
  }

  /** Hands the debt over: [bucket, lowest id] pairs; afterwards nothing is owed. */
  take(): [bucket: number, id: number][] {
    const owed = [...this.#lowest]
    this.#lowest.clear()
    return owed
  }
}
