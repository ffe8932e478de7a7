import type { Admin, Kafka } from 'kafkajs'
import { type ProducerEpoch, TransportError } from '../transport.ts'
import { clusterMaker } from './cluster.ts'

// Requests of an admin client of kafkajs (2.2.4) that its API does not have. Used by the transport.

/** Answer of a metadata request, as kafkajs decodes it. */
interface Answer {
  /** Not from brokers before 0.10.1. */
  clusterId?: string | null
  topicMetadata: { topic: string; partitionMetadata: unknown[] }[]
}

/** What is used of kafkajs' insides. */
interface Cluster {
  brokerPool: { connect(): Promise<void>; seedBroker: Broker }
}

interface Response {
  parse(answer: Answer): Promise<Answer>
}

interface Broker {
  initProducerId(request: object): Promise<{ producerId: string; producerEpoch: number }>
  lookupRequest(...args: unknown[]): (what: object) => { request: object; response: Response }
  metadata(topics: readonly string[]): Promise<Answer>
}

const clusters = new WeakMap<Admin, Cluster>()

/** An admin client that {@link countPartitionsOfAll} and {@link newProducerId} can use. */
export function openAdmin(kafka: Kafka): Admin {
  const { create, replace } = clusterMaker<Cluster>(kafka)
  let cluster: Cluster | undefined
  replace((options) => {
    cluster = create(options)
    return cluster
  })
  const admin = kafka.admin()
  clusters.set(admin, cluster!)
  return admin
}

/** A producer id of a producer without transactions. Any broker gives one. `admin` is connected, and was opened by {@link openAdmin}. */
export async function newProducerId(admin: Admin): Promise<ProducerEpoch> {
  const { brokerPool } = clusters.get(admin)!
  await brokerPool.connect()
  try {
    const given = await brokerPool.seedBroker.initProducerId({ transactionalId: null, transactionTimeout: 60_000 })
    return { producerId: BigInt(given.producerId), epoch: given.producerEpoch }
  } catch (error) {
    if ((error as Error).name !== 'KafkaJSServerDoesNotSupportApiKey') throw error
    throw new TransportError('UNSUPPORTED_VERSION', 'producer', 'The broker offers no producer ids.', error)
  }
}

/**
 * Partitions of each topic, or the error that kafkajs would have thrown for this topic alone, in one request: kafkajs fails a metadata request
 * as a whole if one of its topics is missing. `admin` is connected, and was opened by {@link openAdmin}.
 */
export async function countPartitionsOfAll(admin: Admin, topics: readonly string[]): Promise<Map<string, number | Error>> {
  const { brokerPool } = clusters.get(admin)!
  await brokerPool.connect()
  const { answer, parse } = await ask(brokerPool.seedBroker, topics)
  const counts = new Map<string, number | Error>()
  for (const one of answer.topicMetadata) {
    const refusal = await parse({ ...answer, topicMetadata: [one] }).then(
      () => undefined,
      (error: Error) => error,
    )
    counts.set(one.topic, refusal ?? one.partitionMetadata.length)
  }
  return counts
}

/** The one topic that most clusters have: without a topic kafkajs would ask for all. */
const anyTopic = '__consumer_offsets'

/** Id of the cluster. `admin` is connected, and was opened by {@link openAdmin}. */
export async function clusterIdOf(admin: Admin): Promise<string | undefined> {
  const { brokerPool } = clusters.get(admin)!
  await brokerPool.connect()
  const { answer } = await ask(brokerPool.seedBroker, [anyTopic])
  return answer.clusterId ?? undefined
}

async function ask(broker: Broker, topics: readonly string[]): Promise<{ answer: Answer; parse: Response['parse'] }> {
  let parse: Response['parse'] | undefined
  const unjudged: Broker['lookupRequest'] =
    (...args) =>
    (what) => {
      const { request, response } = broker.lookupRequest(...args)(what)
      parse = response.parse
      return { request, response: { ...response, parse: async (answer) => answer } }
    }
  const asking: Broker = Object.create(broker, {
    lookupRequest: { value: unjudged },
    allowAutoTopicCreation: { value: false },
  })
  return { answer: await asking.metadata(topics), parse: parse! }
}
