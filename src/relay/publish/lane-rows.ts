import type { RelayContext } from '../context.ts'
import type { CarriedRow } from '../state/claim.ts'
import type { Bisection } from './bisection.ts'
import type { LaneTopic } from './lane-topic.ts'
import { bytesOf, Queue } from './send-queue.ts'
import type { Sequence } from './sequence.ts'

/**
 * The rows of a lane: its queue, and beside it the batch that is on its way or kept to be sent again under its numbers. The lane owns it,
 * and decides what becomes of a batch; here it is carried out, so that numbers are forgotten before their batch is let go of.
 * Keeps rules 1 and 21 of docs/protocol.md.
 */
export class LaneRows {
  readonly queue: Queue
  /** The batch beside the queue. The lane sets it with each request, and takes it back with the outcome. */
  batch: readonly CarriedRow[] = []
  readonly #topic: LaneTopic
  readonly #sequence: Sequence
  readonly #bisection: Bisection
  readonly #context: RelayContext

  constructor(topic: LaneTopic, sequence: Sequence, bisection: Bisection, context: RelayContext) {
    this.#topic = topic
    this.#sequence = sequence
    this.#bisection = bisection
    this.#context = context
    this.queue = new Queue(bisection, context)
  }

  /** Rows waiting to be sent, or on their way. */
  get length(): number {
    return this.queue.length + this.batch.length
  }

  get bytes(): number {
    return this.queue.bytes + bytesOf(this.batch)
  }

  /** Lets go of queued rows, and gives them to the caller. */
  letGo(which: (row: CarriedRow) => boolean): CarriedRow[] {
    const gone = this.queue.letGo(which)
    for (const row of gone) this.#context.state.inFlight.drop(row)
    return gone
  }

  /** Keeps the batch beside the queue, if all its buckets are still this relay's; returns what the lane still has of it. */
  keep(batch: readonly CarriedRow[]): readonly CarriedRow[] {
    const { claims } = this.#context.state
    for (const row of batch) row.claim = claims.get(row.bucket) ?? row.claim
    if (!batch.every(isOurs)) return this.giveUp(batch)
    this.batch = batch
    return batch
  }

  /** Forgets the numbers of the batch, and puts back what is still this relay's; returns what went back. */
  giveUp(batch: readonly CarriedRow[]): readonly CarriedRow[] {
    this.#sequence.forget()
    return this.#putBack(batch)
  }

  /** The same for the batch that is kept, if there is one. */
  giveUpKept(): readonly CarriedRow[] {
    const { batch } = this
    this.batch = []
    return batch.length > 0 ? this.giveUp(batch) : batch
  }

  /** A bucket of the batch that is kept was lost, or is to be given back: it is let go of. */
  giveUpLost(): void {
    if (!this.batch.every(isOurs)) this.giveUpKept()
  }

  /**
   * Puts a batch back to the head of the queue. A row whose bucket was lost is let go of; one whose bucket was claimed again goes on under
   * the new claim: let go of, it would stay behind the rows of its key that were read since.
   */
  #putBack(batch: readonly CarriedRow[]): readonly CarriedRow[] {
    const { inFlight, claims } = this.#context.state
    const kept: CarriedRow[] = []
    for (const row of batch) {
      const claim = claims.get(row.bucket)
      if (!claim || claim.leaving || !this.#topic.open) {
        this.#bisection.drop(row)
        if (claim) this.#topic.skip(row)
        inFlight.drop(row)
      } else {
        row.claim = claim
        kept.push(row)
      }
    }
    this.queue.putBack(kept)
    return kept
  }
}

/** Whether the row is to be sent by this relay. */
const isOurs = ({ claim }: CarriedRow): boolean => claim.alive && !claim.leaving
