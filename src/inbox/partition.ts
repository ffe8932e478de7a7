/** What a consumer remembers of a partition: how often the message at its head has failed. It forgets with the process. */
export class PartitionMemory {
  #offset = ''
  #tries = 0
  #attempts = 0
  #singlyUntil = -1n

  /** Whether messages up to here are tried one by one, because a batch with them failed. */
  singly(offset: string): boolean {
    return BigInt(offset) <= this.#singlyUntil
  }

  /** A batch failed: its messages up to this one are tried one by one. */
  split(lastOffset: string): void {
    this.#singlyUntil = BigInt(lastOffset)
  }

  /** How often the message has failed in a way that counts towards parking. */
  attempts(offset: string): number {
    return offset === this.#offset ? this.#attempts : 0
  }

  /** The message failed once more; `counts` towards parking, or not. */
  failed(offset: string, counts: boolean): { tries: number; attempts: number } {
    if (offset !== this.#offset) {
      this.#offset = offset
      this.#tries = 0
      this.#attempts = 0
    }
    this.#tries++
    if (counts) this.#attempts++
    return { tries: this.#tries, attempts: this.#attempts }
  }
}
