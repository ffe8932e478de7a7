import type { Clock } from '../../running/clock.ts'
import type { Refusal } from '../../store/store.ts'
import type { CarriedRow, Claim } from './claim.ts'
import type { InFlight } from './in-flight.ts'
import type { LockedRows } from './locked-rows.ts'
import type { OnDeadLetterByTopic } from './on-dead-letter.ts'
import { onDeadOf } from './on-dead-letter.ts'
import { Signal } from './signal.ts'

/** A row on its way to outbox_dead_letter: refused itself, or behind such a one. */
export interface Move {
  readonly row: CarriedRow
  /** Why it was refused; undefined: it waits behind a dead one of its key. */
  readonly why: Refusal | undefined
  /** Not to be tried before, on the relay's clock: it took too long, or met a locked row. */
  notBefore: number
}

/**
 * Rows on their way to outbox_dead_letter, in their order. The route of the reader and the lanes add them, the dead letters take them, and
 * the end of a claim drops its own.
 */
export class Moves {
  /** Raised with every row, and when there may be operator requests. The dead letters wait on it. */
  readonly changed: Signal
  /** When operator requests are polled next, on the relay's clock. The dead letters set it; a notification and a new claim make it now. */
  requestsAt = Number.NEGATIVE_INFINITY
  /** Operator requests are being carried out. The dead letters set it; a drain reads it. */
  granting = false
  readonly #onDeadLetter: OnDeadLetterByTopic
  readonly #inFlight: InFlight
  readonly #locked: LockedRows
  #all: Move[] = []

  constructor(onDeadLetter: OnDeadLetterByTopic, inFlight: InFlight, locked: LockedRows, clock: Clock) {
    this.#onDeadLetter = onDeadLetter
    this.#inFlight = inFlight
    this.#locked = locked
    this.changed = new Signal(clock)
  }

  get all(): readonly Move[] {
    return this.#all
  }

  /** Takes a row that was refused for good; later rows of its key wait from now on, unless its topic goes on. */
  reject(row: CarriedRow, reason: string, error: string): void {
    // A key too large to be loaded has no other rows than such as are dead-lettered themselves.
    const blocksKey = row.key !== null && onDeadOf(this.#onDeadLetter, row.topic) === 'block'
    if (blocksKey) row.claim.block(row.topic, row.key, row.id)
    this.#all.push({ row, why: { reason, error, blocksKey }, notBefore: 0 })
    this.changed.raise()
  }

  /** Takes a row that waits behind a dead one of its key. */
  block(row: CarriedRow): void {
    // Its head is not in outbox_dead_letter yet; the bucket is read again when it is.
    if (row.claim.moveStuck) {
      this.#inFlight.drop(row)
      return
    }
    this.#all.push({ row, why: undefined, notBefore: 0 })
    this.changed.raise()
  }

  /** There may be operator requests. */
  requested(): void {
    this.requestsAt = Number.NEGATIVE_INFINITY
    this.changed.raise()
  }

  /** Forgets rows whose claim is gone: the next owner finds them where they are. */
  forget(which: (row: CarriedRow) => boolean): void {
    this.drop((move) => which(move.row))
  }

  drop(which: (move: Move) => boolean): void {
    const dropped = this.#all.filter(which)
    if (dropped.length > 0) this.over(dropped)
  }

  /** These moves are done, or of no effect. */
  over(done: readonly Move[]): void {
    const over = new Set(done)
    this.#all = this.#all.filter((move) => !over.has(move))
    for (const { row } of done) {
      this.#inFlight.drop(row)
      this.#locked.over(row)
    }
  }

  /** The first one that may be tried now. */
  due(now: number): Move | undefined {
    return this.#all.find((move) => move.notBefore <= now)
  }

  /** Rows of the claim that wait behind dead ones and may be moved now, at most `count`. */
  blockedOf(claim: Claim, count: number, now: number): Move[] {
    return this.#all.filter((move) => !move.why && move.row.claim === claim && move.notBefore <= now).slice(0, count)
  }

  /** When something is to be done next, on the relay's clock. */
  get nextAt(): number {
    return this.#all.reduce((at, move) => Math.min(at, move.notBefore), this.requestsAt)
  }
}
