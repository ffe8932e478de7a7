import type { RelayContext } from '../context.ts'
import type { NumberedBatch, Settlement } from '../settle/settlement.ts'
import type { Lane } from './lane.ts'

/**
 * Recorded batches of a topic whose partitions are not known yet, or have just changed. `Topic` owns it.
 * Keeps rules 20 and 27 of docs/protocol.md.
 */
export class WaitingBatches {
  readonly #context: RelayContext
  readonly #settlement: Settlement
  #batches: NumberedBatch[] = []

  constructor(context: RelayContext, settlement: Settlement) {
    this.#context = context
    this.#settlement = settlement
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
    for (const batch of this.#batches.splice(0)) {
      const lane = lanes[batch.partition]
      if (lane) lane.adopt(batch)
      else void this.#giveUp(batch)
    }
  }

  /** The topic was made again with fewer partitions: what was in the log is gone, and the rows are published as if they had never been sent. */
  async #giveUp(batch: NumberedBatch): Promise<void> {
    const { inFlight, claims, positions } = this.#context.state
    const outcome = {
      kind: 'not-written',
      scope: 'topic',
      code: 'UNKNOWN_TOPIC_OR_PARTITION',
      error: 'No such partition.',
    } as const
    await this.#settlement.decide(batch, outcome, false)
    for (const row of batch.rows) inFlight.drop(row)
    for (const { bucket } of batch.rows) {
      const claim = claims.get(bucket)
      if (claim) positions.rewind(claim)
    }
  }
}
