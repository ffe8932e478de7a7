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
