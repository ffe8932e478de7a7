import type { Connection, Writer } from '@platformatic/kafka'
import type { Fuse } from '../fuse.ts'
import type { Compressor } from '../protocol/compression.ts'
import { encodeProduce } from '../protocol/produce-request.ts'
import type { TransportBatch } from '../transport.ts'
import type { loadPackage } from './package.ts'

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
 * what a relay did was that.
 */
export function produceWith({ createAPI, produceV8, Writer }: Package, compressor: Compressor | undefined): Produce {
  const createRequest = (batch: TransportBatch, fuse: Fuse, replicaTimeoutMs: number): Writer =>
    Writer.create().append(encodeProduce([fuse.pass(batch)], replicaTimeoutMs, Date.now(), compressor))

  return createAPI<Parameters<typeof createRequest>, ProduceResponse>(
    produceApi.key,
    produceApi.version,
    createRequest,
    produceV8.parseResponse,
    false,
    false,
  ).async as Produce
}
