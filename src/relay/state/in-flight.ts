import { bucketCount } from '../../message/key.ts'
import type { OutboxRow } from '../../store/store.ts'
import type { CarriedRow } from './claim.ts'

/** How much the relay has in flight at most. */
export interface InFlightLimits {
  /** Rows read and not yet deleted. */
  maxInFlight: number
  /** Bytes read and not yet acknowledged. */
  maxInFlightBytes: number
}

/** Every lane may have this part of the limits, whatever the others have. */
const leastShare = 1 / 4

/** A lane may have this many times what is still free: alone it leaves a quarter to the next one. */
const shareOfFree = 3

/**
 * The batches that stuck lanes keep count up to this part of the limits: the rest is there for lanes that progress. Recorded batches are kept
 * without a limit, so that together with them there may be as much more.
 */
const keptShare = 1 / 2

/**
 * The rows in flight: read and not yet deleted. All back-pressure stands here: the reader stops while too many rows or bytes are in flight, so
 * a slow Kafka and a slow database both slow the reading down. It also says how much of the room a lane may have (rule 8).
 * Keeps rules 9 and 12 of docs/protocol.md.
 */
export class InFlight {
  readonly #limits: InFlightLimits
  readonly #rows = new Map<number, CarriedRow>()
  /** Rows of the batches that stuck lanes keep. */
  readonly #kept = new Set<CarriedRow>()
  #keptBytes = 0
  readonly #perBucket = new Int32Array(bucketCount)
  #bytes = 0
  #deleted = new Map<number, string>()
  /** Rows that wait for somebody's lock: known, but of no weight. */
  readonly #aside = new Set<CarriedRow>()
  /** Rows whose ids may by now be those of other messages. */
  readonly #doubtful = new Set<CarriedRow>()

  constructor(limits: InFlightLimits) {
    this.#limits = limits
  }

  get size(): number {
    return this.#rows.size - this.#aside.size
  }

  /** Bytes of the rows whose values are in memory. */
  get bytes(): number {
    return this.#bytes
  }

  /** Rows that may still be read. */
  get freeRows(): number {
    const { maxInFlight } = this.#limits
    const free = maxInFlight - (this.size - this.#kept.size) - Math.min(this.#kept.size, maxInFlight * keptShare)
    return Math.min(free, maxInFlight * (1 + keptShare) - this.size)
  }

  /** Bytes that may still be read. */
  get freeBytes(): number {
    const { maxInFlightBytes } = this.#limits
    const free = maxInFlightBytes - (this.#bytes - this.#keptBytes) - Math.min(this.#keptBytes, maxInFlightBytes * keptShare)
    return Math.min(free, maxInFlightBytes * (1 + keptShare) - this.#bytes)
  }

  /** Whether so little is free that a lane that does not progress must give up what others could use. */
  get tight(): boolean {
    const { maxInFlight, maxInFlightBytes } = this.#limits
    return this.freeRows < maxInFlight * leastShare || this.freeBytes < maxInFlightBytes * leastShare
  }

  /** Rows that one lane may have now. */
  get shareRows(): number {
    return Math.max(1, Math.floor(this.#limits.maxInFlight * leastShare), shareOfFree * Math.floor(this.freeRows))
  }

  /** Bytes that one lane may have now. */
  get shareBytes(): number {
    return Math.max(this.#limits.maxInFlightBytes * leastShare, shareOfFree * this.freeBytes)
  }

  /**
   * Whether a stuck lane may keep this batch: all stuck lanes together keep half of the limits, or one record each. `doubtful`: a part of the
   * batch, sent again, would be copies (rule 21); such batches are kept up to the limits.
   */
  mayKeep(batch: readonly CarriedRow[], { doubtful = false } = {}): boolean {
    const { maxInFlight, maxInFlightBytes } = this.#limits
    const share = doubtful ? 1 : keptShare
    const bytes = batch.reduce((sum, row) => sum + row.bytes, this.#keptBytes)
    return batch.length <= 1 || (this.#kept.size + batch.length <= maxInFlight * share && bytes <= maxInFlightBytes * share)
  }

  /** A stuck lane keeps these rows. */
  keep(batch: readonly CarriedRow[]): void {
    for (const row of batch) {
      if (this.#kept.has(row) || this.#rows.get(row.id) !== row) continue
      this.#kept.add(row)
      this.#keptBytes += row.bytes
    }
  }

  /** The lane of these rows progresses again, or they leave it. */
  unkeep(batch: Iterable<CarriedRow>): void {
    for (const row of batch) if (this.#kept.delete(row)) this.#keptBytes -= row.bytes
  }

  inBucket(bucket: number): number {
    return this.#perBucket[bucket]!
  }

  add(row: CarriedRow): void {
    this.#rows.set(row.id, row)
    this.#perBucket[row.bucket]!++
    this.#bytes += row.heldBytes
  }

  /** Kafka has the rows: until they are deleted only their names are needed. */
  acknowledged(rows: readonly CarriedRow[]): void {
    if (this.#kept.size > 0) this.unkeep(rows)
    for (const row of rows) {
      row.value = null
      if (this.#rows.get(row.id) !== row) continue
      this.#bytes -= row.heldBytes
      row.heldBytes = 0
    }
  }

  /** The row is no longer the relay's business: let go of, moved or found gone. */
  drop(row: CarriedRow): void {
    if (this.#rows.get(row.id) !== row) return
    this.#rows.delete(row.id)
    this.#doubtful.delete(row)
    if (this.#kept.size > 0) this.unkeep([row])
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
    this.#bytes -= row.heldBytes
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

  /** The server or the connection was replaced: after a failover the ids of what is in flight may come a second time. */
  doubtIds(): void {
    for (const row of this.#rows.values()) this.#doubtful.add(row)
  }

  /**
   * Ids in flight above the position of their claim: a fetch would read these again. Not those in doubt: left out by its id, another message
   * would be overtaken by what comes after it.
   */
  idsAbove(position: (bucket: number) => number): number[] {
    const ids: number[] = []
    for (const row of this.#rows.values()) if (row.id > position(row.bucket) && !this.#doubtful.has(row)) ids.push(row.id)
    return ids
  }
}
