import { keyDigest } from '../../message/key-digest.ts'
import type { CarriedRow } from '../state/claim.ts'
import { onDeadOf } from '../state/on-dead-letter.ts'

/**
 * Keys of a topic whose records Kafka refused in a row with one code, none accepted in between: many of them are trouble of the topic, not
 * of the messages (rule 4). `Topic` owns it; its lanes add to it.
 */
export class Refusals {
  readonly #topic: string
  /** A dead letter blocks nothing behind it: each message counts for itself, or one key alone could empty a topic that takes nothing. */
  readonly #skips: boolean
  #code = ''
  #refused = new Set<string>()

  constructor(topic: string, onDeadLetter: Parameters<typeof onDeadOf>[0]) {
    this.#topic = topic
    this.#skips = onDeadOf(onDeadLetter, topic) === 'skip'
  }

  /** Keys refused with that code since a record was accepted. */
  count(code: string): number {
    return code === this.#code ? this.#refused.size : 0
  }

  add(code: string, row: CarriedRow): void {
    if (code !== this.#code) this.#refused = new Set()
    this.#code = code
    this.#refused.add(this.#counted(row))
  }

  /** Whether a record of its key was refused since one was accepted. */
  has(row: CarriedRow): boolean {
    return this.#refused.has(this.#counted(row))
  }

  /** A record was accepted. */
  clear(): void {
    this.#refused.clear()
  }

  #counted(row: CarriedRow): string {
    return row.key === null || this.#skips ? row.messageId : keyDigest(this.#topic, row.key)
  }
}
