import { bucketCount } from '../message/key.ts'
import type { OutboxRow } from '../store/store.ts'
import type { CarriedRow } from './claim.ts'

/**
 * The rows in hand: read and not yet deleted. All back-pressure stands here: the reader stops while too many rows or bytes are in hand, so
 * a slow Kafka and a slow database both slow the reading down.
 */
export class Hand {
  readonly #rows = new Map<number, CarriedRow>()
  readonly #perBucket = new Int32Array(bucketCount)
  #bytes = 0
  #deleted = new Map<number, string>()
  /** Rows that wait for somebody's lock: known, but of no weight. */
  readonly #aside = new Set<CarriedRow>()
  /** Rows whose ids may by now be those of other messages. */
  readonly #doubtful = new Set<CarriedRow>()

  get size(): number {
    return this.#rows.size - this.#aside.size
  }

  /** Bytes of the rows whose values are in memory. */
  get bytes(): number {
    return this.#bytes
  }

  inBucket(bucket: number): number {
    return this.#perBucket[bucket]!
  }

  add(row: CarriedRow): void {
    this.#rows.set(row.id, row)
    this.#perBucket[row.bucket]!++
    if (!row.oversized) this.#bytes += row.bytes
  }

  /** The row is no longer the relay's business: let go of, moved or found gone. */
  drop(row: CarriedRow): void {
    if (this.#rows.get(row.id) !== row) return
    this.#rows.delete(row.id)
    this.#doubtful.delete(row)
    if (!this.#aside.delete(row)) this.#lighten(row)
  }

  /**
   * The row only waits until somebody's lock ends: it takes no room from others, does not keep its bucket from being given back, and
   * lets go of its value.
   */
  setAside(row: CarriedRow): void {
    if (this.#rows.get(row.id) !== row || this.#aside.has(row)) return
    this.#aside.add(row)
    this.#lighten(row)
    Object.assign(row, { value: null, headers: null })
  }

  #lighten(row: CarriedRow): void {
    this.#perBucket[row.bucket]!--
    if (!row.oversized) this.#bytes -= row.bytes
  }

  /** The row was deleted from the outbox. */
  deleted(row: CarriedRow): void {
    this.drop(row)
    this.#deleted.set(row.id, row.messageId)
  }

  /** A fetch is about to be sent: rows deleted from now on may still be in its answer. */
  fetchSent(): void {
    this.#deleted = new Map()
  }

  /**
   * Whether a row that was just read is one that the relay has, or had and deleted while the fetch was under way. `other`: the id is in
   * hand, but belongs to another message; after a failover ids come a second time.
   */
  knows(row: OutboxRow): 'yes' | 'no' | 'other' {
    const mine = this.#rows.get(row.id)
    if (mine) return mine.messageId === row.messageId ? 'yes' : 'other'
    return this.#deleted.get(row.id) === row.messageId ? 'yes' : 'no'
  }

  /** The server or the connection was replaced: after a failover the ids of what is in hand may come a second time. */
  doubtIds(): void {
    for (const row of this.#rows.values()) this.#doubtful.add(row)
  }

  /**
   * Ids in hand above the position of their claim: a fetch would read these again. Not those in doubt: left out by its id, another message
   * would be overtaken by what comes after it.
   */
  idsAbove(position: (bucket: number) => number): number[] {
    const ids: number[] = []
    for (const row of this.#rows.values()) if (row.id > position(row.bucket) && !this.#doubtful.has(row)) ids.push(row.id)
    return ids
  }
}
