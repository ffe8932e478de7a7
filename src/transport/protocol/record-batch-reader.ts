import { compressions } from './compression.ts'
import { crc32c } from './crc32c.ts'
import { Unreadable, WireCursor } from './wire-cursor.ts'

/**
 * Reads Kafka's record batches of format 2 (https://kafka.apache.org/41/implementation/message-format/#record-batch), the counterpart of
 * {@link RecordBatch}. Called by `fetch-answer.ts` in place of kafkajs' decoder, which needs a minute for a record with 20,000 headers,
 * fails on a batch of 130,000 records and believes every length. Takes time in proportion to the bytes, and no length beyond them.
 */

/** Bytes of a batch before its records. Its length counts from behind base offset and length. */
const headSize = 61
const lengthEnd = 12

/** Places of the format, the checksum and what it covers, which begins with the attributes. */
const formatAt = 16
const crcAt = 17
const crcEnd = 21

/** Bits of a batch's attributes. */
const compression = 0x07
const logAppendTime = 0x08
const transactional = 0x10
const control = 0x20

/** The fewest bytes of a record with its length, and of a header. */
const leastRecord = 7
const leastHeader = 2

/** What unpacks batches, by the numbers of {@link compressions}: the codecs that are registered with kafkajs. */
export type Codecs = Readonly<Record<number, (() => { decompress(bytes: Buffer): Promise<Buffer> }) | undefined>>

/** What a record shares with those of its batch, in kafkajs' shape. 64-bit numbers are decimal. */
export interface BatchContext {
  firstOffset: string
  firstTimestamp: string
  partitionLeaderEpoch: number
  inTransaction: boolean
  isControlBatch: boolean
  lastOffsetDelta: number
  producerId: string
  producerEpoch: number
  firstSequence: number
  maxTimestamp: string
  /** 0: of the producer, 1: of the broker. */
  timestampType: 0 | 1
  magicByte: 2
}

/** A record in the shape that kafkajs' consumer works on: it leaves out aborted and control records by `batchContext`. */
export interface FetchedRecord {
  magicByte: 2
  attributes: number
  timestamp: string
  offset: string
  key: Buffer | null
  value: Buffer | null
  /** A header that comes several times has all its values. */
  headers: Record<string, Buffer | null | (Buffer | null)[]>
  isControlRecord: boolean
  batchContext: BatchContext
}

/** Whether records of a partition are in a format before 2, which has no headers and no batches. */
export const isOldFormat = (bytes: Buffer): boolean => bytes.length > formatAt && bytes[formatAt]! < 2

/**
 * All records of a partition's part of an answer. The last batch may be cut off: the broker fills the answer up to its limit.
 *
 * @throws Unreadable for a wrong checksum, and for lengths and counts that do not fit.
 */
export async function readBatches(bytes: Buffer, codecs: Codecs): Promise<FetchedRecord[]> {
  const records: FetchedRecord[] = []
  for (let at = 0; bytes.length - at >= headSize; ) {
    const size = lengthEnd + bytes.readInt32BE(at + lengthEnd - 4)
    const offset = bytes.readBigInt64BE(at)
    if (size < headSize) throw new Unreadable('its length is too small', offset)
    if (size > bytes.length - at) break
    try {
      await readBatch(bytes.subarray(at, at + size), codecs, records)
    } catch (error) {
      if (error instanceof Unreadable) throw new Unreadable(error.message, offset, error.cause)
      throw error
    }
    at += size
  }
  return records
}

/** What the records of a batch are counted from. */
interface Base {
  offset: bigint
  timestamp: bigint
  context: BatchContext
}

async function readBatch(bytes: Buffer, codecs: Codecs, into: FetchedRecord[]): Promise<void> {
  if (bytes[formatAt] !== 2) throw new Unreadable('its format is unknown')
  if (crc32c(bytes.subarray(crcEnd)) !== bytes.readUInt32BE(crcAt)) throw new Unreadable('its checksum is wrong')
  const attributes = bytes.readInt16BE(crcEnd)
  const context = contextOf(bytes, attributes)
  const base: Base = { offset: bytes.readBigInt64BE(0), timestamp: bytes.readBigInt64BE(27), context }
  const count = bytes.readInt32BE(headSize - 4)
  const cursor = new WireCursor(await unpacked(bytes.subarray(headSize), attributes & compression, codecs))
  if (count < 0 || count > cursor.left / leastRecord) throw new Unreadable('its number of records is impossible')
  // Without gaps the place in the batch is the offset: a broker does not check what the producer wrote there.
  const dense = count === context.lastOffsetDelta + 1
  for (let i = 0; i < count; i++) into.push(readRecord(cursor, base, dense ? i : undefined))
  if (cursor.left > 0) throw new Unreadable('it has bytes behind its last record')
}

function contextOf(bytes: Buffer, attributes: number): BatchContext {
  return {
    firstOffset: String(bytes.readBigInt64BE(0)),
    firstTimestamp: String(bytes.readBigInt64BE(27)),
    partitionLeaderEpoch: bytes.readInt32BE(12),
    inTransaction: (attributes & transactional) > 0,
    isControlBatch: (attributes & control) > 0,
    lastOffsetDelta: bytes.readInt32BE(23),
    producerId: String(bytes.readBigInt64BE(43)),
    producerEpoch: bytes.readInt16BE(51),
    firstSequence: bytes.readInt32BE(53),
    maxTimestamp: String(bytes.readBigInt64BE(35)),
    timestampType: (attributes & logAppendTime) > 0 ? 1 : 0,
    magicByte: 2,
  }
}

async function unpacked(bytes: Buffer, type: number, codecs: Codecs): Promise<Buffer> {
  if (type === 0 || bytes.length === 0) return bytes
  const make = codecs[type]
  if (!make) throw new Unreadable(`it is compressed in the unknown way ${type}`)
  try {
    return await make().decompress(bytes)
  } catch (cause) {
    throw new Unreadable(`it is compressed with ${compressions[type]} and cannot be decompressed`, undefined, cause)
  }
}

function readRecord(cursor: WireCursor, { offset, timestamp, context }: Base, place: number | undefined): FetchedRecord {
  return cursor.part(cursor.varint(), () => {
    const attributes = cursor.int8()
    const later = timestamp + cursor.varlong()
    const written = cursor.varint()
    const delta = place ?? written
    if (delta < 0 || delta > context.lastOffsetDelta) throw new Unreadable('it has an offset that is not its own')
    return {
      magicByte: 2,
      attributes,
      timestamp: context.timestampType === 1 ? context.maxTimestamp : String(later),
      offset: String(offset + BigInt(delta)),
      key: cursor.varBytes(),
      value: cursor.varBytes(),
      headers: readHeaders(cursor),
      isControlRecord: context.isControlBatch,
      batchContext: context,
    }
  })
}

function readHeaders(cursor: WireCursor): FetchedRecord['headers'] {
  const count = cursor.varint()
  if (count < 0 || count > cursor.left / leastHeader) throw new Unreadable('it has an impossible number of headers')
  const found = new Map<string, Buffer | null | (Buffer | null)[]>()
  for (let i = 0; i < count; i++) {
    const name = cursor.raw(cursor.varint()).toString()
    const value = cursor.varBytes()
    const before = found.get(name)
    if (before === undefined) found.set(name, value)
    else if (Array.isArray(before)) before.push(value)
    else found.set(name, [before, value])
  }
  // Unlike an assignment it also makes a plain property of `__proto__`.
  return Object.fromEntries(found)
}
