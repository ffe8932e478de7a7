import type { RelayContext } from '../context.ts'
import type { CarriedRow } from '../state/claim.ts'
import type { Bisection } from './bisection.ts'
import { probeOf } from './half-open.ts'

/**
 * The rows of a lane that wait to be sent, first in, first out, and the batches that they make.
 * Keeps rules 1 and 3 of docs/protocol.md.
 */
export class Queue {
  readonly #bisection: Bisection
  readonly #context: RelayContext
  #rows: CarriedRow[] = []
  #bytes = 0

  /** `bisection`: those of the lane. A row that is named goes alone, and one that leaves is no longer suspected. */
  constructor(bisection: Bisection, context: RelayContext) {
    this.#bisection = bisection
    this.#context = context
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
    const probe = probeOf(this.#rows, wasRefused, this.#context.random)
    if (probe && probe !== this.#rows[0]) this.#rows = [probe, ...this.#rows.filter((row) => row !== probe)]
  }

  /** Takes the next batch, of `limit` rows at most; a row that Kafka has named at fault comes alone. */
  next(limit: number): CarriedRow[] {
    const { clock, settings, state } = this.#context
    const safe = clock.now() + settings.requestTimeoutMs
    const mostBytes = Math.min(settings.batchBytes, this.#bisection.bytes)
    const batch: CarriedRow[] = []
    let bytes = 0
    let taken = 0
    for (const row of this.#rows) {
      if (batch.length >= limit) break
      if (row.claim.isBlocked(row)) {
        this.#bisection.drop(row)
        state.moves.block(row)
        taken++
        continue
      }
      // A request that could outlive the lease might land after the next owner's.
      if (row.claim.deadline <= safe) break
      if (batch.length > 0 && (bytes + row.bytes > mostBytes || this.#bisection.isNamed(row))) break
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
