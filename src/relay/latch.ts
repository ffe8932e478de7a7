/** Something that one loop waits for and others raise. A raise while nobody waits is kept: a wake-up between two looks is not lost. */
export class Latch {
  #raised = false
  #wake: (() => void) | undefined

  /** Wakes the waiting loop, or the next one to wait. */
  raise(): void {
    this.#raised = true
    this.#wake?.()
  }

  /** Resolves when raised, when `signal` aborts, or after `ms` milliseconds; without `ms` there is no limit. */
  async wait(signal: AbortSignal, ms?: number): Promise<void> {
    if (!this.#raised && !signal.aborted) {
      await new Promise<void>((resolve) => {
        let timer: NodeJS.Timeout | undefined
        const done = () => {
          clearTimeout(timer)
          signal.removeEventListener('abort', done)
          this.#wake = undefined
          resolve()
        }
        this.#wake = done
        signal.addEventListener('abort', done)
        if (ms !== undefined) timer = setTimeout(done, ms)
      })
    }
    this.#raised = false
  }
}
