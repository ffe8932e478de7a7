import { keyDigest } from '../../message/key-digest.ts'
import { type BlockedKey, type IdRange, type Lease, noIds, type OutboxRow } from '../../store/store.ts'
import { Skipped } from './skipped.ts'

/** A row that the relay has read and not yet seen deleted, under the claim that it was read with. */
export interface CarriedRow extends OutboxRow {
  claim: Claim
  /** Bytes of the row in memory: none when it is oversized, and none once Kafka has acknowledged it. Only {@link InFlight} changes it. */
  heldBytes: number
  /** Let go of when Kafka has acknowledged the row. */
  value: Uint8Array | null
}

/**
 * One claim of one bucket: from the moment the lease was granted until it was given back or lost. The relay that claims a bucket starts at
 * position 0 with an empty memory; a new claim of the same bucket is a new object. Each field names who writes it and who reads it.
 * Keeps rule 7 of docs/protocol.md.
 */
export class Claim implements Lease {
  readonly bucket: number
  readonly epoch: number
  /**
   * End of the lease on the relay's monotonic clock, counted from before the granting statement was sent. Written by the leases; read by the
   * send queue before every request.
   */
  deadline: number
  /** False once the lease is lost or given back: nothing may be read, sent or moved under it. Written by {@link Claims}; read by all. */
  alive = true
  /** About to be given back: nothing new is read. Written by the leases; read by all. */
  leaving = false
  /** Rows up to this id have been read, or are skipped by a lane or a topic. Moved on by the reader, back by `Positions`. */
  position = 0
  /** A row found up to here was missed before. Written by `Positions`; read by the route. */
  sweptTo = 0
  /** What stuck lanes have skipped. Written by the reader, which goes past it; forgotten by `Positions`. */
  readonly skipped = new Skipped()
  /** A move takes too long and will be tried again: until then blocked rows stay where they are. Written by the mover; read by `Moves`. */
  moveStuck = false
  /** A redrive took too long, and is not tried again before, on the relay's clock. Written and read by the operator requests. */
  redriveNotBefore = 0
  /** Id of a dead row of each blocked key, by the digest of topic and key. */
  readonly #heads = new Map<string, number>()
  /** Of those with rows from before the ids restarted: which ones go on. */
  readonly #goesOn = new Map<string, IdRange>()

  constructor(lease: Lease, deadline: number, keys: readonly BlockedKey[] = []) {
    this.bucket = lease.bucket
    this.epoch = lease.epoch
    this.deadline = deadline
    for (const blockedKey of keys) this.put(blockedKey)
  }

  /** A blocked key as the table has it; of several of one key the lowest id counts, or the one that tells what goes on. */
  put({ digest, id, goesOn }: BlockedKey): void {
    if (goesOn) this.#goesOn.set(digest, goesOn)
    const known = this.#heads.get(digest)
    if (goesOn || known === undefined || id < known) this.#heads.set(digest, id)
  }

  /** Whether the row must wait behind a dead one of its topic and key. */
  isBlocked(row: Pick<OutboxRow, 'topic' | 'key' | 'id'>): boolean {
    return this.headOf(row) !== undefined
  }

  /** Id of the dead row behind which this one must wait, if there is one. */
  headOf(row: Pick<OutboxRow, 'topic' | 'key' | 'id'>): number | undefined {
    if (this.#heads.size === 0 || row.key === null) return undefined
    const digest = keyDigest(row.topic, row.key)
    const head = this.#heads.get(digest)
    if (head === undefined) return undefined
    const { from, to } = this.#goesOn.get(digest) ?? { from: 0, to: head }
    return row.id >= from && row.id <= to ? undefined : head
  }

  /** Rows of the key after `id` wait from now on; when ids have restarted, all that are not in `goesOn`. */
  block(topic: string, key: Uint8Array | null, id: number, goesOn?: IdRange): void {
    if (key === null) return
    const digest = keyDigest(topic, key)
    const head = this.#heads.get(digest)
    this.#heads.set(digest, Math.min(id, head ?? id))
    // One more dead row of a key that has some from before the ids restarted: no id tells what may go on.
    const range = this.#goesOn.has(digest) ? noIds : goesOn
    if (range) this.#goesOn.set(digest, range)
  }

  /** Rows of the key wait no longer. */
  unblock(topic: string, key: Uint8Array | null): void {
    if (key === null) return
    const digest = keyDigest(topic, key)
    this.#heads.delete(digest)
    this.#goesOn.delete(digest)
  }

  get blockedKeys(): number {
    return this.#heads.size
  }
}

/** The claims that the relay has at present, one at most for each bucket. */
export class Claims {
  readonly #byBucket = new Map<number, Claim>()
  readonly #busyUntil = new Map<number, number>()

  get(bucket: number): Claim | undefined {
    return this.#byBucket.get(bucket)
  }

  add(claim: Claim): void {
    this.#byBucket.set(claim.bucket, claim)
  }

  /** Ends a claim; a newer one of the same bucket stays. */
  end(claim: Claim): void {
    claim.alive = false
    if (this.#byBucket.get(claim.bucket) === claim) this.#byBucket.delete(claim.bucket)
  }

  /**
   * A request of unknown outcome with rows of the bucket may still be appended until then, on the relay's clock: the bucket is not given
   * back before. It outlives the claim: the one that comes after a replaced connection must not forget it.
   */
  keepBusy(bucket: number, until: number): void {
    this.#busyUntil.set(bucket, Math.max(until, this.busyUntil(bucket)))
  }

  busyUntil(bucket: number): number {
    return this.#busyUntil.get(bucket) ?? Number.NEGATIVE_INFINITY
  }

  get all(): Claim[] {
    return [...this.#byBucket.values()]
  }

  get size(): number {
    return this.#byBucket.size
  }
}
