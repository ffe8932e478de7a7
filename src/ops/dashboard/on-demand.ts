import type { Operator } from '../../store/operator.ts'

/** Milliseconds without a question after which the connection is given back. */
const idleMs = 60_000

/** Questions that may wait in line: a page nobody waits for any more must not keep the database at work. */
const mostWaiting = 8

/** Says that too many pages are asked for at once. */
export class Busy extends Error {}

/** An operator's view of the database that is connected while somebody looks: a dashboard that nobody opens costs no connection. */
export class OperatorOnDemand {
  readonly #open: () => Promise<Operator>
  #operator: Promise<Operator> | undefined
  #waiting = 0
  #timer: NodeJS.Timeout | undefined

  constructor(open: () => Promise<Operator>) {
    this.#open = open
  }

  /** Asks the database; where that fails, the next question connects again. */
  async ask<T>(what: (operator: Operator) => Promise<T>): Promise<T> {
    if (this.#waiting >= mostWaiting) throw new Busy()
    this.#waiting++
    clearTimeout(this.#timer)
    this.#operator ??= this.#open()
    const operator = this.#operator
    try {
      return await what(await operator)
    } catch (error) {
      if (this.#operator === operator) this.close()
      throw error
    } finally {
      this.#waiting--
      if (this.#waiting === 0) this.#timer = setTimeout(() => this.close(), idleMs).unref()
    }
  }

  close(): void {
    clearTimeout(this.#timer)
    const operator = this.#operator
    this.#operator = undefined
    // Anyone who asked is told of a connection that failed.
    operator?.then(
      (one) => one.close(),
      () => {},
    )
  }
}
