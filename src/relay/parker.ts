import type { Moved, StoreSession, Wish } from '../store/store.ts'
import type { CarriedRow, Claim, Claims } from './claim.ts'
import type { Hand } from './hand.ts'
import { Latch } from './latch.ts'
import type { Telemetry } from './telemetry.ts'

/** A row on its way to outbox_dead: refused itself, or behind such a one. */
interface Move {
  row: CarriedRow
  why: { reason: string; error: string } | undefined
}

/** Rows moved behind a dead one in one statement. */
const moveRows = 500

/** Milliseconds between two looks for wishes; a notification of the command line comes before. */
const wishMs = 1_000

/** What the parker needs from its surroundings. */
export interface ParkerDeps {
  telemetry: Telemetry
  hand: Hand
  claims: Claims
  /** Lets go of queued rows of all lanes. */
  letGo: (which: (row: CarriedRow) => boolean) => void
  /** Reads the bucket from its beginning again. */
  rewind: (claim: Claim) => void
  /** The lease turned out to be another relay's. */
  lost: (claim: Claim) => void
}

/** SQL state or name of an error, for a log line without data. */
const nameOf = (error: unknown): string => String((error as { code?: unknown }).code ?? (error as Error).name)

/**
 * Moves rows between outbox and outbox_dead, one statement at a time, under the relay's own leases, and carries out the operator's wishes.
 * What is held in memory follows what each statement finds.
 */
export class Parker {
  /** Raise it when there may be wishes. */
  readonly latch = new Latch()
  readonly #deps: ParkerDeps
  #moves: Move[] = []

  constructor(deps: ParkerDeps) {
    this.#deps = deps
  }

  /** Takes a row that was refused for good; later rows of its key wait from now on. */
  park(row: CarriedRow, reason: string, error: string): void {
    row.claim.hold(row.topic, row.key, row.id)
    this.#moves.push({ row, why: { reason, error } })
    this.latch.raise()
  }

  /** Takes a row that waits behind a dead one of its key. */
  moveBehind(row: CarriedRow): void {
    this.#moves.push({ row, why: undefined })
    this.latch.raise()
  }

  /** Forgets rows whose claim is gone: the next owner finds them where they are. */
  forget(which: (row: CarriedRow) => boolean): void {
    for (const move of this.#moves) if (which(move.row)) this.#deps.hand.drop(move.row)
    this.#moves = this.#moves.filter((move) => !which(move.row))
  }

  async run(session: StoreSession, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      if (this.#moves.length > 0) await this.#move(session)
      else {
        await this.latch.wait(signal, wishMs)
        if (!signal.aborted && this.#moves.length === 0) await this.#grant(session)
      }
    }
  }

  async #move(session: StoreSession): Promise<void> {
    const first = this.#moves[0]!
    const { claim } = first.row
    if (first.why) {
      const found = await session.park(claim, first.row, first.why)
      if (this.#finish([first], claim, found)) this.#parked(first, found)
      return
    }
    const together: Move[] = []
    for (const move of this.#moves) {
      if (move.why || move.row.claim !== claim || together.length === moveRows) break
      together.push(move)
    }
    const rows = together.map((move) => move.row)
    const found = await session.moveBehind(claim, rows)
    if (this.#finish(together, claim, found)) this.#movedBehind(rows, found)
  }

  /** Takes moves off the list. False when they were of no effect because the lease is another's, or were forgotten meanwhile. */
  #finish(done: Move[], claim: Claim, found: Moved): boolean {
    const over = new Set(done)
    this.#moves = this.#moves.filter((move) => !over.has(move))
    if (found.fenced) this.#deps.lost(claim)
    for (const move of done) this.#deps.hand.drop(move.row)
    return !found.fenced && claim.alive
  }

  #parked({ row, why }: Move, found: Moved): void {
    // Neither in the outbox nor in outbox_dead: somebody deleted it by hand, and nothing is held by it.
    if (!found.ids.includes(row.id)) this.#free(row.claim, row.topic, row.key)
    else this.#deps.telemetry.emit('parked', { topic: row.topic, messageId: row.messageId, ...why! })
  }

  #movedBehind(rows: CarriedRow[], found: Moved): void {
    const moved = new Set(found.ids)
    const counts = new Map<string, number>()
    for (const row of rows) {
      if (moved.has(row.id)) counts.set(row.topic, (counts.get(row.topic) ?? 0) + 1)
      else if (row.claim.isHeld(row)) this.#free(row.claim, row.topic, row.key)
    }
    for (const [topic, count] of counts) this.#deps.telemetry.emit('held', { topic, rows: count })
  }

  async #grant(session: StoreSession): Promise<void> {
    const { claims, telemetry } = this.#deps
    const owned = claims.all.filter((claim) => !claim.leaving)
    for (const wish of await session.wishes(owned.map((claim) => claim.bucket))) {
      const claim = claims.get(wish.bucket)
      if (!claim || claim.leaving) continue
      try {
        const found = await session[wish.wish](claim, wish)
        if (found.fenced) this.#deps.lost(claim)
        else if (found.ids.length > 0) await this.#granted(session, claim, wish, found.ids.length)
      } catch (error) {
        // A clash of ids after a failover must not keep the other wishes waiting; a lost connection ends the session anyway.
        telemetry.emit('wish_failed', { topic: wish.topic, wish: wish.wish, code: nameOf(error) })
        if ((error as { code?: string }).code !== '23505') throw error
      }
    }
  }

  async #granted(session: StoreSession, claim: Claim, wish: Wish, rows: number): Promise<void> {
    const { telemetry } = this.#deps
    if (wish.wish === 'discard') telemetry.emit('discarded', { topic: wish.topic, messageId: wish.messageId, id: wish.id })
    else telemetry.emit('redriven', { topic: wish.topic, rows })
    if (wish.key === null) return this.#deps.rewind(claim)
    const left = (await session.holds([claim.bucket])).find((hold) => hold.topic === wish.topic && equal(hold.key, wish.key!))
    this.#free(claim, wish.topic, wish.key)
    if (left) claim.hold(wish.topic, wish.key, left.id)
    // A key that is moved back in portions goes on at once.
    this.latch.raise()
  }

  /** The key waits no longer: queued moves of it are dropped, its rows let go of, and the bucket is read from its beginning. */
  #free(claim: Claim, topic: string, key: Uint8Array | null): void {
    claim.unhold(topic, key)
    const same = (row: CarriedRow) => row.claim === claim && row.topic === topic && equal(row.key, key)
    this.forget((row) => same(row))
    this.#deps.letGo(same)
    this.#deps.rewind(claim)
  }
}

const equal = (a: Uint8Array | null, b: Uint8Array | null): boolean =>
  a === null || b === null ? a === b : Buffer.compare(a, b) === 0
