import { randomBytes } from 'node:crypto'
import { type Admin, type Consumer, type EachBatchPayload, Kafka, type KafkaMessage, logLevel } from 'kafkajs'
import { OutboxError } from '../../message/errors.ts'
import { partitionOf } from '../../message/key.ts'
import { accessOf } from '../access.ts'
import { trouble } from './errors.ts'
import { guardedKafka, refusalIn } from './guarded-kafka.ts'
import { brokerNames } from './ipv6.ts'
import type { KafkajsTransportOptions } from './kafkajs.ts'
import { quietKafkajsTimers } from './timers.ts'

/** Which record is looked for, and how far. */
export interface RecordSearch {
  topic: string
  /** Headers `id` of the records. The search ends when all were met. */
  messageIds: readonly string[]
  /** With it only the partition is read that the key leads to at present; without it, and without `partition`, all are. */
  key?: Uint8Array | undefined
  /** The only partition to read. */
  partition?: number | undefined
  /** Unix time in ms: what brokers date before it is not read. */
  sinceMs: number
  /** Milliseconds until the search is given up. */
  timeoutMs: number
}

/** Where a record stands in Kafka. */
export interface FoundRecord {
  topic: string
  partition: number
  /** Decimal. */
  offset: string
  /** Kafka's timestamp of the record, Unix time in ms. */
  timestamp: number
  key: Uint8Array | null
  headers: Record<string, string>
}

/** What came of a search. */
export interface RecordSearched {
  /** The first copy that was met; null: none was. */
  record: FoundRecord | null
  /** How many of the records were met. */
  found: number
  /** Records looked at. */
  read: number
  /** Partitions that were to be read, and those that time was too short for. */
  partitions: number
  unread: number
}

/** A part of a partition: from the first offset to the one before the second. */
type Stretches = Map<number, { from: string; to: string }>

/**
 * Finds records by the id in their headers, from a moment on to the ends of the log as they are now. Reads with a consumer group of
 * its own that commits nothing and is deleted afterwards; needs the rights to read the topic and a group `outbox-where-…`.
 *
 * @throws OutboxError KAFKA_REFUSED where no broker answers, the topic does not exist, or may not be read; RECORDS_UNREADABLE.
 */
export async function findRecord(kafka: KafkajsTransportOptions, search: RecordSearch): Promise<RecordSearched> {
  quietKafkajsTimers()
  const settings = {
    clientId: kafka.clientId ?? 'prisma-extension-outbox',
    brokers: brokerNames(kafka.brokers),
    ...accessOf(kafka),
    logLevel: logLevel.NOTHING,
    retry: { retries: 5, initialRetryTime: 100, maxRetryTime: 1_000 },
  }
  const client = guardedKafka(new Kafka(settings))
  const admin = client.admin()
  const groupId = `outbox-where-${randomBytes(6).toString('hex')}`
  try {
    await admin.connect()
    const stretches = await stretchesOf(admin, search)
    if (stretches.size === 0) return { record: null, found: 0, read: 0, partitions: 0, unread: 0 }
    const consumer = client.consumer({ groupId, maxWaitTimeInMs: 200, allowAutoTopicCreation: false, retry: { retries: 3 } })
    try {
      return await read(consumer, search, stretches)
    } finally {
      await consumer.disconnect()
      // A group without offsets goes on its own; anyone who may not delete it leaves nothing behind either.
      await admin.deleteGroups([groupId]).catch(() => {})
    }
  } catch (error) {
    throw refusalIn(error) ?? refused(error, search.topic)
  } finally {
    await admin.disconnect()
  }
}

function refused(error: unknown, topic: string): OutboxError {
  const { code, error: words } = trouble(error)
  const [what, remedy] =
    code === 'UNKNOWN_TOPIC_OR_PARTITION'
      ? [`The topic ${topic} does not exist.`, 'Correct --topic; a deleted topic took its records with it.']
      : [
          `Kafka cannot be asked (${code}: ${words}).`,
          'See whether the brokers answer, and grant Read on the topic and the group.',
        ]
  return new OutboxError('KAFKA_REFUSED', what, { remedy, cause: error })
}

/** What is to be read of each partition; one that has nothing is left out. */
async function stretchesOf(admin: Admin, { topic, key, partition: asked, sinceMs }: RecordSearch): Promise<Stretches> {
  const ends = await admin.fetchTopicOffsets(topic)
  const starts = await admin.fetchTopicOffsetsByTimestamp(topic, sinceMs)
  // A broker that does not know the partition says nothing about it.
  if (asked !== undefined && !ends.some(({ partition }) => partition === asked))
    throw new Error(`The partition ${topic}/${asked} is not known.`)
  const only = asked ?? (key === undefined ? undefined : partitionOf(topic, key, ends.length))
  const stretches: Stretches = new Map()
  for (const { partition, high } of ends) {
    const from = starts.find((start) => start.partition === partition)?.offset ?? '0'
    if ((only === undefined || partition === only) && BigInt(from) < BigInt(high)) stretches.set(partition, { from, to: high })
  }
  return stretches
}

async function read(consumer: Consumer, search: RecordSearch, stretches: Stretches): Promise<RecordSearched> {
  const { topic, timeoutMs } = search
  const missing = new Set(search.messageIds)
  const open = new Set(stretches.keys())
  const partitions = open.size
  let count = 0
  let record: FoundRecord | null = null
  let timer: NodeJS.Timeout | undefined
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: true })
  await new Promise<void>((resolve, reject) => {
    timer = setTimeout(resolve, timeoutMs)
    // A coordinator that is still loading crashes a consumer too; kafkajs then starts it again.
    consumer.on('consumer.crash', ({ payload }) => payload.restart || reject(payload.error))
    const eachBatch = async ({ batch, pause }: EachBatchPayload) => {
      const stretch = stretches.get(batch.partition)
      if (stretch === undefined || missing.size === 0) return void pause()
      for (const message of batch.messages) {
        if (BigInt(message.offset) < BigInt(stretch.from) || BigInt(message.offset) >= BigInt(stretch.to)) continue
        count++
        if (!missing.delete(String(message.headers?.id))) continue
        record ??= toFound(topic, batch.partition, message)
        if (missing.size === 0) return resolve()
      }
      // The end may be a marker of a transaction, which is no message.
      if (BigInt(batch.lastOffset()) < BigInt(stretch.to) - 1n) return
      open.delete(batch.partition)
      pause()
      if (open.size === 0) resolve()
    }
    consumer.run({ autoCommit: false, partitionsConsumedConcurrently: 1, eachBatch }).catch(reject)
    for (const [partition, { from }] of stretches) consumer.seek({ topic, partition, offset: from })
  }).finally(() => clearTimeout(timer))
  return {
    record,
    found: search.messageIds.length - missing.size,
    read: count,
    partitions,
    unread: missing.size > 0 ? open.size : 0,
  }
}

function toFound(topic: string, partition: number, { offset, timestamp, key, headers }: KafkaMessage): FoundRecord {
  const texts = Object.entries(headers ?? {}).map(([name, value]) => [name, String(value)])
  return { topic, partition, offset, timestamp: Number(timestamp), key, headers: Object.fromEntries(texts) }
}
