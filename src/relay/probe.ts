/**
 * Half-open state of a topic's circuit breaker: after trouble one lane at a time sends one record, and the others wait until it is known
 * what the topic makes of it.
 */
export class Probe {
  #going = false
  #turn: object | undefined
  #waiting: (() => void)[] = []

  /** Once `signal` is aborted nobody waits any more. */
  constructor(signal: AbortSignal) {
    signal.addEventListener('abort', () => this.end(), { once: true })
  }

  /** From now on one lane finds out for all. */
  begin(): void {
    this.#going = true
    this.#turn = undefined
  }

  /** It is known: everybody may go on. */
  end(): void {
    this.#going = false
    this.#wake()
  }

  /** Waits until `who` may send: `probe` one record, or `free` whatever it has. */
  async turn(who: object): Promise<'probe' | 'free'> {
    while (this.#going && this.#turn !== undefined && this.#turn !== who) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve))
    }
    if (!this.#going) return 'free'
    this.#turn = who
    return 'probe'
  }

  /** `who` cannot find it out: the next one's turn. */
  pass(who: object): void {
    if (this.#turn !== who) return
    this.#turn = undefined
    this.#wake()
  }

  #wake(): void {
    for (const resolve of this.#waiting.splice(0)) resolve()
  }
}
