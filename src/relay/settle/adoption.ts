import { clocksMs, type RecordedBatch, type StoreSession } from '../../store/store.ts'
import { producerKeptMs } from '../../transport/transport.ts'
import type { RelayContext } from '../context.ts'
import type { Topics } from '../publish/topics.ts'
import { Claim } from '../state/claim.ts'
import type { Recorder } from './recorder.ts'
import { type NumberedBatch, nameOf } from './settlement.ts'

/**
 * Puts the recorded batches of claimed buckets to the head of their lanes. The leases read them after the claim has committed, and hand them over with
 * the claims: nothing of a bucket is read before.
 * Keeps rule 27 of docs/protocol-exactly-once.md.
 */
export class Adoption {
  readonly #context: RelayContext
  readonly #topics: Topics
  readonly #recorder: Recorder
  /** Batches that ended since the last read began. */
  #landed: ReadonlySet<string> = new Set()

  constructor(context: RelayContext, topics: Topics, recorder: Recorder) {
    this.#context = context
    this.#topics = topics
    this.#recorder = recorder
  }

  /** Whether nothing that it has adopted is recorded any more. */
  get isDone(): boolean {
    return !this.#recorder.hasAdopted
  }

  /** The recorded batches with rows of these buckets. */
  read(session: StoreSession, buckets: readonly number[]): Promise<RecordedBatch[]> {
    this.#landed = this.#recorder.watchLandings()
    return session.batchesOf(buckets)
  }

  /** The buckets of these batches are claimed. */
  hand(batches: readonly RecordedBatch[]): void {
    let rows = 0
    for (const batch of batches) {
      const known = this.#recorder.known(batch)
      if (known) this.#claim(known)
      else if (!this.#landed.has(nameOf(batch))) rows += this.#adopt(batch)
    }
    if (rows > 0) this.#context.telemetry.emit('batches_adopted', { batches: batches.length, rows })
  }

  /** A lane of this relay has it: its rows of buckets that were claimed again are this relay's. */
  #claim({ rows }: NumberedBatch): void {
    const { claims, inFlight } = this.#context.state
    for (const row of rows) {
      const claim = claims.get(row.bucket)
      if (!claim) continue
      row.claim = claim
      if (inFlight.knows(row) === 'no') inFlight.add(row)
    }
  }

  /** Returns the rows that it has. */
  #adopt(batch: RecordedBatch): number {
    const { claims, inFlight } = this.#context.state
    const { producerId, epoch, topic, partition, sequence, recordedAt, cluster } = batch
    const name = { producerId, epoch, topic, partition, sequence }
    if (batch.rows.length === 0) {
      this.#recorder.landed(name)
      return 0
    }
    // Of a batch with rows of other buckets, every owner sends all.
    const rows = batch.rows.map((row) =>
      Object.assign(row, { claim: claims.get(row.bucket) ?? foreign(row.bucket), heldBytes: row.bytes }),
    )
    for (const row of rows) if (row.claim.alive) inFlight.add(row)
    const numbered = { ...name, rows, recordedAt, mark: cluster, lookUp: this.#isLookedUp(batch) }
    this.#recorder.adopt(numbered)
    if (batch.acknowledged) this.#recorder.acknowledged(rows, numbered)
    else this.#topics.adopt(numbered)
    return rows.length
  }

  /** Whether it cannot be sent again under its numbers, or nobody knows, because of a clock. */
  #isLookedUp({ whole, recordedAt, ageMs }: RecordedBatch): boolean {
    const ownAgeMs = this.#context.clock.date() - recordedAt
    return !whole || Math.max(ageMs, ownAgeMs) > producerKeptMs || ownAgeMs < -clocksMs
  }
}

/** Stands for the claim of another relay. */
function foreign(bucket: number): Claim {
  const claim = new Claim({ bucket, epoch: -1 }, Number.NEGATIVE_INFINITY)
  claim.alive = false
  return claim
}
