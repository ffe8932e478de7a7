import type { Kafka } from 'kafkajs'
import { clusterMaker } from '../../transport/kafkajs/cluster.ts'
import { trouble } from '../../transport/kafkajs/errors.ts'
import { metadataMaxAgeMs } from '../../transport/transport.ts'

/** A partition that no topic has. */
const noPartition = 2_147_483_647

/** Milliseconds that a broker may take; it has nothing to wait for. */
const timeout = 5_000

/** What is used of kafkajs' insides: its producer asks nothing of a partition that it does not know. */
interface Cluster {
  connect(): Promise<void>
  disconnect(): Promise<void>
  refreshMetadata(): Promise<void>
  brokerPool: { withBroker<T>(ask: (with_: { broker: Broker }) => Promise<T>): Promise<T> }
}

interface Broker {
  produce(request: { acks: number; timeout: number; topicData: object[] }): Promise<unknown>
}

/**
 * Whether this login may write to each of the topics, which exist; null where the broker says neither, or kafkajs is another version.
 * Nothing can be written: the batch is empty, and its partition is none. A broker judges the right first, and only then searches for the
 * partition.
 */
export async function writeRights(kafka: Kafka, topics: readonly string[]): Promise<(boolean | null)[]> {
  let cluster: Cluster | undefined
  try {
    cluster = clusterMaker<Cluster>(kafka).create({ metadataMaxAge: metadataMaxAgeMs, allowAutoTopicCreation: false })
    await cluster.connect()
    await cluster.refreshMetadata()
    const rights: (boolean | null)[] = []
    for (const topic of topics) rights.push(await cluster.brokerPool.withBroker(({ broker }) => mayWrite(broker, topic)))
    return rights
  } catch {
    return topics.map(() => null)
  } finally {
    await cluster?.disconnect().catch(() => {})
  }
}

async function mayWrite(broker: Broker, topic: string): Promise<boolean | null> {
  const nothing = { topic, partitions: [{ partition: noPartition, messages: [] }] }
  const answer = await broker.produce({ acks: -1, timeout, topicData: [nothing] }).then(() => undefined, trouble)
  if (answer?.code === 'TOPIC_AUTHORIZATION_FAILED') return false
  return answer?.code === 'UNKNOWN_TOPIC_OR_PARTITION' ? true : null
}
