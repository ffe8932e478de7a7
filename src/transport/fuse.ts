import type { Outcome, Sending } from './transport.ts'

/**
 * Ends one `send` for good. A client has no way to call a send back: one that hangs (metadata, a login, a stopped broker) goes on when
 * the broker does, and would write long after its deadline, when another relay may own the bucket. The encoder takes the batch through
 * the fuse, so that
 * - a blown fuse means that nothing of the batch is sent any more, and
 * - an unused fuse proves that nothing of it was sent yet.
 *
 * It has two times (rule 3): `timeoutMs` to let the batch through, and once it is through, `waitMs` for its answer.
 */
export class Fuse {
  /** Whether the encoder has begun with the batch: from here on it may be on the wire. */
  used = false
  /** Resolves when the fuse blows, with what that makes of the batch. */
  readonly blown: Promise<Outcome>
  readonly #deadline: number
  readonly #begun = performance.now()
  #answerBy: number
  #timer: NodeJS.Timeout | undefined
  readonly #giveUp: AbortSignal | undefined
  #settle!: (outcome: Outcome) => void
  #blown = false

  /** Blows when the batch was not let through within `timeoutMs`, or not answered within `waitMs`, or when `giveUp` aborts. */
  constructor(timeoutMs: number, { waitMs = timeoutMs, giveUp }: Sending = {}) {
    this.#deadline = this.#begun + timeoutMs
    this.#answerBy = this.#begun + Math.max(timeoutMs, waitMs)
    this.#giveUp = giveUp
    this.blown = new Promise((resolve) => {
      this.#settle = resolve
    })
    giveUp?.addEventListener('abort', this.#late, { once: true })
    if (giveUp?.aborted) this.#late()
    else this.#timer = setTimeout(this.#look, timeoutMs)
  }

  /** Whether the encoder would be refused. */
  get late(): boolean {
    // The clock as well: after a pause of the process the encoder may run before the timer that blows the fuse.
    return this.#blown || performance.now() >= this.#deadline
  }

  /** Milliseconds in which the encoder is still let through. */
  get leftMs(): number {
    return Math.max(0, this.#deadline - performance.now())
  }

  /** Lets the encoder through, once; throws when the fuse is blown. */
  pass<T>(value: T): T {
    if (this.late) throw Object.assign(new Error('Too late to send.'), { code: 'TIMEOUT' })
    this.used = true
    return value
  }

  /** The broker has told us that it reads nothing for so long: a batch that is on its way is answered so much later. */
  extend(ms: number): void {
    this.#answerBy += ms
  }

  /** Cuts the send off. */
  blow(code: string, error: string): void {
    this.#blown = true
    this.end()
    this.#settle(this.used ? { kind: 'unknown', code, error } : { kind: 'not-written', scope: 'producer', code, error })
  }

  /** The send has ended: nothing is waited for any more. */
  end(): void {
    clearTimeout(this.#timer)
    this.#giveUp?.removeEventListener('abort', this.#late)
  }

  readonly #late = (): void => {
    this.blow('TIMEOUT', `No answer within ${Math.round(performance.now() - this.#begun)} ms.`)
  }

  readonly #look = (): void => {
    const leftMs = (this.used ? this.#answerBy : this.#deadline) - performance.now()
    if (leftMs <= 0) this.#late()
    else this.#timer = setTimeout(this.#look, Math.ceil(leftMs))
  }
}
