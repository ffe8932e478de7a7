import type { Fuse } from './fuse.ts'

/** One client of a Kafka package, the sends that it has under way, and the way to end them all. Extended by the client of each transport. */
export abstract class KafkaClient {
  /** Sends under way. Added to by the transport. */
  readonly sends = new Set<Fuse>()
  /** Set when the client is thrown away: it opens no connection any more. */
  protected destroyed = false
  readonly #alive: Set<KafkaClient>
  #retired = false

  /** `alive` holds the client until its sockets are closed. */
  constructor(alive: Set<KafkaClient>) {
    this.#alive = alive
    alive.add(this)
  }

  /** Ends a send; the last one of a retired client closes it. */
  ended(send: Fuse): void {
    this.sends.delete(send)
    if (this.#retired) this.retire()
  }

  /** Lets the sends under way finish, then closes every socket. */
  retire(): void {
    this.#retired = true
    if (this.sends.size === 0) this.destroy()
  }

  /** Closes every socket now, and for good. Nothing is sent after it. */
  destroy(): void {
    this.destroyed = true
    this.#alive.delete(this)
    this.closeSockets()
  }

  /** Closes the sockets that are open. */
  protected abstract closeSockets(): void
}
