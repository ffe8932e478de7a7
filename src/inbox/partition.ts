import type { EachBatchPayload } from 'kafkajs'

// What a reader keeps of a partition while it works: heartbeats, pauses, and the attempts of the message at its head. The readers of inbox and
// projection use it.

/**
 * Milliseconds between two checks whether a heartbeat is due: kafkajs sends one only every `heartbeatInterval`, 3 s by default, and only
 * between batches unless it is asked to.
 */
const heartbeatCheckMs = 500

/** Heartbeats while a handler runs: without them the group would take the member for dead, and its work would begin again elsewhere. */
export class Heartbeat {
  readonly #timer: NodeJS.Timeout
  #error: unknown

  constructor(heartbeat: () => Promise<void>) {
    this.#timer = setInterval(() => {
      heartbeat().catch((error: unknown) => {
        this.#error ??= error
      })
    }, heartbeatCheckMs)
  }

  /** Whether the group goes on without this member: then finish the transaction, and release the rest. */
  get lost(): boolean {
    return this.#error !== undefined
  }

  /** Ends them. Throws the error of a heartbeat: kafkajs joins the group again for it. */
  end(): void {
    clearInterval(this.#timer)
    if (this.#error !== undefined) throw this.#error
  }
}

/** Partitions that stand still for a while: kafkajs reads each again, from its position, when its time is over. */
export class Pauses {
  readonly #timers = new Set<NodeJS.Timeout>()

  /** Pauses the partition of a batch for `ms` milliseconds. */
  begin(payload: EachBatchPayload, ms: number): void {
    const resume = payload.pause()
    const timer = setTimeout(() => {
      this.#timers.delete(timer)
      resume()
    }, ms)
    this.#timers.add(timer)
  }

  /** Forgets them all: the consumer ends. */
  forget(): void {
    for (const timer of this.#timers) clearTimeout(timer)
    this.#timers.clear()
  }
}

/**
 * Remembers of a partition how often the message at its head has failed. Messages go by their identity: an offset comes again in a
 * recreated topic. It forgets with the process.
 */
export class PartitionMemory {
  #identity = ''
  #tries = 0
  #attempts = 0
  /** Code of the last failure of that message that may have been the database's. */
  #lastCode: string | undefined
  #alone: ReadonlySet<string> = new Set()

  /** Whether the message is tried alone, because a batch with it failed. */
  alone(identity: string): boolean {
    return this.#alone.has(identity)
  }

  /** A batch failed: its messages are tried one by one. */
  split(identities: Iterable<string>): void {
    this.#alone = new Set(identities)
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
  failedSoBefore(identity: string, code: string): boolean {
    this.#turnTo(identity)
    const again = this.#lastCode === code
    this.#lastCode = code
    return again
  }

  #turnTo(identity: string): void {
    if (identity === this.#identity) return
    this.#identity = identity
    this.#tries = 0
    this.#attempts = 0
    this.#lastCode = undefined
  }
}
