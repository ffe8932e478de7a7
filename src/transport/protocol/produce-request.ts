import type { TransportBatch } from '../transport.ts'
import type { Compressor } from './compression.ts'
import { RecordBatch } from './record-batch.ts'

/** Fields of the request, of each topic and of each partition that have always the same size: with the lengths of what follows. */
const fixedSize = 12
const topicSize = 6
const partitionSize = 8

/** Every in-sync replica acknowledges. */
const allReplicas = -1

/**
 * A produce request without its header, in the versions 3 to 8 (https://kafka.apache.org/41/design/protocol/#The_Messages_Produce), for
 * batches of different partitions. `replicaTimeoutMs`: how long the leader may wait for its replicas. One buffer; without a compressor each
 * byte is written once.
 */
export function encodeProduce(
  batches: readonly TransportBatch[],
  replicaTimeoutMs: number,
  now: number,
  compressor?: Compressor,
): Buffer {
  const topics = [...new Set(batches.map(({ topic }) => topic))].map((topic) => ({
    topic,
    partitions: batches
      .filter((batch) => batch.topic === topic)
      .map(({ partition, records, numbers }) => ({ partition, batch: new RecordBatch(records, numbers, compressor) })),
  }))
  const size = topics.reduce(
    (sum, { topic, partitions }) =>
      partitions.reduce((sum, { batch }) => sum + partitionSize + batch.size, sum + topicSize + Buffer.byteLength(topic)),
    fixedSize,
  )
  const bytes = Buffer.allocUnsafe(size)
  // No transaction.
  let at = bytes.writeInt16BE(-1)
  at = bytes.writeInt16BE(allReplicas, at)
  at = bytes.writeInt32BE(replicaTimeoutMs, at)
  at = bytes.writeInt32BE(topics.length, at)
  for (const { topic, partitions } of topics) {
    at = bytes.writeInt16BE(Buffer.byteLength(topic), at)
    at += bytes.write(topic, at)
    at = bytes.writeInt32BE(partitions.length, at)
    for (const { partition, batch } of partitions) {
      at = bytes.writeInt32BE(partition, at)
      at = bytes.writeInt32BE(batch.size, at)
      at = batch.write(bytes, at, now)
    }
  }
  return bytes
}
