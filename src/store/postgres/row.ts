import type { OutboxRow } from '../store.ts'

/** Microseconds between 1970 and 2000, the epoch of PostgreSQL's binary timestamps. */
const epoch2000 = 946_684_800_000_000

/**
 * Reads one tuple of the fetch statement from PostgreSQL's binary format: every field is a length (-1 for NULL) and its bytes, big-endian.
 * Bytes are copied: the buffer belongs to `pg` and is used again. Rows over `maxRowBytes` come without their value.
 */
export function decodeRow(data: Buffer, start: number, maxRowBytes: number): OutboxRow {
  let at = start
  let length = 0
  const next = (): boolean => {
    length = data.readInt32BE(at)
    at += 4
    return length >= 0
  }
  const text = (): string | null => {
    if (!next()) return null
    const value = data.toString('utf8', at, at + length)
    at += length
    return value
  }
  const copied = (): Buffer | null => {
    if (!next()) return null
    const value = Buffer.allocUnsafe(length)
    data.copy(value, 0, at, at + length)
    at += length
    return value
  }
  const bigint = (): number => {
    next()
    // Two halves are exact up to 2^53 and ten times quicker than a BigInt.
    const value = data.readInt32BE(at) * 0x1_0000_0000 + data.readUInt32BE(at + 4)
    at += 8
    return value
  }
  next()
  const bucket = data.readInt16BE(at)
  at += 2
  const id = bigint()
  const messageId = text()!
  const topic = text()!
  const type = text()
  const key = copied()
  const value = copied()
  const headers = text()
  const createdAt = Math.floor((bigint() + epoch2000) / 1000)
  next()
  const bytes = data.readInt32BE(at)
  return {
    bucket,
    id,
    messageId,
    topic,
    type,
    key,
    value,
    headers: headers === null ? null : JSON.parse(headers),
    createdAt,
    bytes,
    oversized: bytes > maxRowBytes,
  }
}
