import type { Clock } from '../../running/clock.ts'

/** Reason of an abort that nobody reads: without one Node makes an exception with its stack, ten times as dear as the abort. */
const raised = 'raised'

/** Something that one loop waits for and others raise. A raise while nobody waits is kept: a wake-up between two looks is not lost. */
export class Signal {
  readonly #clock: Clock
  #raised = false
  #wake: (() => void) | undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Wakes the waiting loop, or the next one to wait. */
  raise(): void {
    this.#raised = true
    this.#wake?.()
  }

  /** Forgets a raise that nobody has waited for. */
  clear(): void {
    this.#raised = false
  }

  /** Resolves when raised, when `signal` aborts, or after `ms` milliseconds; without `ms` there is no limit. */
  async wait(signal: AbortSignal, ms?: number): Promise<void> {
    if (!this.#raised && !signal.aborted) {
      const over = new AbortController()
      const wake = () => over.abort(raised)
      this.#wake = wake
      signal.addEventListener('abort', wake)
      if (ms === undefined) await new Promise((resolve) => over.signal.addEventListener('abort', resolve))
      else await this.#clock.wait(ms, over.signal)
      signal.removeEventListener('abort', wake)
      this.#wake = undefined
    }
    this.#raised = false
  }
}
