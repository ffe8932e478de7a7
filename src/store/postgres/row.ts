import type { OutboxRow } from '../store.ts'

/** Microseconds between 1970 and 2000, the epoch of PostgreSQL's binary timestamps. */
const epoch2000 = 946_684_800_000_000

/**
 * Reads one tuple of the fetch statement from PostgreSQL's binary format: every field is a length (-1 for NULL) and its bytes, big-endian.
 * Rows over `maxRowBytes` come without their value. `onEnd` gets the bucket of a row at which a scan ended.
 */
export function decodeRow(
  data: Buffer,
  start: number,
  maxRowBytes: number,
  onEnd: (bucket: number) => void = () => {},
): OutboxRow {
  const tuple = new Tuple(data, start)
  const bucket = tuple.int16()
  const id = tuple.int64()
  const messageId = tuple.text()!
  const topic = tuple.text()!
  const type = tuple.text()
  const key = tuple.bytes()
  const value = tuple.bytes()
  const headers = tuple.text()
  const createdAt = Math.floor((tuple.int64() + epoch2000) / 1000)
  const size = tuple.int32()
  if (size < 0) onEnd(bucket)
  const bytes = size < 0 ? -1 - size : size
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

/** The fields of a tuple, one after the other. An object with methods: closures over the place cost as much again as the reading. */
class Tuple {
  readonly #data: Buffer
  #at: number

  constructor(data: Buffer, at: number) {
    this.#data = data
    this.#at = at
  }

  int16(): number {
    const at = this.#pass(2)
    return this.#data.readInt16BE(at)
  }

  int32(): number {
    const at = this.#pass(4)
    return this.#data.readInt32BE(at)
  }

  int64(): number {
    const at = this.#pass(8)
    // Two halves are exact up to 2^53 and ten times quicker than a BigInt.
    return this.#data.readInt32BE(at) * 0x1_0000_0000 + this.#data.readUInt32BE(at + 4)
  }

  text(): string | null {
    const length = this.#data.readInt32BE(this.#at)
    if (length < 0) return this.#null()
    const at = this.#pass(length)
    return this.#data.toString('utf8', at, at + length)
  }

  /** A copy: the buffer belongs to `pg` and is used again. */
  bytes(): Buffer | null {
    const length = this.#data.readInt32BE(this.#at)
    if (length < 0) return this.#null()
    const at = this.#pass(length)
    const copy = Buffer.allocUnsafe(length)
    this.#data.copy(copy, 0, at, at + length)
    return copy
  }

  /** Goes on behind a field of that many bytes; returns where they begin. */
  #pass(length: number): number {
    const at = this.#at + 4
    this.#at = at + length
    return at
  }

  #null(): null {
    this.#at += 4
    return null
  }
}
