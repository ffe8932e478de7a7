import type { Clock } from '../../running/clock.ts'
import type { Claim, Claims } from './claim.ts'
import { Signal } from './signal.ts'
import type { SkippedFrom } from './skipped-from.ts'

/**
 * Moves the positions of buckets back, and voids the fetch that is under way (rules 7 to 10). Lanes and topics resume, dead letters rewind,
 * leases and sessions invalidate; the reader alone moves positions on, and reads the generation.
 */
export class Positions {
  /** Raised when there may be something to read: a wake-up, room, a new claim, a resume. The reader waits on it. */
  readonly changed: Signal
  /** Raised when positions or claims have changed, so that what was read is no measure of what there is. The reader's rest ends with it. */
  readonly invalidated: Signal
  readonly #claims: Claims
  #generation = 0
  /** Whether the last fetch looked at all claimed buckets and found nothing new. The reader sets it, a drain reads it. */
  sawNothing = false

  constructor(claims: Claims, clock: Clock) {
    this.#claims = claims
    this.changed = new Signal(clock)
    this.invalidated = new Signal(clock)
  }

  /** The answer to a fetch of an older generation is thrown away whole. */
  get generation(): number {
    return this.#generation
  }

  /** The answer that is under way was asked for under other circumstances. */
  invalidate(): void {
    this.#generation++
    this.sawNothing = false
    this.changed.raise()
    this.invalidated.raise()
  }

  /**
   * There is room again after a lane or topic has skipped rows: goes back to what it skipped. `gaveUp`: it also let go of rows that it had, or
   * skipped them while it was stuck, so nothing that is remembered as skipped by stuck lanes of these buckets holds any more.
   */
  resume(skipped: SkippedFrom, gaveUp: boolean): void {
    for (const [bucket, id] of skipped.take()) {
      const claim = this.#claims.get(bucket)
      if (!claim) continue
      if (gaveUp) claim.skipped.forget()
      claim.position = Math.min(claim.position, id - 1)
      claim.sweptTo = Math.min(claim.sweptTo, id - 1)
    }
    this.invalidate()
  }

  /** Reads the bucket from its beginning again. */
  rewind(claim: Claim): void {
    claim.position = 0
    claim.sweptTo = 0
    claim.skipped.forget()
    this.invalidate()
  }

  /** Sweeps a bucket: what it finds below the position should have been seen before (rule 10). */
  sweep(claim: Claim): void {
    const position = claim.position
    this.rewind(claim)
    claim.sweptTo = position
  }
}
