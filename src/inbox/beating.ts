/**
 * Milliseconds between two looks whether a heartbeat is due: kafkajs sends one only every `heartbeatInterval`, 3 s by default, and only
 * between batches unless it is asked to.
 */
const lookMs = 500

/** Heartbeats while a handler runs: without them the group would take the member for dead, and its work would begin again elsewhere. */
export class Beating {
  readonly #timer: NodeJS.Timeout
  #error: unknown

  constructor(heartbeat: () => Promise<void>) {
    this.#timer = setInterval(() => {
      heartbeat().catch((error: unknown) => {
        this.#error ??= error
      })
    }, lookMs)
  }

  /** Whether the group goes on without this member: then finish the transaction, and let go of the rest. */
  get lost(): boolean {
    return this.#error !== undefined
  }

  /** Ends them. Throws what a heartbeat threw: kafkajs joins the group again for it. */
  end(): void {
    clearInterval(this.#timer)
    if (this.#error !== undefined) throw this.#error
  }
}
