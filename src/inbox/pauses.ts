import type { EachBatchPayload } from 'kafkajs'

/** Partitions that stand still for a while: kafkajs reads each again, from where it stands, when its time is over. */
export class Pauses {
  readonly #waiting = new Set<NodeJS.Timeout>()

  /** Pauses the partition of a batch for `ms` milliseconds. */
  begin(payload: EachBatchPayload, ms: number): void {
    const resume = payload.pause()
    const timer = setTimeout(() => {
      this.#waiting.delete(timer)
      resume()
    }, ms)
    this.#waiting.add(timer)
  }

  /** Forgets them all: the consumer ends. */
  forget(): void {
    for (const timer of this.#waiting) clearTimeout(timer)
    this.#waiting.clear()
  }
}
