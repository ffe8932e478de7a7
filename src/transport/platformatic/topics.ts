import type { Connection, Writer } from '@platformatic/kafka'
import { topicFaults } from '../kafka-codes.ts'
import { TransportError } from '../transport.ts'
import type { loadPackage } from './package.ts'

// The client's own `metadata` fails as a whole if one of its topics is missing, and throws the answer away. One request below it, whose answer
// is judged topic by topic. Used by the transport to ask for many topics at once.

type Package = Awaited<ReturnType<typeof loadPackage>>
type MetadataResponse = ReturnType<Package['metadataV9']['parseResponse']>

/** Number of the API, and the oldest version that the client knows (Kafka 2.4). */
const metadataApi = { key: 3, version: 9 }

/** Partitions of each topic, or why it has none, in one request. */
export type CountPartitions = (connection: Connection, topics: readonly string[]) => Promise<Map<string, number | TransportError>>

/** Id of the cluster that the connection leads to. */
export type ClusterIdOf = (connection: Connection) => Promise<string | undefined>

/** Makes the questions with the functions of the package. */
export function questionsWith({ createAPI, metadataV9 }: Package): { countPartitions: CountPartitions; clusterId: ClusterIdOf } {
  const ask = createAPI<[topics: string[]], MetadataResponse>(
    metadataApi.key,
    metadataApi.version,
    (topics): Writer => metadataV9.createRequest(topics),
    metadataV9.parseResponse,
  ).async as (connection: Connection, topics: string[]) => Promise<MetadataResponse>
  return {
    async countPartitions(connection, topics) {
      try {
        return counted(await ask(connection, [...topics]), [])
      } catch (error) {
        const { response, errors } = error as { response?: MetadataResponse; errors?: Fault[] }
        if (!response || !errors) throw error
        return counted(response, errors)
      }
    },
    clusterId: async (connection) => (await ask(connection, [])).clusterId ?? undefined,
  }
}

/** What the client says of one topic of an answer, or of one of its partitions. */
interface Fault extends Error {
  path: string
  apiId: string
}

function counted({ topics }: MetadataResponse, faults: readonly Fault[]): Map<string, number | TransportError> {
  const faulty = new Map<number, Fault>()
  for (const fault of faults) {
    const index = Number(/^\/topics\/(\d+)/.exec(fault.path)?.[1])
    if (!faulty.has(index)) faulty.set(index, fault)
  }
  const counts = new Map<string, number | TransportError>()
  for (const [index, { name, partitions }] of topics.entries()) counts.set(name!, blamed(faulty.get(index)) ?? partitions.length)
  return counts
}

function blamed(fault: Fault | undefined): TransportError | undefined {
  if (!fault) return undefined
  const scope = topicFaults.has(fault.apiId) ? 'topic' : 'producer'
  return new TransportError(fault.apiId, scope, fault.message, fault)
}
