import { bucketCount } from '../../message/key.ts'

/** What a relay should do about its number of buckets. */
export interface ShareStep {
  /** Claim up to this many. */
  take: number
  /** Give this many back. */
  leave: number
}

/**
 * Fair share: the buckets divided by the living relays, rounded up, so that all shares together cover all buckets. A relay that has
 * fewer claims what is free; one that has more gives the surplus back.
 */
export function shareStep(owned: number, relays: number): ShareStep {
  const share = Math.ceil(bucketCount / Math.max(1, relays))
  return { take: Math.max(0, share - owned), leave: Math.max(0, owned - share) }
}

/** What a relay and its live peers last had from Kafka, at one heartbeat. */
export interface Standing {
  /** Milliseconds on the relay's clock. */
  now: number
  /** When this relay last had it, or was in no need of it, on its clock. */
  ownAt: number
  /** Milliseconds since a peer last had it; null: none ever had. */
  peerMsAgo: number | null
  /** Questions that this relay has put to brokers so far. */
  asked: number
}

/**
 * Knows since which question a peer is ahead: it had from Kafka what this relay waits for, later by more than `leadMs`, and not longer
 * ago than `freshMs`. In an outage of all of Kafka one relay is the last that has something; the lead is larger than the time between them.
 * Afterwards one is the first; therefore the others ask once more, after they know of it, before they yield (rule 5).
 */
export class PeerAhead {
  readonly #leadMs: number
  readonly #freshMs: number
  /** On this relay's clock. It only grows while a peer is fresh: one with little to do is not ahead at times only. */
  #peerAt = Number.NEGATIVE_INFINITY
  /** Questions before the heartbeat that told of it. */
  #since: number | undefined

  constructor({ leadMs, freshMs }: { leadMs: number; freshMs: number }) {
    this.#leadMs = leadMs
    this.#freshMs = freshMs
  }

  /** Questions that had been put when it was known; undefined: no peer is ahead. Called at each heartbeat. */
  since({ now, ownAt, peerMsAgo, asked }: Standing): number | undefined {
    const fresh = peerMsAgo !== null && peerMsAgo < this.#freshMs
    this.#peerAt = fresh ? Math.max(this.#peerAt, now - peerMsAgo) : Number.NEGATIVE_INFINITY
    this.#since = this.#peerAt - ownAt > this.#leadMs ? (this.#since ?? asked) : undefined
    return this.#since
  }
}
