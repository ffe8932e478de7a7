import type { Inbox } from '../../../src/inbox/index.ts'

/** Counts what a consumer of the shop has applied, which can be waited for. */
export class Progress {
  /** Messages that it has applied, each counted once. */
  applied = 0
  /** Copies that it recognised. */
  copies = 0
  /** Resolves when the consumer has partitions: it then keeps up, and does not take the CPU of the first orders for its start. */
  readonly ready: Promise<void>
  #look = () => {}

  constructor(inbox: Inbox) {
    this.ready = new Promise((resolve) => {
      inbox.telemetry.subscribe((event) => event === 'partitions_assigned' && resolve())
    })
    inbox.telemetry.subscribe((event, fields) => {
      if (event !== 'applied') return
      const { messages, copies } = fields as { messages: number; copies: number }
      this.applied += messages
      this.copies += copies
      this.#look()
    })
  }

  /** Resolves with true when so many messages have been applied; with false after `timeoutMs`. */
  reached(messages: number, timeoutMs: number): Promise<boolean> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve(false), timeoutMs)
      this.#look = () => {
        if (this.applied < messages) return
        clearTimeout(timer)
        resolve(true)
      }
      this.#look()
    })
  }
}
