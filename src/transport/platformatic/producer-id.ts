import type { Connection, Writer } from '@platformatic/kafka'
import type { ProducerEpoch } from '../transport.ts'
import type { loadPackage } from './package.ts'

// A producer id below the client's own idempotent producer, whose numbers lose records after a failure. Used by the transport.

type Package = Awaited<ReturnType<typeof loadPackage>>
type InitProducerIdResponse = ReturnType<Package['initProducerIdV3']['parseResponse']>

/** Number of the API, and the oldest version that the client knows (Kafka 2.5). */
const initProducerIdApi = { key: 22, version: 3 }

/** None: a new id is asked for, and not the next epoch of one. */
const none = { producerId: -1n, epoch: -1 }

/** A producer id of a producer without transactions; any broker gives one. */
export type NewProducerId = (connection: Connection) => Promise<ProducerEpoch>

/** Makes {@link NewProducerId} with the functions of the package. */
export function producerIdsWith({ createAPI, initProducerIdV3 }: Package): NewProducerId {
  const ask = createAPI<[], InitProducerIdResponse>(
    initProducerIdApi.key,
    initProducerIdApi.version,
    (): Writer => initProducerIdV3.createRequest(null, 60_000, none.producerId, none.epoch),
    initProducerIdV3.parseResponse,
  ).async as (connection: Connection) => Promise<InitProducerIdResponse>
  return async (connection) => {
    const { producerId, producerEpoch } = await ask(connection)
    return { producerId, epoch: producerEpoch }
  }
}
