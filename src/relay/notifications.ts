import type { Clock } from '../running/clock.ts'
import type { StoreSession } from '../store/store.ts'
import type { RelayContext } from './context.ts'
import { Signal } from './state/signal.ts'
import type { RelayState } from './state/state.ts'

/** Milliseconds between two polls of an idle table: without notifications, and with notifications that are known to come through. */
export const pollLimitsMs = { blind: 50, notified: 1_000 } as const

/** Milliseconds between two queries for requests, likewise. */
const requestLimitsMs = { blind: 1_000, notified: 5_000 } as const

/** Milliseconds between two checks that notifications come through, and within which one of our own must come back. */
const checkMs = 60_000
const retryMs = 5_000
const backMs = 2_000

/**
 * Knows whether notifications come through. Poolers swallow them without an error, so the relay sends one to itself, and polls slowly
 * only while the last one came back.
 * Keeps rule 19 of docs/protocol-application.md.
 */
export class Notifications {
  readonly #own: string
  readonly #clock: Clock
  readonly #state: RelayState
  /** Raised when notifications stop coming through. */
  readonly #unheard: Signal
  #trusted = false
  #cameBack = false

  constructor({ id, clock, state }: RelayContext) {
    this.#own = `relay:${id}`
    this.#clock = clock
    this.#state = state
    this.#unheard = new Signal(clock)
  }

  /** Milliseconds between two polls of an idle table, at most. */
  get maxPollMs(): number {
    return this.#trusted ? pollLimitsMs.notified : pollLimitsMs.blind
  }

  /** Milliseconds between two queries for requests. */
  get requestPollMs(): number {
    return this.#trusted ? requestLimitsMs.notified : requestLimitsMs.blind
  }

  /** Takes a notification: there may be rows, or operator requests. */
  notified(payload: string): void {
    if (payload === this.#own) this.#cameBack = true
    else if (payload === 'request') this.#state.moves.requested()
    else if (!payload.startsWith('relay:')) this.#state.positions.changed.raise()
  }

  /** Nothing comes through any more: a commit must not wait for the next check to be seen soon. */
  lost(): void {
    this.#trusted = false
    this.#unheard.raise()
  }

  async run(session: StoreSession, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      this.#cameBack = false
      await session.notify(this.#own)
      const until = this.#clock.now() + backMs
      while (!this.#cameBack && this.#clock.now() < until && !signal.aborted) await this.#clock.wait(50, signal)
      this.#trusted = this.#cameBack
      await this.#unheard.wait(signal, this.#trusted ? checkMs : retryMs)
    }
    this.#trusted = false
  }
}
