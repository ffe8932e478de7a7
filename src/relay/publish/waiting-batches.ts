import { backoff } from '../../running/backoff.ts'
import type { RelayContext } from '../context.ts'
import type { NumberedBatch, Settlement } from '../settle/settlement.ts'
import type { Lane } from './lane.ts'

/** Back-off between two questions about a missing partition, in milliseconds. */
const askAgain = { firstMs: 500, maxMs: 5_000 }

/**
 * Recorded batches of a topic whose partitions are not known yet, or have just changed. `Topic` owns it.
 * Keeps rule 20 of docs/protocol.md and rule 27 of docs/protocol-exactly-once.md.
 */
export class WaitingBatches {
  readonly #context: RelayContext
  readonly #settlement: Settlement
  readonly #recheck: () => void
  #batches: NumberedBatch[] = []
  /** Those without a partition. */
  readonly #watched = new Set<NumberedBatch>()

  /** `recheck` asks for the number of partitions again. */
  constructor(context: RelayContext, settlement: Settlement, recheck: () => void) {
    this.#context = context
    this.#settlement = settlement
    this.#recheck = recheck
  }

  get rows(): number {
    return this.#batches.reduce((sum, { rows }) => sum + rows.length, 0)
  }

  add(batch: NumberedBatch): void {
    this.#batches.push(batch)
  }

  /** Claims have ended, or are to be given back: batches without a bucket of this relay are their next owner's. */
  letGo(): void {
    const { inFlight } = this.#context.state
    this.#batches = this.#batches.filter((batch) => {
      const lost = batch.rows.filter(({ claim }) => !claim.alive || claim.leaving)
      for (const row of lost) inFlight.drop(row)
      if (lost.length < batch.rows.length) return true
      this.#settlement.left(batch)
      return false
    })
  }

  /** The topic has these lanes: each takes its own. */
  into(lanes: readonly Lane[]): void {
    const batches = this.#batches
    this.#batches = batches.filter(({ partition }) => !lanes[partition])
    for (const batch of batches) lanes[batch.partition]?.adopt(batch)
    for (const batch of this.#batches) if (!this.#watched.has(batch)) void this.#watch(batch)
  }

  /**
   * The topic has no such partition. A broker that was cut off may not know it yet, and a copy be in it: the batch waits until the partition is
   * there, or its record is not.
   */
  async #watch(batch: NumberedBatch): Promise<void> {
    const { clock, signal, random } = this.#context
    this.#watched.add(batch)
    for (let attempt = 1; ; attempt++) {
      await clock.wait(backoff(attempt, random(), askAgain), signal)
      const state = this.#waits(batch) ? await this.#settlement.stateOf(batch) : undefined
      if (!this.#waits(batch) || signal.aborted) break
      if (state === 'recorded') this.#missing(batch, attempt)
      else if (state) this.#end(batch, state)
    }
    this.#watched.delete(batch)
  }

  #waits(batch: NumberedBatch): boolean {
    return this.#batches.includes(batch)
  }

  #missing({ topic, partition, rows }: NumberedBatch, attempt: number): void {
    // The first time the topic is only asked again.
    if (attempt === 2) this.#context.telemetry.emit('batch_in_doubt', { topic, partition, records: rows.length, found: null })
    this.#recheck()
  }

  /** Another owner has published it, or an operator has deleted its record: then what is left of it is read again. */
  #end(batch: NumberedBatch, state: 'acknowledged' | 'gone'): void {
    const { inFlight, claims, positions } = this.#context.state
    this.#batches = this.#batches.filter((one) => one !== batch)
    if (state === 'acknowledged') {
      inFlight.acknowledged(batch.rows)
      this.#settlement.acknowledged(batch.rows, batch)
      return
    }
    this.#settlement.left(batch)
    for (const row of batch.rows) inFlight.drop(row)
    for (const bucket of new Set(batch.rows.map((row) => row.bucket))) {
      const claim = claims.get(bucket)
      if (claim) positions.rewind(claim)
    }
  }
}
