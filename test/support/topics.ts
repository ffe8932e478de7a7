import { randomBytes } from 'node:crypto'
import { type Admin, Kafka, type KafkaConfig, logLevel } from 'kafkajs'
import { inject } from 'vitest'

/** One record as it stands in the log. */
export interface LogRecord {
  partition: number
  offset: number
  key: Buffer | null
  value: Buffer | null
  headers: Record<string, string>
  timestamp: number
}

/** Brokers, separated by commas; where they ask for more, with TLS and login. */
export type KafkaAccess = string | Pick<KafkaConfig, 'brokers' | 'ssl' | 'sasl'>

/** A plain Kafka client of the tests' own. */
export const testKafka = (access: KafkaAccess = inject('brokers')): Kafka =>
  new Kafka({
    ...(typeof access === 'string' ? { brokers: access.split(',') } : access),
    clientId: 'test',
    logLevel: logLevel.NOTHING,
    retry: { retries: 10, initialRetryTime: 50 },
  })

/** Asks an admin client of the tests' own, and closes it. */
export async function withAdmin<T>(ask: (admin: Admin) => Promise<T>, access?: KafkaAccess): Promise<T> {
  const admin = testKafka(access).admin()
  await admin.connect()
  return await ask(admin).finally(() => admin.disconnect())
}

/** Where a topic lies, besides its partitions. `placed`: the brokers of each partition, the leader first. */
export interface Placing {
  brokers?: KafkaAccess
  config?: Record<string, string>
  replication?: number
  placed?: (partition: number) => number[]
}

/** Creates a topic with a name of its own and returns the name. */
export async function createTopic(name: string, partitions = 3, placing: Placing = {}): Promise<string> {
  const topic = `${name}-${randomBytes(4).toString('hex')}`
  await createTopicNamed(topic, partitions, placing)
  return topic
}

/** Creates a topic with that name; it may have existed before. */
export async function createTopicNamed(
  topic: string,
  partitions: number,
  { brokers = inject('brokers'), config = {}, replication = 1, placed }: Placing = {},
): Promise<void> {
  const configEntries = Object.entries(config).map(([name, value]) => ({ name, value }))
  const where = placed
    ? { replicaAssignment: Array.from({ length: partitions }, (_, partition) => ({ partition, replicas: placed(partition) })) }
    : { numPartitions: partitions, replicationFactor: replication }
  await withAdmin(async (admin) => {
    await admin.createTopics({ topics: [{ topic, configEntries, ...where }], waitForLeaders: false })
    while (!(await hasLeaders(admin, topic))) await new Promise((resolve) => setTimeout(resolve, 20))
  }, brokers)
}

/** What a broker says that has not heard yet of a topic that the controller has created, or not that it leads it. */
const early = new Set(['UNKNOWN_TOPIC_OR_PARTITION', 'LEADER_NOT_AVAILABLE', 'NOT_LEADER_FOR_PARTITION'])

/** What a partition says whose leader is changing. */
const moved = new Set(['LEADER_NOT_AVAILABLE', 'NOT_LEADER_FOR_PARTITION'])

/** Whether every partition has a leader that knows it: metadata may name one that does not, which offsets are asked for. */
async function hasLeaders(admin: Admin, topic: string): Promise<boolean> {
  try {
    const { topics } = await admin.fetchTopicMetadata({ topics: [topic] })
    if (topics[0]!.partitions.some(({ leader }) => leader < 0)) return false
    await admin.fetchTopicOffsets(topic)
    return true
  } catch (error) {
    if (!early.has((error as { type?: string }).type ?? '')) throw error
    return false
  }
}

/** Deletes a topic and waits until the broker no longer knows it. */
export async function deleteTopic(topic: string): Promise<void> {
  await withAdmin(async (admin) => {
    await admin.deleteTopics({ topics: [topic] })
    while ((await admin.listTopics()).includes(topic));
  })
}

/** Gives a topic more partitions. */
export async function growTopic(topic: string, partitions: number): Promise<void> {
  await withAdmin(async (admin) => {
    await admin.createPartitions({ topicPartitions: [{ topic, count: partitions }] })
    while (!(await hasLeaders(admin, topic))) await new Promise((resolve) => setTimeout(resolve, 20))
  })
}

/**
 * The offsets of a topic. Each look is a new client's: after a fault leaders move back, and kafkajs goes on asking the one that it knows. It
 * does not ask for metadata after that answer.
 */
async function endsOf(topic: string, kafka: Kafka): ReturnType<Admin['fetchTopicOffsets']> {
  for (;;) {
    const admin = kafka.admin()
    await admin.connect()
    try {
      return await admin.fetchTopicOffsets(topic)
    } catch (error) {
      if (!moved.has((error as { type?: string }).type ?? '')) throw error
    } finally {
      await admin.disconnect()
    }
  }
}

/** Reads a whole topic, every partition from its beginning to its present end; records are sorted by partition and offset. */
export async function readTopic(topic: string, brokers: KafkaAccess = inject('brokers')): Promise<LogRecord[]> {
  const kafka = testKafka(brokers)
  const ends = await endsOf(topic, kafka)
  let left = ends.filter((end) => Number(end.high) > Number(end.low)).length
  const records: LogRecord[] = []
  if (left === 0) return records
  const high = new Map(ends.map((end) => [end.partition, Number(end.high)]))
  const consumer = kafka.consumer({ groupId: `read-${randomBytes(6).toString('hex')}`, maxWaitTimeInMs: 50 })
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: true })
  await new Promise<void>((resolve, reject) => {
    // A coordinator that is still loading crashes the consumer too; kafkajs then starts it again.
    consumer.on('consumer.crash', ({ payload }) => payload.restart || reject(payload.error))
    void consumer.run({
      autoCommit: false,
      eachBatch: async ({ batch }) => {
        const end = high.get(batch.partition)!
        for (const message of batch.messages) {
          if (Number(message.offset) >= end) continue
          const headers = Object.entries(message.headers ?? {}).map(([name, value]) => [name, String(value)])
          records.push({
            partition: batch.partition,
            offset: Number(message.offset),
            key: message.key,
            value: message.value,
            headers: Object.fromEntries(headers),
            timestamp: Number(message.timestamp),
          })
        }
        const before = Number(batch.messages[0]?.offset ?? 0) < end
        if (before && Number(batch.lastOffset()) >= end - 1 && --left === 0) resolve()
      },
    })
  })
  await consumer.disconnect()
  return records.sort((a, b) => a.partition - b.partition || a.offset - b.offset)
}
