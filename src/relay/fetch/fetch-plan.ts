import type { Scan } from '../../store/store.ts'
import type { Lane } from '../publish/lane.ts'
import type { Claim } from '../state/claim.ts'

/** A bucket whose rows all go to one full lane is not read again before this, in milliseconds: the rows would be dropped once more. */
export const fullLaneMs = 50

/** A bucket is asked for so many rows at least: to ask costs more than they do. */
const leastRows = 8

/** A lane with room for so many rows is worth a fetch. */
const worthRows = 64

/** What there is to read into. */
export interface Room {
  /** Rows that may still be taken in flight. */
  rows: number
  /** Bytes that may still be taken in flight. */
  bytes: number
  /** Bytes of a row, as they were lately; 0: not known. */
  rowBytes: number
  /** Rows of one fetch, at most. */
  fetchRows: number
}

/** Rows of the next fetch; 0: there is no room. */
export function rowsOf({ rows, bytes, rowBytes, fetchRows }: Room): number {
  if (rows <= 0 || bytes <= 0) return 0
  const byBytes = rowBytes > 0 ? Math.ceil(bytes / rowBytes) : fetchRows
  return Math.max(1, Math.min(fetchRows, rows, byBytes))
}

/** What the last fetch of a bucket found. */
export interface Last {
  /** The only lane its rows went to. */
  lane: Pick<Lane, 'room'> | undefined
  at: number
  /** Rows to look at the next time. */
  look: number
}

/** What the scans of a fetch depend on, besides the buckets. */
export interface Circumstances {
  /** Rows of the fetch. */
  limit: number
  /** Fetches planned so far. */
  turn: number
  /** Buckets that had rows the last time; 0: not known. */
  active: number
  /** The last fetch brought so little that this one will not reach its limit either. */
  sparse: boolean
  now: number
  /** Rows that a fetch looks at in a bucket of which nothing is known. */
  lookRows: number
}

/**
 * From where, and how many rows, a fetch reads of each bucket. Where few are expected nothing is shared out: with the same limit for all,
 * and in the order of the buckets, the store can ask for all of them at once.
 */
export function scansOf(
  claims: readonly Claim[],
  last: { get(claim: Claim): Last | undefined },
  { limit, turn, active, sparse, now, lookRows }: Circumstances,
): Scan[] {
  const share = sparse ? limit : Math.max(leastRows, Math.ceil(limit / Math.max(1, active || claims.length)))
  // The list begins elsewhere each time: the limit must not starve its end.
  const first = sparse ? 0 : turn
  const scans: Scan[] = []
  for (let i = 0; i < claims.length; i++) {
    const claim = claims[(first + i) % claims.length]!
    const known = last.get(claim)
    const room = known?.lane?.room ?? Number.POSITIVE_INFINITY
    if (room < Math.min(worthRows, share) && known && now - known.at < fullLaneMs) continue
    const rows = Math.max(leastRows, Math.min(share, room))
    scans.push({ bucket: claim.bucket, after: claim.position, limit: rows, look: known?.look ?? lookRows })
  }
  return scans
}
