/**
 * Remembers of a partition how often the message at its head has failed. Messages go by their identity: an offset comes again in a
 * recreated topic. It forgets with the process.
 */
export class PartitionMemory {
  #identity = ''
  #tries = 0
  #attempts = 0
  /** Code of the last failure of that message that may have been the database's. */
  #doubt: string | undefined
  #singly: ReadonlySet<string> = new Set()

  /** Whether the message is tried alone, because a batch with it failed. */
  singly(identity: string): boolean {
    return this.#singly.has(identity)
  }

  /** A batch failed: its messages are tried one by one. */
  split(identities: Iterable<string>): void {
    this.#singly = new Set(identities)
  }

  /** How often the message has failed in a way that counts towards dead-lettering. */
  attempts(identity: string): number {
    return identity === this.#identity ? this.#attempts : 0
  }

  /** The message failed once more; `counts` towards dead-lettering, or not. */
  failed(identity: string, counts: boolean): { tries: number; attempts: number } {
    this.#turnTo(identity)
    this.#tries++
    if (counts) this.#attempts++
    return { tries: this.#tries, attempts: this.#attempts }
  }

  /** The message failed with a code that may be the database's. True: its last such failure had the same code. */
  doubted(identity: string, code: string): boolean {
    this.#turnTo(identity)
    const again = this.#doubt === code
    this.#doubt = code
    return again
  }

  #turnTo(identity: string): void {
    if (identity === this.#identity) return
    this.#identity = identity
    this.#tries = 0
    this.#attempts = 0
    this.#doubt = undefined
  }
}
