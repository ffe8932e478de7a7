import type { Clock } from '../../running/clock.ts'
import type { RelaySettings } from '../options.ts'
import type { Telemetry } from '../telemetry.ts'
import { AckedRows } from './acked-rows.ts'
import { type Claim, Claims } from './claim.ts'
import { InFlight } from './in-flight.ts'
import { LockedRows } from './locked-rows.ts'
import { Moves } from './moves.ts'
import { Positions } from './positions.ts'
import { Signal } from './signal.ts'

/**
 * All that two stages of a row's way share. It outlives database sessions. Stages hand rows over by putting them in here and raising a
 * signal; none calls another.
 */
export class RelayState {
  /** Buckets of this relay. The leases add and end claims; every stage reads them. Who writes which field is said at {@link Claim}. */
  readonly claims = new Claims()
  /** Rows read and not yet deleted. The route adds them; lanes, settler and dead letters remove them; the reader and the leases read it. */
  readonly inFlight: InFlight
  /** Rows that somebody else has locked. Settler and dead letters write; a stop reads it. */
  readonly locked: LockedRows
  /** Lanes push, the settler takes. */
  readonly acked: AckedRows
  /** Route and lanes push, the dead letters take. */
  readonly moves: Moves
  /** Lanes, topics, dead letters and leases move positions back, the reader moves them on. */
  readonly positions: Positions
  /** Raised when a bucket may be given back at once. The leases wait on it. */
  readonly releasable: Signal
  /** Raised when the reader found nothing, rows were deleted, or a heartbeat is over. A drain and a stop wait on it. */
  readonly rested: Signal
  /**
   * The mode that the relay runs in. It differs from the setting while a plain relay publishes what relays of the exactly-once mode left recorded.
   * The leases change it at the end of a session, when nothing is claimed; settlement, producer and session go by it.
   */
  exactlyOnce: boolean
  /** Messages that the relay publishes at most. A drain sets it, the reader reads it. */
  maxMessages = Number.POSITIVE_INFINITY
  readonly #clock: Clock

  constructor(settings: RelaySettings, clock: Clock, telemetry: Telemetry) {
    this.#clock = clock
    this.exactlyOnce = settings.exactlyOnce
    this.inFlight = new InFlight(settings)
    this.locked = new LockedRows(clock, telemetry, this.inFlight)
    this.acked = new AckedRows(clock)
    this.moves = new Moves(settings.onDeadLetter, this.inFlight, this.locked, clock)
    this.positions = new Positions(this.claims, clock)
    this.releasable = new Signal(clock)
    this.rested = new Signal(clock)
  }

  /** Rows that may still be read. */
  get freeRows(): number {
    const { inFlight, acked, maxMessages } = this
    return Math.min(inFlight.freeRows, maxMessages - acked.total - (inFlight.size - acked.length))
  }

  /** Rows were deleted: there is room to read, and perhaps a bucket of which nothing is in flight any more. */
  madeRoom(): void {
    this.positions.changed.raise()
    this.rested.raise()
    if (this.claims.all.some((claim) => claim.leaving && this.isIdle(claim))) this.releasable.raise()
  }

  /** Whether nothing of the bucket is in flight, nor may still be appended. */
  isIdle(claim: Claim): boolean {
    return this.inFlight.inBucket(claim.bucket) === 0 && this.#clock.now() >= this.claims.busyUntil(claim.bucket)
  }
}
