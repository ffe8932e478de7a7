import type { Clock } from '../running/clock.ts'
import type { StoreSession } from '../store/store.ts'
import { Signal } from './state/signal.ts'

/** Milliseconds between two polls of an idle table: without notifications, and with notifications that are known to come through. */
export const pollLimitsMs = { blind: 50, notified: 1_000 } as const

/** Milliseconds between two looks for requests, likewise. */
const requestLimitsMs = { blind: 1_000, notified: 5_000 } as const

/** A fetch that brought at least this share of its limit is followed by the next one at once. */
const fullShare = 1 / 8

/** Milliseconds that the reader rests after a few rows, at least and at most. */
const restMs = { least: 1, most: 10 } as const

/** Milliseconds of rest more for each step of the root of the rows. */
const rootMs = 2

/**
 * Milliseconds until the next fetch: none after a full one, and otherwise the longer the more rows it brought. One at a time must not wait for
 * each other; where a thousand come in a second, a look for each handful would take the CPU that the application's commits need. With the root
 * of the rows the rest comes to an end at any rate, and passes from one to the other without a step: at 200 a second it is 1 ms, at 1,000 about 3.
 * While there is nothing, half as much more than `before`, the wait after the last fetch that brought nothing (0: it brought rows), up to `maxMs`.
 */
export function nextPollMs(before: number, rows: number, limit: number, maxMs: number): number {
  if (rows >= Math.max(1, limit * fullShare)) return 0
  if (rows > 0) return Math.min(restMs.most, restMs.least + rootMs * (Math.sqrt(rows) - 1))
  return Math.min(maxMs, Math.max(restMs.least, before * 1.5))
}

/** Milliseconds between two checks that notifications come through, and within which one of our own must come back. */
const checkMs = 60_000
const retryMs = 5_000
const backMs = 2_000

/**
 * Knows whether notifications come through. Poolers swallow them without an error, so the relay sends one to itself, and polls slowly
 * only while the last one came back.
 */
export class Wake {
  readonly #own: string
  readonly #clock: Clock
  readonly #work: Signal
  #trusted = false
  #cameBack = false

  constructor(relayId: string, clock: Clock) {
    this.#own = `relay:${relayId}`
    this.#clock = clock
    this.#work = new Signal(clock)
  }

  /** Milliseconds between two polls of an idle table, at most. */
  get maxPollMs(): number {
    return this.#trusted ? pollLimitsMs.notified : pollLimitsMs.blind
  }

  /** Milliseconds between two looks for requests. */
  get requestPollMs(): number {
    return this.#trusted ? requestLimitsMs.notified : requestLimitsMs.blind
  }

  /** Takes a notification, and tells what it says: there may be rows, or requests. */
  notified(payload: string, tell: { rows: () => void; requests: () => void }): void {
    if (payload === this.#own) this.#cameBack = true
    else if (payload === 'request') tell.requests()
    else if (!payload.startsWith('relay:')) tell.rows()
  }

  /** Nothing comes through any more: a commit must not wait for the next check to be seen soon. */
  lost(): void {
    this.#trusted = false
    this.#work.raise()
  }

  async run(session: StoreSession, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      this.#cameBack = false
      await session.notify(this.#own)
      const until = this.#clock.now() + backMs
      while (!this.#cameBack && this.#clock.now() < until && !signal.aborted) await this.#clock.wait(50, signal)
      this.#trusted = this.#cameBack
      await this.#work.wait(signal, this.#trusted ? checkMs : retryMs)
    }
    this.#trusted = false
  }
}
