import type { Connection, Writer } from '@platformatic/kafka'
import { encodeRecords } from './encode.ts'
import type { Fuse } from './fuse.ts'
import type { loadPackage } from './platformatic-package.ts'
import type { TransportBatch } from './transport.ts'

type Package = Awaited<ReturnType<typeof loadPackage>>

/** Topics and their partitions, each with what became of its batch. */
export type ProduceResponse = ReturnType<Package['produceV8']['parseResponse']>

/** One produce request, and its answer as the client reads it; `replicaTimeoutMs`: how long the leader may wait for its replicas. */
export type Produce = (
  connection: Connection,
  batch: TransportBatch,
  fuse: Fuse,
  replicaTimeoutMs: number,
) => Promise<ProduceResponse>

/** Number of the API, and the first version that names the records at fault (Kafka 2.4). */
const produceApi = { key: 0, version: 8 }

/**
 * The produce request of the client below its producer, which makes a buffer of its own for each number, key, value and header: half of
 * what a relay did was that. Here a batch is encoded at once.
 */
export function produceWith({ createAPI, crc32c, produceV8, Writer }: Package): Produce {
  const createRequest = (batch: TransportBatch, fuse: Fuse, replicaTimeoutMs: number): Writer => {
    const records = recordBatch(fuse.pass(batch))
    const { topic, partition } = batch
    return Writer.create()
      .appendString(null, false)
      .appendInt16(-1)
      .appendInt32(replicaTimeoutMs)
      .appendInt32(1)
      .appendString(topic, false)
      .appendInt32(1)
      .appendInt32(partition)
      .appendInt32(records.length)
      .appendFrom(records)
  }

  /** https://kafka.apache.org/41/implementation/message-format/#record-batch, from its end to its beginning: checksum and length come last. */
  const recordBatch = ({ records }: TransportBatch): Writer => {
    const now = BigInt(Date.now())
    const writer = Writer.create()
      // No compression, the client's timestamps, neither of a transaction nor control.
      .appendInt16(0)
      .appendInt32(records.length - 1)
      .appendInt64(now)
      .appendInt64(now)
      // No producer id: not idempotent.
      .appendInt64(-1n)
      .appendInt16(0)
      .appendInt32(0)
      .appendInt32(records.length)
      .append(encodeRecords(records))
    return writer
      .appendUnsignedInt32(crc32c(writer.dynamicBuffer), false)
      .appendInt8(2, false)
      .appendInt32(0, false)
      .prependLength()
      .appendInt64(0n, false)
  }

  return createAPI<Parameters<typeof createRequest>, ProduceResponse>(
    produceApi.key,
    produceApi.version,
    createRequest,
    produceV8.parseResponse,
    false,
    false,
  ).async as Produce
}
