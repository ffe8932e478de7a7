import type { Clock } from '../../running/clock.ts'
import type { CarriedRow } from '../state/claim.ts'
import type { Bisection } from './bisection.ts'
import { probeOf } from './half-open.ts'

/** Limits of one request. */
export interface RequestLimits {
  /** Records of one request. */
  batchRecords: number
  /** Bytes of keys, values and headers of one request. */
  batchBytes: number
  /** Milliseconds in which a request is answered, or counts as unknown. */
  requestTimeoutMs: number
}

/** What a queue needs from its surroundings. */
export interface QueueDeps {
  clock: Clock
  limits: RequestLimits
  random: () => number
  /** Takes a row that must wait behind a dead one. */
  moveBlocked: (row: CarriedRow) => void
}

/** The rows of a lane that wait to be sent, first in, first out, and the batches that they make. */
export class Queue {
  readonly #bisection: Bisection
  readonly #deps: QueueDeps
  #rows: CarriedRow[] = []
  #bytes = 0

  /** `bisection`: those of the lane. A row that is named goes alone, and one that leaves is no longer suspected. */
  constructor(bisection: Bisection, deps: QueueDeps) {
    this.#bisection = bisection
    this.#deps = deps
  }

  get length(): number {
    return this.#rows.length
  }

  get bytes(): number {
    return this.#bytes
  }

  /** The first rows, in their order. */
  head(count: number): readonly CarriedRow[] {
    return this.#rows.slice(0, count)
  }

  push(row: CarriedRow): void {
    this.#rows.push(row)
    this.#bytes += row.bytes
  }

  /** Puts a batch that is to be sent again, or what is left of it, back to the head. */
  putBack(rows: readonly CarriedRow[]): void {
    this.#rows = [...rows, ...this.#rows]
    this.#bytes += bytesOf(rows)
  }

  /** Takes rows out and gives them to the caller. */
  letGo(which: (row: CarriedRow) => boolean): CarriedRow[] {
    const gone = this.#rows.filter(which)
    if (gone.length > 0) {
      this.#rows = this.#rows.filter((row) => !which(row))
      this.#bytes -= bytesOf(gone)
      this.#bisection.dropAll(gone)
    }
    return gone
  }

  /** Puts the record that tries the topic in front. It is the first of its key: the order of keys stays. */
  bringForward(wasRefused: (row: CarriedRow) => boolean): void {
    const probe = probeOf(this.#rows, wasRefused, this.#deps.random)
    if (probe && probe !== this.#rows[0]) this.#rows = [probe, ...this.#rows.filter((row) => row !== probe)]
  }

  /** Takes the next batch, of `limit` rows at most; a row that Kafka has named at fault comes alone. */
  next(limit: number): CarriedRow[] {
    const { clock, limits, moveBlocked } = this.#deps
    const safe = clock.now() + limits.requestTimeoutMs
    const batch: CarriedRow[] = []
    let bytes = 0
    let taken = 0
    for (const row of this.#rows) {
      if (batch.length >= limit) break
      if (row.claim.isBlocked(row)) {
        this.#bisection.drop(row)
        moveBlocked(row)
        taken++
        continue
      }
      // A request that could outlive the lease might land after the next owner's.
      if (row.claim.deadline <= safe) break
      if (batch.length > 0 && (bytes + row.bytes > limits.batchBytes || this.#bisection.isNamed(row))) break
      batch.push(row)
      bytes += row.bytes
      taken++
      if (this.#bisection.isNamed(row)) break
    }
    if (taken > 0) {
      this.#bytes -= bytesOf(this.#rows.slice(0, taken))
      this.#rows = this.#rows.slice(taken)
    }
    return batch
  }
}

/** Bytes of keys, values and headers. */
export const bytesOf = (rows: readonly CarriedRow[]): number => rows.reduce((sum, row) => sum + row.bytes, 0)
