import type { BatchNumbers, TransportRecord } from '../transport.ts'
import type { Compressor } from './compression.ts'
import { crc32c } from './crc32c.ts'

/** -1 as a varint: the length of a key or value that is null. */
const nullLength = 1

/** Bytes of a batch before its records, and those of them that its length leaves out: base offset and length itself. */
const headSize = 61
const lengthEnd = 12

/** What the checksum covers begins with the attributes, behind the checksum. */
const crcAt = 17
const crcEnd = 21

/**
 * A batch in Kafka's format 2 (https://kafka.apache.org/41/implementation/message-format/#record-batch), measured, so that it can be written
 * straight into a request. The clients make a buffer for each record, header and number, and copy a batch from one to the next: more than
 * half of what a relay did was that. A batch that a compressor does not make smaller is written without compression, so compression never
 * takes it past a limit.
 */
export class RecordBatch {
  /** Bytes of the batch. */
  readonly size: number
  readonly #records: readonly TransportRecord[]
  readonly #numbers: BatchNumbers | undefined
  readonly #sizes: number[]
  /** The records after compression, and the number of its codec; undefined: they are written as they are. */
  readonly #compressed: { bytes: Uint8Array; codec: number } | undefined

  constructor(records: readonly TransportRecord[], numbers?: BatchNumbers, compressor?: Compressor) {
    this.#records = records
    this.#numbers = numbers
    this.#sizes = records.map(bodySize)
    const size = this.#sizes.reduce((sum, size) => sum + lengthSize(size) + size, 0)
    this.#compressed = compressor && this.#compress(compressor, size)
    this.size = headSize + (this.#compressed?.bytes.length ?? size)
  }

  #compress({ compress, number }: Compressor, size: number): { bytes: Uint8Array; codec: number } | undefined {
    const plain = Buffer.allocUnsafe(size)
    this.#writeRecords(plain, 0)
    const bytes = compress(plain)
    return bytes.length < size ? { bytes, codec: number } : undefined
  }

  /** Writes it, as made at `now`; returns the place behind it. */
  write(into: Buffer, at: number, now: number): number {
    const end = at + this.size
    if (this.#compressed) into.set(this.#compressed.bytes, at + headSize)
    else this.#writeRecords(into, at + headSize)
    const time = BigInt(now)
    // No offset yet, no epoch of a leader, format 2.
    into.writeBigInt64BE(0n, at)
    into.writeInt32BE(this.size - lengthEnd, at + 8)
    into.writeInt32BE(0, at + 12)
    into[at + 16] = 2
    // Timestamps of the client, neither of a transaction nor control.
    into.writeInt16BE(this.#compressed?.codec ?? 0, at + crcEnd)
    into.writeInt32BE(this.#records.length - 1, at + 23)
    into.writeBigInt64BE(time, at + 27)
    into.writeBigInt64BE(time, at + 35)
    // Without numbers no producer id: not idempotent.
    into.writeBigInt64BE(this.#numbers?.producerId ?? -1n, at + 43)
    into.writeInt16BE(this.#numbers?.epoch ?? 0, at + 51)
    into.writeInt32BE(this.#numbers?.sequence ?? 0, at + 53)
    into.writeInt32BE(this.#records.length, at + 57)
    into.writeUInt32BE(crc32c(into.subarray(at + crcEnd, end)), at + crcAt)
    return end
  }

  /** One after the other, with offsets from 0 and all timestamps that of the batch. */
  #writeRecords(into: Buffer, start: number): void {
    let at = start
    for (const [i, { key, value, headers }] of this.#records.entries()) {
      at = writeLength(into, at, this.#sizes[i]!)
      // Attributes and timestamp delta.
      into[at++] = 0
      into[at++] = 0
      at = writeLength(into, at, i)
      at = writeBytes(into, at, key)
      at = writeBytes(into, at, value)
      const names = Object.keys(headers)
      at = writeLength(into, at, names.length)
      for (const name of names) at = writeText(into, writeText(into, at, name), headers[name]!)
    }
  }
}

function bodySize({ key, value, headers }: TransportRecord, offset: number): number {
  const names = Object.keys(headers)
  let size = 2 + lengthSize(offset) + bytesSize(key) + bytesSize(value) + lengthSize(names.length)
  for (const name of names) size += textSize(name) + textSize(headers[name]!)
  return size
}

const bytesSize = (bytes: Uint8Array | null): number => (bytes === null ? 1 : lengthSize(bytes.length) + bytes.length)

function textSize(text: string): number {
  const size = Buffer.byteLength(text)
  return lengthSize(size) + size
}

/** Bytes of a length as a varint. Lengths stay below 2^30: what is longer never passes the limits of a relay. */
function lengthSize(length: number): number {
  let size = 1
  for (let rest = length >>> 6; rest > 0; rest >>>= 7) size++
  return size
}

/** Writes a length of 0 or more as a zigzag varint; returns the place behind it. */
function writeLength(into: Buffer, at: number, length: number): number {
  let rest = length << 1
  while (rest > 0x7f) {
    into[at++] = (rest & 0x7f) | 0x80
    rest >>>= 7
  }
  into[at++] = rest
  return at
}

function writeBytes(into: Buffer, at: number, bytes: Uint8Array | null): number {
  if (bytes === null) {
    into[at] = nullLength
    return at + 1
  }
  const start = writeLength(into, at, bytes.length)
  into.set(bytes, start)
  return start + bytes.length
}

function writeText(into: Buffer, at: number, text: string): number {
  const start = writeLength(into, at, Buffer.byteLength(text))
  return start + into.write(text, start)
}
