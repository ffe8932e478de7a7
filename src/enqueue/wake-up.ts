/** Least time between two wake-ups in milliseconds: 20 a second. */
export const wakeIntervalMs = 50

/**
 * Wakes the relays after commits: at once if it did not just do it, else when the interval is over (so that the last commit is always
 * followed by one). One at a time, errors are dropped: nothing depends on it.
 * Keeps rule 19 of docs/protocol-application.md.
 */
export class WakeUp {
  readonly #send: () => PromiseLike<unknown>
  #last = Number.NEGATIVE_INFINITY
  #timer: NodeJS.Timeout | undefined
  #sending: Promise<void> | undefined
  #again = false
  /** Those who wait for a wake-up that begins after they asked. */
  #waiting: (() => void)[] = []

  constructor(send: () => PromiseLike<unknown>) {
    this.#send = send
  }

  /** Asks for a wake-up; returns at once. Never throws: it is called when a transaction has committed, and must not reject it. */
  request(): void {
    try {
      this.#schedule()
    } catch {}
  }

  /** Asks for a wake-up; resolves when it is sent, has failed or was dropped. */
  sent(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve)
      this.request()
    })
  }

  #schedule(): void {
    if (this.#timer !== undefined) return
    if (this.#sending) {
      this.#again = true
      return
    }
    const wait = this.#last + wakeIntervalMs - performance.now()
    if (wait <= 0) this.#fire()
    else {
      this.#timer = setTimeout(() => this.#fire(), wait)
      // Not waited for at the end of the process: the relay polls. Some runtimes give a number: jsdom, Deno, Workers.
      this.#timer.unref?.()
    }
  }

  /** Drops what waits and resolves when nothing is on its way: a client that disconnects must not be connected again by a wake-up. */
  async quiet(): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#again = false
    await this.#sending
    for (const resolve of this.#waiting.splice(0)) resolve()
  }

  #fire(): void {
    this.#timer = undefined
    this.#last = performance.now()
    const waiting = this.#waiting.splice(0)
    this.#sending = this.#attempt().finally(() => {
      this.#sending = undefined
      for (const resolve of waiting) resolve()
      if (!this.#again) return
      this.#again = false
      this.request()
    })
  }

  async #attempt(): Promise<void> {
    try {
      await this.#send()
    } catch {}
  }
}
