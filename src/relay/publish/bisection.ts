import type { Outcome } from '../../transport/transport.ts'
import type { CarriedRow } from '../state/claim.ts'

/** Codes of a batch that is larger than the topic, or the broker, takes. */
const tooLarge = new Set(['MESSAGE_TOO_LARGE', 'RECORD_LIST_TOO_LARGE'])

/** After so many acknowledgements twice the bytes are tried: the limit of the topic may have been raised. */
const growAfter = 256

/**
 * Which rows of a lane may be at fault for a refusal, and how many are sent together until that is known. A batch that was refused as a
 * whole is sent again in halves. A row that Kafka has named comes alone, with the answer that it already has. If all halves fit in the
 * end, the topic takes less than a batch, and the size that fitted is remembered.
 * Keeps rule 4 of docs/protocol.md.
 */
export class Bisection {
  readonly #most: number
  /** Records of the next request, at most. */
  #limit: number
  /** Rows at the head of the queue that were refused together: one of them is at fault. */
  #refused = 0
  /** They were refused because together they are too large. */
  #tooLarge = false
  /** Bytes of the largest batch of theirs that was acknowledged. */
  #fitted = 0
  /** Bytes that the topic takes in one request, as far as is known. */
  #bytes = Number.POSITIVE_INFINITY
  /** Acknowledgements since that was learned, or tried to be more. */
  #acked = 0
  readonly #named = new Map<CarriedRow, Outcome>()

  /** `most`: records of one request while nothing is suspected. */
  constructor(most: number) {
    this.#most = most
    this.#limit = most
  }

  get limit(): number {
    return this.#limit
  }

  /** Bytes of the next request, at most; a row that is larger goes alone. */
  get bytes(): number {
    return this.#bytes
  }

  /** Kafka's answer to a row that it has named: it is the row's without being sent again. */
  answerTo(row: CarriedRow | undefined): Outcome | undefined {
    return row && this.#named.get(row)
  }

  isNamed(row: CarriedRow): boolean {
    return this.#named.has(row)
  }

  /** So many rows were refused with that code, and nobody says which of them is at fault. */
  halve(rows: number, code: string): void {
    if (this.#refused === 0) this.#fitted = 0
    this.#tooLarge = tooLarge.has(code)
    this.#refused = rows
    this.#limit = Math.ceil(rows / 2)
  }

  /** Kafka has said which rows are at fault. */
  name(rows: readonly CarriedRow[], answer: Outcome): void {
    this.#refused = 0
    for (const row of rows) this.#named.set(row, answer)
  }

  /** So many rows of so many bytes were acknowledged: what is left of those that were refused is halved on. */
  cleared(rows: number, bytes: number): void {
    if (this.#refused > 0) {
      this.#fitted = Math.max(this.#fitted, bytes)
      // All of them fit, only not together.
      if (this.#refused <= rows && this.#tooLarge) this.#learned(this.#fitted)
    } else if (++this.#acked >= growAfter) this.#learned(this.#bytes * 2)
    this.#refused = Math.max(0, this.#refused - rows)
    this.#limit = this.#refused > 0 ? Math.ceil(this.#refused / 2) : this.#most
  }

  /** The row at fault is found. */
  found(row: CarriedRow): void {
    this.#named.delete(row)
    this.#refused = 0
    this.#limit = this.#most
  }

  #learned(bytes: number): void {
    this.#bytes = bytes
    this.#acked = 0
  }

  /** The row leaves the lane. */
  drop(row: CarriedRow): void {
    this.#named.delete(row)
  }

  /** Rows left the queue, perhaps those that were refused together. */
  dropAll(rows: readonly CarriedRow[]): void {
    this.#refused = 0
    for (const row of rows) this.#named.delete(row)
  }
}
