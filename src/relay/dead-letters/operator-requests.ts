import { isLocked, isTooSlow, type Redriven, type StoreSession } from '../../store/store.ts'
import type { RelayContext } from '../context.ts'
import { loseClaim } from '../leases/end-claims.ts'
import type { Notifications } from '../notifications.ts'
import type { Topics } from '../publish/topics.ts'
import type { Claim } from '../state/claim.ts'
import { lockedAgainMs } from '../state/locked-rows.ts'
import { freeKeys } from './free-keys.ts'

/** Requests that are granted, and rows that are put back in one statement, at most; and by what factor fewer, if that is too much. */
const grantRows = 1_000
const fewer = 8

/** Milliseconds until a redrive that took too long is tried again. */
const stuckMs = 60_000

/** Carries out the redrives and discards that operators asked for, in the buckets of this relay (rule 14). */
export class OperatorRequests {
  readonly #context: RelayContext
  readonly #topics: Topics
  readonly #notifications: Notifications
  /** Size of a statement: smaller after one that took too long, and larger again from success to success. */
  #grantRows = grantRows

  constructor(context: RelayContext, topics: Topics, notifications: Notifications) {
    this.#context = context
    this.#topics = topics
    this.#notifications = notifications
  }

  /** Carries out what is asked for at present. */
  async grant(session: StoreSession): Promise<void> {
    const { clock, state } = this.#context
    state.moves.granting = true
    state.moves.requestsAt = clock.now() + this.#notifications.requestPollMs
    try {
      await this.#grantAll(session)
    } finally {
      state.moves.granting = false
      state.rested.raise()
    }
  }

  async #grantAll(session: StoreSession): Promise<void> {
    const { clock, state } = this.#context
    const { claims, locked } = state
    const owned = claims.all.filter((claim) => !claim.leaving)
    const requests = await session.requested(owned.map((claim) => claim.bucket))
    for (const claim of owned) if (!requests.some(({ bucket }) => bucket === claim.bucket)) locked.over(claim)
    for (const { bucket, action } of requests) {
      const claim = claims.get(bucket)
      if (!claim || claim.leaving || (action === 'redrive' && clock.now() < claim.redriveNotBefore)) continue
      await this.#grantOne(session, claim, action)
    }
  }

  async #grantOne(session: StoreSession, claim: Claim, action: 'redrive' | 'discard' | 'dead-letter'): Promise<void> {
    const { clock, state } = this.#context
    const { locked, moves } = state
    try {
      if (action === 'dead-letter') await this.#deadLetterStrays(session, claim)
      else await (action === 'discard' ? this.#discard(session, claim) : this.#redrive(session, claim))
      locked.over(claim)
    } catch (error) {
      if (!isLocked(error)) throw error
      locked.met(claim)
      moves.requestsAt = Math.min(moves.requestsAt, clock.now() + lockedAgainMs)
    }
  }

  async #deadLetterStrays(session: StoreSession, claim: Claim): Promise<void> {
    const found = await session.deadLetterStrays(claim)
    if (found.fenced) return loseClaim(this.#context, this.#topics, claim)
    for (const row of found.rows)
      this.#context.telemetry.emit('dead_lettered', { ...row, reason: 'INVALID_RECORD', onDeadLetter: 'skip' })
    if (found.rows.length > 0) this.#context.state.moves.requested()
  }

  async #discard(session: StoreSession, claim: Claim): Promise<void> {
    const found = await session.discard(claim)
    if (found.fenced) return loseClaim(this.#context, this.#topics, claim)
    for (const row of found.rows) this.#context.telemetry.emit('discarded', row)
    freeKeys(this.#context, this.#topics, claim, found.keys)
    // What is left of the requests, and those behind the heads, go on at once.
    if (found.rows.length > 0) this.#context.state.moves.requested()
  }

  async #redrive(session: StoreSession, claim: Claim): Promise<void> {
    const { telemetry, state } = this.#context
    for (let asked = this.#grantRows; ; ) {
      const found = await this.#putBack(session, claim, asked)
      if (found === 'stuck') return
      if (found !== 'too slow' && found.fenced) return loseClaim(this.#context, this.#topics, claim)
      if (found === 'too slow' || found.tooMany) {
        asked = Math.min(this.#grantRows, Math.ceil(asked / fewer))
        continue
      }
      for (const topic of found.clashes) telemetry.emit('request_failed', { topic, action: 'redrive', code: 'ID_TAKEN' })
      if (found.topics.length === 0) return
      for (const one of found.topics) telemetry.emit('redriven', one)
      freeKeys(this.#context, this.#topics, claim, found.keys)
      state.positions.rewind(claim)
      // Refusals, and rows that wait, must not stand behind a million that are put back.
      return this.#context.state.moves.requested()
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
      claim.redriveNotBefore = this.#context.clock.now() + stuckMs
      return 'stuck'
    }
  }
}
