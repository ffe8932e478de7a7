import type { Clock } from '../../running/clock.ts'
import type { CarriedRow } from '../state/claim.ts'
import type { InFlight } from '../state/in-flight.ts'
import type { Telemetry } from '../telemetry.ts'

/** Rows that leave the room of the others, at most: a relay whose deletes all have no effect must come to a stand, not send without end. */
const setAsideRows = 10_000

/**
 * Rows that Kafka has acknowledged, that nobody has locked, and that are there after their delete all the same: a trigger or a rule keeps
 * them. The settler writes it. As long as this relay knows them it sends none of them again; it tells their number when it has changed.
 * Rule 12.
 */
export class KeptRows {
  readonly #clock: Clock
  readonly #telemetry: Telemetry
  readonly #inFlight: InFlight
  readonly #rows = new Set<CarriedRow>()
  #told = 0
  #since = 0

  constructor(clock: Clock, telemetry: Telemetry, inFlight: InFlight) {
    this.#clock = clock
    this.#telemetry = telemetry
    this.#inFlight = inFlight
  }

  /** The row is still there after its delete. */
  met(row: CarriedRow): void {
    this.#rows.add(row)
    if (this.#rows.size <= setAsideRows) this.#inFlight.setAside(row)
  }

  /** The row is there no more. */
  over(row: CarriedRow): void {
    this.#rows.delete(row)
  }

  /** Tells how many there are, if that is news. Called after each delete. */
  tell(): void {
    const rows = this.#rows.size
    if (rows === this.#told) return
    if (this.#told === 0) this.#since = this.#clock.now()
    this.#told = rows
    const [first] = this.#rows
    if (first) this.#telemetry.emit('rows_kept', { rows, bucket: first.bucket, topic: first.topic })
    else this.#telemetry.emit('rows_deleted', { ms: Math.round(this.#clock.now() - this.#since) })
  }
}
