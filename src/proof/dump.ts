import { randomBytes } from 'node:crypto'
import { Kafka, type KafkaConfig, type KafkaMessage, logLevel } from 'kafkajs'
import { guardedKafka, refusalIn } from '../transport/kafkajs/guarded-kafka.ts'
import { brokerNames } from '../transport/kafkajs/ipv6.ts'
import type { Dump, ReadRecord } from './history.ts'
import { fingerprint, latin1 } from './history.ts'

/** What kafkajs knows about the batch of a message, and does not put into its types. */
interface BatchContext {
  producerId?: string
  producerEpoch?: number
}

/** A Kafka client of the checker's own, patient with brokers that have just come back. */
export const proofKafka = (config: Omit<KafkaConfig, 'logLevel'>): Kafka =>
  guardedKafka(
    new Kafka({
      clientId: 'proof',
      retry: { retries: 20, initialRetryTime: 100, maxRetryTime: 1_000 },
      ...config,
      brokers: Array.isArray(config.brokers) ? brokerNames(config.brokers) : config.brokers,
      logLevel: logLevel.NOTHING,
    }),
  )

/**
 * Reads topics from offset 0 to their present ends.
 *
 * @throws Error when a log does not begin at 0: what was removed from it cannot be judged; OutboxError RECORDS_UNREADABLE.
 */
export async function dumpTopics(kafka: Kafka, topics: readonly string[], isolation: Dump['isolation']): Promise<Dump> {
  const ends = new Map<string, number>()
  const admin = kafka.admin()
  await admin.connect()
  try {
    for (const topic of topics) {
      for (const { partition, high, low } of await admin.fetchTopicOffsets(topic)) {
        if (Number(low) !== 0) throw new Error(`${topic}/${partition} begins at offset ${low}, not 0.`)
        if (Number(high) > 0) ends.set(`${topic}/${partition}`, Number(high))
      }
    }
  } finally {
    await admin.disconnect()
  }
  const records = ends.size === 0 ? [] : await readTo(kafka, ends, topics, isolation)
  records.sort((a, b) => (a.topic === b.topic ? a.partition - b.partition || a.offset - b.offset : a.topic < b.topic ? -1 : 1))
  return { isolation, records }
}

async function readTo(
  kafka: Kafka,
  ends: ReadonlyMap<string, number>,
  topics: readonly string[],
  isolation: Dump['isolation'],
): Promise<ReadRecord[]> {
  const consumer = kafka.consumer({
    groupId: `proof-${randomBytes(6).toString('hex')}`,
    maxWaitTimeInMs: 100,
    allowAutoTopicCreation: false,
    readUncommitted: isolation === 'read_uncommitted',
  })
  const open = new Set(ends.keys())
  const records: ReadRecord[] = []
  const next = new Map<string, number>()
  await consumer.connect()
  try {
    await consumer.subscribe({ topics: [...topics], fromBeginning: true })
    await new Promise<void>((resolve, reject) => {
      consumer.on('consumer.crash', ({ payload }) => payload.restart || reject(refusalIn(payload.error) ?? payload.error))
      const eachBatch = async ({
        batch,
      }: {
        batch: { topic: string; partition: number; messages: KafkaMessage[]; lastOffset(): string }
      }) => {
        const name = `${batch.topic}/${batch.partition}`
        const end = ends.get(name) ?? 0
        for (const message of batch.messages) {
          const offset = Number(message.offset)
          // A consumer that starts over reads some of it twice: nothing committed tells it where it was.
          if (offset >= end || offset < (next.get(name) ?? 0)) continue
          next.set(name, offset + 1)
          records.push(toRead(batch.topic, batch.partition, message))
        }
        // The end may be a marker of a transaction, which is no message.
        if (Number(batch.lastOffset()) >= end - 1) open.delete(name)
        if (open.size === 0) resolve()
      }
      consumer.run({ autoCommit: false, eachBatch, partitionsConsumedConcurrently: 3 }).catch(reject)
    })
  } finally {
    await consumer.disconnect()
  }
  return records
}

function toRead(topic: string, partition: number, message: KafkaMessage): ReadRecord {
  const { batchContext } = message as { batchContext?: BatchContext }
  const headers = Object.fromEntries(Object.entries(message.headers ?? {}).map(([name, value]) => [name, String(value)]))
  return {
    topic,
    partition,
    offset: Number(message.offset),
    id: headers.id ?? null,
    key: latin1(message.key),
    value: fingerprint(message.value),
    headers,
    ...(batchContext?.producerId === undefined ? {} : { producerId: String(batchContext.producerId) }),
    ...(batchContext?.producerEpoch === undefined ? {} : { producerEpoch: batchContext.producerEpoch }),
  }
}
