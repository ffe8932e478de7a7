import type { Clock } from '../../running/clock.ts'
import type { StoreSession } from '../../store/store.ts'

/**
 * The settled mark, as far as the relay knows it: every id up to it has come to light, or never will. It is asked for while ids above it are
 * read, and not too often: it is a question to the whole server.
 */
export class Mark {
  readonly #clock: Clock
  readonly #pauseMs: number
  #id = 0
  /** Highest id read so far: while it is above the mark, the mark has somewhere to go. */
  #highest = 0
  #asking = false
  #askedAt = Number.NEGATIVE_INFINITY
  #generation = 0

  /** `pauseMs`: milliseconds between two questions, at least. */
  constructor(clock: Clock, pauseMs: number) {
    this.#clock = clock
    this.#pauseMs = pauseMs
  }

  /** 0: nothing is known. */
  get id(): number {
    return this.#id
  }

  /** A row with that id was read. */
  saw(id: number): void {
    this.#highest = Math.max(this.#highest, id)
  }

  /** The server or connection that was asked is gone: its ids may come a second time. */
  forget(): void {
    this.#generation++
    this.#id = 0
    this.#highest = 0
    this.#asking = false
  }

  /** Asks if it is time to. Rejects as the session does. */
  async advance(session: StoreSession): Promise<void> {
    const now = this.#clock.now()
    if (this.#asking || this.#highest <= this.#id || now - this.#askedAt < this.#pauseMs) return
    this.#asking = true
    this.#askedAt = now
    const generation = this.#generation
    try {
      const id = await session.mark()
      if (generation === this.#generation) this.#id = Math.max(this.#id, id)
    } finally {
      if (generation === this.#generation) this.#asking = false
    }
  }
}
