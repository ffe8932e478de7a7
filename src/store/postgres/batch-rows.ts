// The rows of a recorded batch, as outbox_batch.rows holds them. Keeps rule 27 of docs/protocol-exactly-once.md.

import { createHash } from 'node:crypto'
import { clusterMark } from '../../running/cluster-mark.ts'
import type { RowName } from '../store.ts'

/** Bytes of the mark of the cluster in front, and of the checksum behind it. */
const markBytes = 4
const checksumBytes = 8

/** Beside a bucket: the id is lower than the one before. */
const lower = 0x40

/** A row without its message id, which the checksum stands for. */
export type RowPlace = Pick<RowName, 'bucket' | 'id'>

/**
 * The mark of the cluster, a checksum of the message ids, then each row in the order of the batch: its bucket, and how its id differs from the one before. Three bytes
 * for most rows, where their names would take 25.
 */
export function encodeRows(rows: readonly RowName[], cluster?: string): Buffer {
  const bytes: number[] = [...Buffer.from(clusterMark(cluster), 'hex'), ...checksumOf(rows)]
  let before = 0
  for (const { bucket, id } of rows) {
    bytes.push(id < before ? bucket | lower : bucket)
    pushVarint(bytes, Math.abs(id - before))
    before = id
  }
  return Buffer.from(bytes)
}

/** What {@link encodeRows} wrote. */
export function decodeRows(data: Buffer): { places: RowPlace[]; checksum: Buffer; cluster: string } {
  const places: RowPlace[] = []
  let id = 0
  for (let at = markBytes + checksumBytes; at < data.length; ) {
    const first = data[at++]!
    let value = 0
    let unit = 1
    for (let more = true; more; ) {
      const byte = data[at++]!
      value += (byte & 0x7f) * unit
      unit *= 0x80
      more = byte >= 0x80
    }
    id += first & lower ? -value : value
    places.push({ bucket: first & ~lower, id })
  }
  const checksum = data.subarray(markBytes, markBytes + checksumBytes)
  return { places, checksum, cluster: data.toString('hex', 0, markBytes) }
}

/** The checksum of message ids, in the order of the rows. */
export function checksumOf(rows: readonly Pick<RowName, 'messageId'>[]): Buffer {
  const hash = createHash('sha256')
  for (const { messageId } of rows) hash.update(messageId)
  return hash.digest().subarray(0, checksumBytes)
}

/** Arithmetic instead of shifts: ids have up to 53 bits. */
function pushVarint(bytes: number[], number: number): void {
  let value = number
  while (value >= 0x80) {
    bytes.push((value % 0x80) | 0x80)
    value = Math.floor(value / 0x80)
  }
  bytes.push(value)
}

/** Buckets as the bits of a bigint. */
export const bucketsMask = (buckets: Iterable<number>): bigint => {
  let mask = 0n
  for (const bucket of buckets) mask |= 1n << BigInt(bucket)
  return BigInt.asIntN(64, mask)
}

/** The buckets of a {@link bucketsMask}. */
export const bucketsOf = (mask: bigint): Set<number> => {
  const buckets = new Set<number>()
  for (let bucket = 0; bucket < 64; bucket++) if ((BigInt.asUintN(64, mask) >> BigInt(bucket)) & 1n) buckets.add(bucket)
  return buckets
}
