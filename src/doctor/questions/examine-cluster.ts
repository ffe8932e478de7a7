import { type Admin, type ConfigResourceTypes, Kafka, logLevel } from 'kafkajs'
import { throwBug } from '../../running/programming-error.ts'
import { accessOf } from '../../transport/access.ts'
import { trouble } from '../../transport/kafkajs/errors.ts'
import { guardedKafka } from '../../transport/kafkajs/guarded-kafka.ts'
import { brokerNames } from '../../transport/kafkajs/ipv6.ts'
import type { KafkajsTransportOptions } from '../../transport/kafkajs/kafkajs.ts'
import { quietKafkajsTimers } from '../../transport/kafkajs/timers.ts'
import { writeRights } from './write-rights.ts'

/** kafkajs' enum, which Node cannot import by name from CommonJS. */
const topicResource = 2 satisfies ConfigResourceTypes.TOPIC

/** A topic as the brokers have it. */
export interface TopicFacts {
  topic: string
  /** Kafka's name of the error where the topic cannot be asked for; else null. */
  code: string | null
  partitions: number
  /** The fewest replicas of a partition, and the fewest of them in sync. */
  replicas: number
  inSync: number
  /** Null: the login may not see it. */
  minInSync: number | null
  maxBytes: number | null
  /** Whether this login may write to it; null: the brokers do not say. */
  mayWrite: boolean | null
}

/** What the doctor learned about Kafka. */
export interface ClusterFacts {
  /** Why no broker answers, where none does. */
  trouble: { code: string; error: string } | null
  brokers: number
  topics: TopicFacts[]
}

/** A client that answers a person soon, also where no broker does. */
export function examiningClient(kafka: KafkajsTransportOptions): Kafka {
  quietKafkajsTimers()
  const { brokers, clientId = 'prisma-extension-outbox' } = kafka
  const settings = {
    brokers: brokerNames(brokers),
    clientId,
    ...accessOf(kafka),
    logLevel: logLevel.NOTHING,
    connectionTimeout: 5_000,
    retry: { retries: 3, initialRetryTime: 100, maxRetryTime: 500 },
  }
  return guardedKafka(new Kafka(settings))
}

/** Asks Kafka about itself and these topics. Rejects only for wrong options and for a bug, and creates nothing. */
export async function examineCluster(kafka: KafkajsTransportOptions, topics: readonly string[]): Promise<ClusterFacts> {
  const client = examiningClient(kafka)
  const admin = client.admin()
  try {
    await admin.connect()
    const cluster = await admin.describeCluster()
    const facts: TopicFacts[] = []
    for (const topic of topics) facts.push(await topicFacts(admin, topic))
    const known = facts.filter(({ code }) => code === null)
    const rights = await writeRights(
      client,
      known.map(({ topic }) => topic),
    )
    for (const [i, one] of known.entries()) one.mayWrite = rights[i]!
    return { trouble: null, brokers: cluster.brokers.length, topics: facts }
  } catch (error) {
    throwBug(error)
    const { code, error: words } = trouble(error)
    return { trouble: { code, error: words }, brokers: 0, topics: [] }
  } finally {
    await admin.disconnect()
  }
}

async function topicFacts(admin: Admin, topic: string): Promise<TopicFacts> {
  const none = { topic, code: null, partitions: 0, replicas: 0, inSync: 0, minInSync: null, maxBytes: null, mayWrite: null }
  try {
    const { partitions } = (await admin.fetchTopicMetadata({ topics: [topic] })).topics[0]!
    const fewest = (of: 'replicas' | 'isr') => Math.min(...partitions.map((one) => one[of].length))
    const config = await configOf(admin, topic)
    return { ...none, partitions: partitions.length, replicas: fewest('replicas'), inSync: fewest('isr'), ...config }
  } catch (error) {
    throwBug(error)
    return { ...none, code: trouble(error).code }
  }
}

async function configOf(admin: Admin, topic: string): Promise<Pick<TopicFacts, 'minInSync' | 'maxBytes'>> {
  try {
    const configNames = ['min.insync.replicas', 'max.message.bytes']
    const asked = { includeSynonyms: false, resources: [{ type: topicResource, name: topic, configNames }] }
    const entries = (await admin.describeConfigs(asked)).resources[0]!.configEntries
    const read = (name: string) => Number(entries.find((entry) => entry.configName === name)!.configValue)
    return { minInSync: read('min.insync.replicas'), maxBytes: read('max.message.bytes') }
  } catch (error) {
    throwBug(error)
    return { minInSync: null, maxBytes: null }
  }
}
