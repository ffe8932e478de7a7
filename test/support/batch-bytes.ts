import { once } from 'node:events'
import { connect } from 'node:net'
import { gzipSync } from 'node:zlib'
import { crc32c } from '../../src/transport/protocol/crc32c.ts'
import { WireReader, WireWriter } from './kafka-wire.ts'

/** A record of a batch, with everything that a producer may write: wrong lengths and offsets too. */
export interface RawRecord {
  timestampDelta?: bigint
  offsetDelta?: number
  key?: Uint8Array | null
  value?: Uint8Array | null
  headers?: readonly (readonly [name: string, value: Uint8Array | null])[]
  /** Length and number of headers that it says it has, in place of those that it has. */
  claims?: { length?: number; headers?: number }
}

/** A record batch of format 2. */
export interface RawBatch {
  records: readonly RawRecord[]
  offset?: bigint
  timestamp?: bigint
  maxTimestamp?: bigint
  /** 0x08: time of the broker, 0x10: of a transaction, 0x20: control. */
  attributes?: number
  gzip?: boolean
  lastOffsetDelta?: number
  producerId?: bigint
  /** Number of records that it says it has. */
  count?: number
  /** In place of the right checksum. */
  crc?: number
}

export function batchBytes(batch: RawBatch): Buffer {
  const { records, offset = 0n, timestamp = 1_790_000_000_123n, producerId = -1n, gzip = false, attributes = 0 } = batch
  const { maxTimestamp = timestamp, lastOffsetDelta = records.length - 1, count = records.length } = batch
  const plain = Buffer.concat(records.map(recordBytes))
  const covered = new WireWriter(false)
    .int16(attributes | (gzip ? 1 : 0))
    .int32(lastOffsetDelta)
    .int64(timestamp)
    .int64(maxTimestamp)
    .int64(producerId)
    .int16(producerId < 0n ? -1 : 0)
    .int32(-1)
    .int32(count)
    .raw(gzip ? gzipSync(plain) : plain)
    .done()
  const head = new WireWriter(false).int64(offset).int32(covered.length + 9)
  const crc = Buffer.alloc(4)
  crc.writeUInt32BE(batch.crc ?? crc32c(covered))
  return head.int32(0).int8(2).raw(crc).raw(covered).done()
}

function recordBytes({ timestampDelta = 0n, offsetDelta = 0, key = null, value = null, headers = [], claims = {} }: RawRecord) {
  const body = [Buffer.of(0), varint(timestampDelta), varint(offsetDelta), varBytes(key), varBytes(value)]
  body.push(varint(claims.headers ?? headers.length))
  for (const [name, value] of headers) body.push(varBytes(Buffer.from(name)), varBytes(value))
  const bytes = Buffer.concat(body)
  return Buffer.concat([varint(claims.length ?? bytes.length), bytes])
}

/** A number of 64 bits at most, as Kafka's records have it. */
function varint(value: bigint | number): Buffer {
  let left = BigInt.asUintN(64, (BigInt(value) << 1n) ^ (BigInt(value) >> 63n))
  const bytes: number[] = []
  for (; left >= 0x80n; left >>= 7n) bytes.push(Number(left & 0x7fn) | 0x80)
  return Buffer.from([...bytes, Number(left)])
}

const varBytes = (bytes: Uint8Array | null) => (bytes === null ? varint(-1) : Buffer.concat([varint(bytes.length), bytes]))

/** Sends a batch to a broker as it is, and resolves with the error code of the answer. */
export async function produceRaw(broker: string, topic: string, partition: number, batch: Buffer): Promise<number> {
  const [host, port] = broker.split(':') as [string, string]
  const request = new WireWriter(false).int16(0).int16(7).int32(1).string('raw')
  request.string(null).int16(-1).int32(5_000)
  request.array([topic], (name) => {
    request.string(name).array([partition], (index) => request.int32(index).int32(batch.length).raw(batch))
  })
  const bytes = request.done()
  const socket = connect(Number(port), host)
  socket.write(new WireWriter(false).int32(bytes.length).raw(bytes).done())
  let got = Buffer.alloc(0)
  while (got.length < 4 || got.length < 4 + got.readInt32BE(0)) {
    const [chunk] = (await Promise.race([once(socket, 'data'), once(socket, 'close')])) as [Buffer | boolean]
    if (typeof chunk === 'boolean') throw new Error('The broker closed the connection.')
    got = Buffer.concat([got, chunk])
  }
  socket.destroy()
  const answer = new WireReader(got)
  answer.raw(8)
  const codes = answer.array(() => {
    answer.string()
    return answer.array(() => {
      answer.int32()
      const code = answer.int16()
      answer.raw(24)
      return code
    })
  })
  return codes!.flat()[0]!
}
