import { areTwo, clusterMark } from '../../running/cluster-mark.ts'
import type { BatchNumbers, Outcome } from '../../transport/transport.ts'
import type { RelayContext } from '../context.ts'
import type { Decided, NumberedBatch, Settlement } from '../settle/settlement.ts'
import type { CarriedRow } from '../state/claim.ts'
import type { Bisection } from './bisection.ts'
import type { LaneTopic } from './lane-topic.ts'
import { bytesOf, Queue } from './send-queue.ts'
import type { Sequence } from './sequence.ts'

/** What a lane gives its rows. */
export interface LaneParts {
  readonly topic: LaneTopic
  readonly partition: number
  readonly sequence: Sequence
  readonly bisection: Bisection
  readonly settlement: Settlement
}

/**
 * The rows of a lane: its queue, beside it the batch that is on its way or kept to be sent again under its numbers, and the recorded batches that
 * come before the queue. The lane owns it, and decides what becomes of a batch; here it is carried out, so that numbers are forgotten before their
 * batch is let go of.
 * Keeps rules 1, 21, 26 and 27 of docs/protocol.md.
 */
export class LaneRows {
  readonly queue: Queue
  /** The batch beside the queue. The lane sets it with each request, and takes it back with the outcome. */
  batch: readonly CarriedRow[] = []
  readonly #parts: LaneParts
  readonly #context: RelayContext
  /** The record of that batch, once it has one. */
  #recorded: NumberedBatch | undefined
  /** Recorded batches of other lanes, which go first. */
  #adopted: NumberedBatch[] = []

  constructor(parts: LaneParts, context: RelayContext) {
    this.#parts = parts
    this.#context = context
    this.queue = new Queue(parts.bisection, context)
  }

  /** Rows waiting to be sent, or on their way. */
  get length(): number {
    return this.#adopted.reduce((sum, { rows }) => sum + rows.length, this.queue.length + this.batch.length)
  }

  get bytes(): number {
    return this.#adopted.reduce((sum, { rows }) => sum + bytesOf(rows), this.queue.bytes + bytesOf(this.batch))
  }

  /** Whether the next batch is an adopted one, which has its numbers. */
  get isNextAdopted(): boolean {
    return this.batch.length === 0 && this.#adopted.length > 0
  }

  /** Whether the batch beside the queue is not to be sent any more, but looked up in the log. */
  get isLookedUp(): boolean {
    return this.#recorded?.lookUp ?? false
  }

  /** A recorded batch of a bucket that was claimed: it goes before the queue. */
  adopt(batch: NumberedBatch): void {
    this.#adopted.push(batch)
  }

  /**
   * The next batch is an adopted one, and this relay sends to this cluster. If it was recorded for another one, its numbers may be those of
   * somebody else's batch here: the broker would acknowledge it and drop it.
   */
  checkCluster(id: string | undefined): void {
    const [batch] = this.#adopted
    if (!batch?.mark || batch.lookUp || !areTwo(batch.mark, clusterMark(id))) return
    this.#adopted[0] = { ...batch, lookUp: true }
    const { topic, partition, rows } = batch
    this.#context.telemetry.emit('cluster_changed', { topic, partition, records: rows.length })
  }

  /** Puts an adopted batch beside the queue, if nothing is there. */
  takeAdopted(): void {
    if (!this.isNextAdopted) return
    this.#recorded = this.#adopted.shift()!
    this.batch = this.#recorded.rows
    this.#parts.sequence.adopt(this.#recorded, this.batch)
  }

