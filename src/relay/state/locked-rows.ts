import type { Clock } from '../../running/clock.ts'
import type { Telemetry } from '../telemetry.ts'
import type { CarriedRow } from './claim.ts'
import type { InFlight } from './in-flight.ts'

/** Rows that leave the room of the others, at most; beyond that the reader has to wait for somebody's lock. */
const setAsideRows = 10_000

/** Milliseconds between two tries of a statement that met a locked row. */
export const lockedAgainMs = 1_000

/**
 * The rows that the relay must delete or move and that another transaction has locked: an open psql, a backup of one table, a script. The
 * settler and the dead letters write it. It tells the first and the end, so that one locked row is two lines in the log, and takes the rows out of
 * the room that others need. Rules 12 and 13.
 */
export class LockedRows {
  readonly #clock: Clock
  readonly #telemetry: Telemetry
  readonly #inFlight: InFlight
  readonly #waiting = new Set<object>()
  #since = 0

  constructor(clock: Clock, telemetry: Telemetry, inFlight: InFlight) {
    this.#clock = clock
    this.#telemetry = telemetry
    this.#inFlight = inFlight
  }

  get size(): number {
    return this.#waiting.size
  }

  /** `what` waits for a lock: a row, or, where the row is not known, the claim of its bucket. */
  met(what: CarriedRow | { bucket: number }): void {
    if (this.#waiting.has(what)) return
    const row = 'messageId' in what ? what : undefined
    if (this.#waiting.size === 0) {
      this.#since = this.#clock.now()
      this.#telemetry.emit('rows_locked', {
        bucket: what.bucket,
        topic: row?.topic ?? null,
        messageId: row?.messageId ?? null,
      })
    }
    this.#waiting.add(what)
    if (row && this.#waiting.size <= setAsideRows) this.#inFlight.setAside(row)
  }

  /** `what` does not wait any more. */
  over(what: object): void {
    if (!this.#waiting.delete(what) || this.#waiting.size > 0) return
    this.#telemetry.emit('rows_free', { ms: Math.round(this.#clock.now() - this.#since) })
  }
}
