import { keyDigest } from '../../message/key-digest.ts'
import type { Clock } from '../../running/clock.ts'
import {
  type FreedKey,
  isLocked,
  isTooSlow,
  type Moved,
  type Redriven,
  type Refusal,
  type StoreSession,
} from '../../store/store.ts'
import type { CarriedRow, Claim, Claims } from '../state/claim.ts'
import type { InFlight } from '../state/in-flight.ts'
import { type LockedRows, lockedAgainMs } from '../state/locked-rows.ts'
import { Signal } from '../state/signal.ts'
import type { Telemetry } from '../telemetry.ts'
import type { OnDeadLetter } from './on-dead-letter.ts'

/** A row on its way to outbox_dead_letter: refused itself, or behind such a one. */
interface Move {
  row: CarriedRow
  why: Refusal | undefined
  /** Not to be tried before, on the relay's clock: it took too long, or met a locked row. */
  notBefore: number
}

/** Rows moved behind a dead one in one statement. */
const moveRows = 500

/** Requests that are granted, and rows that are put back in one statement, at most; and by what factor fewer, where that is too much. */
const grantRows = 1_000
const fewer = 8

/** Milliseconds until a move that took too long is tried again: each try keeps the settler waiting. */
const stuckMs = 60_000

/** What the dead letters needs from its surroundings. */
export interface DeadLettersDeps {
  clock: Clock
  telemetry: Telemetry
  inFlight: InFlight
  locked: LockedRows
  claims: Claims
  /** Whether later messages of a key wait behind a refused one. */
  onDeadLetter: (topic: string) => OnDeadLetter
  /** Lets go of queued rows of all lanes. */
  letGo: (which: (row: CarriedRow) => boolean) => void
  /** Reads the bucket from its beginning again. */
  rewind: (claim: Claim) => void
  /** The lease turned out to be another relay's. */
  lost: (claim: Claim) => void
  /** Milliseconds until requests are looked for that no notification told of. */
  requestPollMs: () => number
}

/**
 * Moves rows between outbox and outbox_dead_letter, one statement at a time, under the relay's own leases, and carries out the operator's requests.
 * What is held in memory follows what each statement finds.
 */
export class DeadLetters {
  readonly #work: Signal
  readonly #deps: DeadLettersDeps
  /** When requests are looked for next, on the relay's clock. */
  #lookAt = Number.NEGATIVE_INFINITY
  #moves: Move[] = []
  /** Sizes of statements: smaller after one that took too long, and larger again from success to success. */
  #moveRows = moveRows
  #grantRows = grantRows

  constructor(deps: DeadLettersDeps) {
    this.#deps = deps
    this.#work = new Signal(deps.clock)
  }

  /** There may be requests. */
  requested(): void {
    this.#lookAt = Number.NEGATIVE_INFINITY
    this.#work.raise()
  }

  /** Takes a row that was refused for good; later rows of its key wait from now on, unless its topic goes on. */
  deadLetter(row: CarriedRow, reason: string, error: string): void {
    // A key too large to be loaded has no other rows than such as are dead-lettered themselves.
    const blocksKey = row.key !== null && this.#deps.onDeadLetter(row.topic) === 'block'
    if (blocksKey) row.claim.block(row.topic, row.key, row.id)
    this.#moves.push({ row, why: { reason, error, blocksKey }, notBefore: 0 })
    this.#work.raise()
  }

  /** Takes a row that waits behind a dead one of its key. */
  moveBlocked(row: CarriedRow): void {
    // Its head is not in outbox_dead_letter yet; the bucket is read again when it is.
    if (row.claim.moveStuck) {
      this.#deps.inFlight.drop(row)
      return
    }
    this.#moves.push({ row, why: undefined, notBefore: 0 })
    this.#work.raise()
  }

  /** Forgets rows whose claim is gone: the next owner finds them where they are. */
  forget(which: (row: CarriedRow) => boolean): void {
    this.#drop((move) => which(move.row))
  }