  /** Gives all recorded batches to the lane that this partition has from now on. */
  handOver(): NumberedBatch[] {
    const batches = [...(this.#recorded && this.batch.length > 0 ? [this.#recorded] : []), ...this.#adopted]
    if (batches.length > 0) this.#parts.sequence.leave()
    this.batch = []
    this.#recorded = undefined
    this.#adopted = []
    return batches
  }

  /**
   * Records a batch before it is sent for the first time. Resolves with the buckets that keep it from being sent; `lost`: nobody knows;
   * `unnumbered`: its lane has forgotten its numbers while it waited for its turn.
   */
  async begin(numbers: BatchNumbers | undefined): Promise<ReadonlySet<number> | 'lost' | 'unnumbered'> {
    const { topic, partition, settlement } = this.#parts
    if (!settlement.records || this.#recorded) return none
    if (!numbers) return 'unnumbered'
    const recordedAt = this.#context.clock.date()
    const batch = { ...numbers, topic: topic.name, partition, rows: this.batch, recordedAt }
    const withheld = await settlement.begin(batch).catch(() => 'lost' as const)
    if (withheld !== 'lost' && withheld.size === 0) this.#recorded = batch
    return withheld
  }

  /** What is to be acted on when the batch is not sent again under its numbers. */
  async decide(outcome: Outcome): Promise<Decided> {
    const { settlement, sequence } = this.#parts
    return this.#recorded ? settlement.decide(this.#recorded, outcome, sequence.doubtful) : outcome
  }

  /** Kafka has the batch. */
  acknowledged(batch: readonly CarriedRow[]): void {
    this.#parts.sequence.acknowledged(batch.length)
    this.#context.state.inFlight.acknowledged(batch)
    this.#parts.settlement.acknowledged(batch, this.#recorded)
    this.#recorded = undefined
  }

  /** Lets go of queued rows, and gives them to the caller. */
  letGo(which: (row: CarriedRow) => boolean): CarriedRow[] {
    const gone = this.queue.letGo(which)
    for (const row of gone) this.#context.state.inFlight.drop(row)
    return gone
  }

  /** Keeps the batch beside the queue, if its buckets are still this relay's; returns what the lane still has of it. */
  keep(batch: readonly CarriedRow[]): readonly CarriedRow[] {
    const { claims } = this.#context.state
    for (const row of batch) row.claim = claims.get(row.bucket) ?? row.claim
    if (this.#parts.settlement.records) {
      if (!this.#stays(batch)) return this.leave(batch)
    } else if (!batch.every(isOurs)) return this.giveUp(batch)
    this.batch = batch
    return batch
  }

  /** The batch was not recorded, because of these buckets: without their rows, which the caller skips, it goes back to the queue. */
  unsent(batch: readonly CarriedRow[], buckets: ReadonlySet<number>): CarriedRow[] {
    this.#parts.sequence.unsent()
    this.batch = []
    this.queue.putBack(batch)
    return this.letGo((row) => buckets.has(row.bucket))
  }

  /** The batch was refused for good. */
  forget(): void {
    this.#recorded = undefined
    this.#parts.sequence.forget()
  }

  /** Forgets the numbers of the batch, and puts back what is still this relay's; returns what went back. */
  giveUp(batch: readonly CarriedRow[]): readonly CarriedRow[] {
    this.forget()
    return this.#putBack(batch)
  }

  /** The same for the batch that is kept, if there is one. */
  giveUpKept(): readonly CarriedRow[] {
    const { batch } = this
    this.batch = []
    return batch.length > 0 ? this.giveUp(batch) : batch
  }

  /** Buckets were lost, or are to be given back: lets go of the batches that are not this relay's any more. */
  giveUpLost(): void {
    if (!this.#parts.settlement.records) {
      if (!this.batch.every(isOurs)) this.giveUpKept()
      return
    }
    if (this.batch.length > 0 && !this.#stays(this.batch)) this.leave(this.batch)
    this.#adopted = this.#adopted.filter((batch) => {
      const stays = this.#stays(batch.rows)
      if (!stays) this.#parts.settlement.left(batch)
      return stays
    })
  }

  /** Lets go of a batch that stays recorded: the next owner of its buckets sends it. */
  leave(batch: readonly CarriedRow[]): readonly CarriedRow[] {
    if (this.#recorded) this.#parts.settlement.left(this.#recorded)
    this.#recorded = undefined
    this.batch = []
    this.#parts.sequence.leave()
    for (const row of batch) this.#context.state.inFlight.drop(row)
    return this.batch
  }

  /** The batch is not recorded any more: others have published it, or given it up. What is left of its buckets is read again. */
  readAgain(batch: readonly CarriedRow[]): void {
    const { inFlight, claims, positions } = this.#context.state
    this.forget()
    for (const row of batch) inFlight.drop(row)
    const buckets = new Set(batch.map(({ bucket }) => bucket))
    for (const row of this.letGo((row) => buckets.has(row.bucket))) this.#parts.bisection.drop(row)
    for (const bucket of buckets) {
      const claim = claims.get(bucket)
      if (claim) positions.rewind(claim)
    }
  }

  /** Whether one of the rows is this relay's; those that are not keep no bucket from being given back. */
  #stays(rows: readonly CarriedRow[]): boolean {
    if (!rows.some(isOurs)) {
      for (const row of rows) this.#context.state.inFlight.drop(row)
      return false
    }
    for (const row of rows) if (!isOurs(row)) this.#context.state.inFlight.drop(row)
    return true
  }

  /** Whether the leases of the batch that is kept last until then. */
  lasts(until: number): boolean {
    const { records } = this.#parts.settlement
    return this.batch.every((row) => row.claim.deadline > until || (records && !isOurs(row)))
  }

  /**
   * Puts a batch back to the head of the queue. A row whose bucket was lost is let go of; one whose bucket was claimed again goes on under
   * the new claim: let go of, it would stay behind the rows of its key that were read since.
   */
  #putBack(batch: readonly CarriedRow[]): readonly CarriedRow[] {
    const { inFlight, claims } = this.#context.state
    const { topic, bisection } = this.#parts
    const kept: CarriedRow[] = []
    for (const row of batch) {
      const claim = claims.get(row.bucket)
      if (!claim || claim.leaving || !topic.open) {
        bisection.drop(row)
        if (claim) topic.skip(row)
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

const none: ReadonlySet<number> = new Set()

/** Whether the row is to be sent by this relay. */
const isOurs = ({ claim }: CarriedRow): boolean => claim.alive && !claim.leaving
