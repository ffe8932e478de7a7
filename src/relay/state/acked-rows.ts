import type { Clock } from '../../running/clock.ts'
import type { CarriedRow } from './claim.ts'
import { Signal } from './signal.ts'

/**
 * Rows that Kafka has acknowledged and that nobody has tried to delete yet. Lanes push them, the settler takes them. They are kept across
 * sessions until they are deleted.
 */
export class AckedRows {
  /** Raised with every push. The settler waits on it. */
  readonly pushed: Signal
  readonly #clock: Clock
  #rows: CarriedRow[] = []
  #total = 0
  #lastAt: number | undefined

  constructor(clock: Clock) {
    this.#clock = clock
    this.pushed = new Signal(clock)
  }

  get length(): number {
    return this.#rows.length
  }

  /** Rows that Kafka has acknowledged since the start. A drain and the reader read it. */
  get total(): number {
    return this.#total
  }

  /** When Kafka last acknowledged something, on the relay's clock. The leases read it for the heartbeat. */
  get lastAt(): number | undefined {
    return this.#lastAt
  }

  push(rows: readonly CarriedRow[]): void {
    this.#lastAt = this.#clock.now()
    this.#total += rows.length
    for (const row of rows) this.#rows.push(row)
    this.pushed.raise()
  }

  /** The oldest rows, at most `count`. They stay until {@link taken} says that they were dealt with. */
  first(count: number): CarriedRow[] {
    return this.#rows.slice(0, count)
  }

  /** The oldest `count` rows were dealt with. */
  taken(count: number): void {
    this.#rows.splice(0, count)
  }
}