  #drop(which: (move: Move) => boolean): void {
    const dropped = this.#moves.filter(which)
    if (dropped.length === 0) return
    for (const { row } of dropped) {
      this.#deps.inFlight.drop(row)
      this.#deps.locked.over(row)
    }
    this.#moves = this.#moves.filter((move) => !which(move))
  }

  async run(session: StoreSession, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      // A bucket that is to be given back must not wait for what may never come.
      this.#drop(({ row: { claim }, notBefore }) => claim.leaving && (claim.moveStuck || notBefore > 0))
      const move = this.#next()
      const due = this.#lookAt <= this.#deps.clock.now()
      if (move) await this.#move(session, move)
      // Also while moves keep coming: each message of a held key is one, and a request may be to hold it no longer.
      if (due && !signal.aborted) await this.#grant(session)
      if (!move && !due) await this.#work.wait(signal, Math.max(0, this.#nextAt() - this.#deps.clock.now()))
    }
  }

  #nextAt(): number {
    return this.#moves.reduce((at, move) => Math.min(at, move.notBefore), this.#lookAt)
  }

  #next(): Move | undefined {
    const now = this.#deps.clock.now()
    return this.#moves.find((move) => move.notBefore <= now)
  }

  async #move(session: StoreSession, first: Move): Promise<void> {
    try {
      await (first.why ? this.#deadLetter(session, first, first.why) : this.#moveTogether(session, first.row.claim))
    } catch (error) {
      if (isLocked(error)) this.#metLock(first)
      else if (!isTooSlow(error)) throw error
      else if (first.why) this.#tooSlow(first, error)
      // One that is too large by itself stays in the outbox; its key is held here, and its next owner tries again.
      else if (this.#moveRows === 1) this.forget((row) => row === first.row)
      this.#moveRows = Math.ceil(this.#moveRows / fewer)
    }
  }

  /** Of several rows one is locked, or the lease is: fewer at a time find out which. */
  #metLock(first: Move): void {
    if (first.why) this.#stuck(first, lockedAgainMs)
    else if (this.#moveRows === 1) first.notBefore = this.#deps.clock.now() + lockedAgainMs
    else return
    this.#deps.locked.met(first.row)
  }

  async #deadLetter(session: StoreSession, move: Move, why: Refusal): Promise<void> {
    const { claim } = move.row
    const found = await session.deadLetter(claim, move.row, why)
    if (!this.#finish([move], claim, found)) return
    this.#deadLettered(move, found)
    if (!claim.moveStuck) return
    claim.moveStuck = this.#moves.some((other) => other.row.claim === claim && other.notBefore > 0)
    this.#deps.rewind(claim)
  }

  /** A message of hundreds of megabytes, say: nothing else may have to wait for it. */
  #tooSlow(move: Move, error: unknown): void {
    const { topic, messageId, bytes } = move.row
    this.#deps.telemetry.emit('dead_letter_failed', { topic, messageId, bytes, code: String((error as { code: unknown }).code) })
    this.#stuck(move, stuckMs)
  }

  #stuck(move: Move, forMs: number): void {
    const { claim } = move.row
    move.notBefore = this.#deps.clock.now() + forMs
    claim.moveStuck = true
    this.#drop((other) => !other.why && other.row.claim === claim)
  }

  async #moveTogether(session: StoreSession, claim: Claim): Promise<void> {
    const now = this.#deps.clock.now()
    const together = this.#moves
      .filter((move) => !move.why && move.row.claim === claim && move.notBefore <= now)
      .slice(0, this.#moveRows)
    const rows = together.map((move) => move.row)
    const named = rows.map(({ bucket, id, messageId, ...row }) => ({
      bucket,
      id,
      messageId,
      head: claim.headOf({ id, ...row }) ?? 0,
    }))
    const found = await session.moveBlocked(claim, named)
    this.#moveRows = Math.min(moveRows, this.#moveRows * 2)
    if (this.#finish(together, claim, found)) await this.#movedBehind(session, claim, rows, found)
  }

  /** Takes moves off the list. False when they were of no effect because the lease is another's, or were forgotten meanwhile. */
  #finish(done: Move[], claim: Claim, found: Moved): boolean {
    const over = new Set(done)
    this.#moves = this.#moves.filter((move) => !over.has(move))
    if (found.fenced) this.#deps.lost(claim)
    for (const { row } of done) {
      this.#deps.inFlight.drop(row)
      this.#deps.locked.over(row)
    }
    return !found.fenced && claim.alive
  }

  #deadLettered({ row, why }: Move, found: Moved): void {
    const { reason, error, blocksKey } = why!
    const { topic, messageId } = row
    if (found.ids.includes(row.id)) {
      this.#deps.telemetry.emit('dead_lettered', {
        topic,
        messageId,
        reason,
        error,
        onDeadLetter: blocksKey || row.key === null ? 'block' : 'skip',
      })
      // Neither in the outbox nor in outbox_dead_letter: somebody deleted it by hand, and nothing is held by it.
    } else if (blocksKey) this.#free(row.claim, [{ topic, key: row.key!, next: null }])
  }

  async #movedBehind(session: StoreSession, claim: Claim, rows: CarriedRow[], found: Moved): Promise<void> {
    const moved = new Set(found.ids)
    const counts = new Map<string, number>()
    for (const row of rows) if (moved.has(row.id)) counts.set(row.topic, (counts.get(row.topic) ?? 0) + 1)
    for (const [topic, count] of counts) this.#deps.telemetry.emit('blocked', { topic, rows: count })
    const left = rows.filter((row) => !moved.has(row.id) && claim.isBlocked(row))
    if (left.length === 0) return
    // Their head is gone: somebody deleted it by hand. Those behind it, if any, have another.
    const keys = new Map(left.map((row) => [keyDigest(row.topic, row.key!), row]))
    const heads = await session.blockedKeysOf(claim.bucket, [...keys.keys()])
    const next = new Map(heads.map((head) => [head.digest, head]))
    this.#free(
      claim,
      [...keys].map(([name, row]) => {
        const blockedKey = next.get(name)
        return {
          topic: row.topic,
          key: row.key!,
          next: blockedKey?.id ?? null,
          ...(blockedKey?.goesOn && { goesOn: blockedKey.goesOn }),
        }
      }),
    )
  }

  async #grant(session: StoreSession): Promise<void> {
    this.#lookAt = this.#deps.clock.now() + this.#deps.requestPollMs()
    const owned = this.#deps.claims.all.filter((claim) => !claim.leaving)
    const requests = await session.requested(owned.map((claim) => claim.bucket))
    for (const claim of owned) if (!requests.some(({ bucket }) => bucket === claim.bucket)) this.#deps.locked.over(claim)
    for (const { bucket, action } of requests) {
      const claim = this.#deps.claims.get(bucket)
      if (!claim || claim.leaving || (action === 'redrive' && this.#deps.clock.now() < claim.redriveNotBefore)) continue
      await this.#grantOne(session, claim, action)
    }
  }

  async #grantOne(session: StoreSession, claim: Claim, action: 'redrive' | 'discard' | 'dead-letter'): Promise<void> {
    const { locked, clock } = this.#deps
    try {
      if (action === 'dead-letter') await this.#deadLetterStrays(session, claim)
      else await (action === 'discard' ? this.#discard(session, claim) : this.#redrive(session, claim))
      locked.over(claim)
    } catch (error) {
      if (!isLocked(error)) throw error
      locked.met(claim)
      this.#lookAt = Math.min(this.#lookAt, clock.now() + lockedAgainMs)
    }
  }

  async #deadLetterStrays(session: StoreSession, claim: Claim): Promise<void> {
    const found = await session.deadLetterStrays(claim)
    if (found.fenced) return this.#deps.lost(claim)
    for (const row of found.rows)
      this.#deps.telemetry.emit('dead_lettered', { ...row, reason: 'INVALID_RECORD', onDeadLetter: 'skip' })
    if (found.rows.length > 0) this.requested()
  }

  async #discard(session: StoreSession, claim: Claim): Promise<void> {
    const found = await session.discard(claim)
    if (found.fenced) return this.#deps.lost(claim)
    for (const row of found.rows) this.#deps.telemetry.emit('discarded', row)
    this.#free(claim, found.keys)
    // What is left of the requests, and those behind the heads, go on at once.
    if (found.rows.length > 0) this.requested()
  }

  async #redrive(session: StoreSession, claim: Claim): Promise<void> {
    const { telemetry, rewind, lost } = this.#deps
    for (let asked = this.#grantRows; ; ) {
      const found = await this.#putBack(session, claim, asked)
      if (found === 'stuck') return
      if (found !== 'too slow' && found.fenced) return lost(claim)
      if (found === 'too slow' || found.tooMany) {
        asked = Math.min(this.#grantRows, Math.ceil(asked / fewer))
        continue
      }
      for (const topic of found.clashes) telemetry.emit('request_failed', { topic, action: 'redrive', code: 'ID_TAKEN' })
      if (found.topics.length === 0) return
      for (const one of found.topics) telemetry.emit('redriven', one)
      this.#free(claim, found.keys)
      rewind(claim)
      // Refusals, and rows that wait, must not stand behind a million that are put back.
      return this.requested()
    }
  }

  /** `too slow`: large messages go in smaller portions; `stuck`: one alone is too large for now. */
  async #putBack(session: StoreSession, claim: Claim, asked: number): Promise<Redriven | 'too slow' | 'stuck'> {
    try {
      const found = await session.redrive(claim, { asked, rows: this.#grantRows })
      this.#grantRows = Math.min(grantRows, this.#grantRows * 2)
      return found
    } catch (error) {
      if (!isTooSlow(error)) throw error
      if (this.#grantRows > 1) {
        this.#grantRows = Math.ceil(this.#grantRows / fewer)
        return 'too slow'
      }
      claim.redriveNotBefore = this.#deps.clock.now() + stuckMs
      return 'stuck'
    }
  }

  /**
   * Rows of these keys were put back or dropped. Queued moves of them are dropped, their rows let go of, and the bucket is read from its
   * beginning; a key of which some still wait is held from the next one on.
   */
  #free(claim: Claim, keys: readonly FreedKey[]): void {
    if (keys.length === 0) return
    const names = new Set(keys.map(({ topic, key }) => keyDigest(topic, key)))
    const same = (row: CarriedRow) => row.claim === claim && row.key !== null && names.has(keyDigest(row.topic, row.key))
    for (const { topic, key } of keys) claim.unblock(topic, key)
    this.forget(same)
    this.#deps.letGo(same)
    for (const { topic, key, next, goesOn } of keys) if (next !== null) claim.block(topic, key, next, goesOn)
    this.#deps.rewind(claim)
  }
}
