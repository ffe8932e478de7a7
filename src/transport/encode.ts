import type { TransportRecord } from './transport.ts'

/** -1 as a varint: the length of a key or value that is null. */
const nullLength = 1

/**
 * The records of a batch in Kafka's format 2, one after the other, with offsets from 0 and all timestamps that of the batch
 * (https://kafka.apache.org/41/implementation/message-format/#record). One buffer for all of them.
 */
export function encodeRecords(records: readonly TransportRecord[]): Buffer {
  const sizes = records.map(bodySize)
  const bytes = Buffer.allocUnsafe(sizes.reduce((sum, size) => sum + lengthSize(size) + size, 0))
  let at = 0
  for (const [i, { key, value, headers }] of records.entries()) {
    at = writeLength(bytes, at, sizes[i]!)
    // Attributes and timestamp delta.
    bytes[at++] = 0
    bytes[at++] = 0
    at = writeLength(bytes, at, i)
    at = writeBytes(bytes, at, key)
    at = writeBytes(bytes, at, value)
    const names = Object.keys(headers)
    at = writeLength(bytes, at, names.length)
    for (const name of names) at = writeText(bytes, writeText(bytes, at, name), headers[name]!)
  }
  return bytes
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
