import type { Outcome } from './transport.ts'

/**
 * Ends one `send` for good. A client has no way to call a send back: one that hangs (metadata, a login, a stopped broker) goes on when
 * the broker does, and would write long after its deadline, when another relay may own the bucket. The encoder takes the batch through
 * the fuse, so that
 * - a blown fuse means that nothing of the batch is sent any more, and
 * - an unused fuse proves that nothing of it was sent yet.
 */
export class Fuse {
  /** Whether the encoder has begun with the batch: from here on it may be on the wire. */
  used = false
  /** Resolves when the fuse blows, with what that makes of the batch. */
  readonly blown: Promise<Outcome>
  readonly #deadline: number
  #settle!: (outcome: Outcome) => void
  #blown = false

  /** Blows at the latest in `timeoutMs`. */
  constructor(timeoutMs: number) {
    this.#deadline = performance.now() + timeoutMs
    this.blown = new Promise((resolve) => {
      this.#settle = resolve
    })
  }

  /** Lets the encoder through, once; throws when the fuse is blown. */
  pass<T>(value: T): T {
    // The clock as well: after a pause of the process the encoder may run before the timer that blows the fuse.
    if (this.#blown || performance.now() >= this.#deadline)
      throw Object.assign(new Error('Too late to send.'), { code: 'TIMEOUT' })
    this.used = true
    return value
  }

  /** Cuts the send off. */
  blow(code: string, error: string): void {
    this.#blown = true
    this.#settle(this.used ? { kind: 'unknown', code, error } : { kind: 'not-written', scope: 'producer', code, error })
  }
}
