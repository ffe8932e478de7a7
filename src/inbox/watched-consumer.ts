import type { Consumer, ConsumerConfig, EachBatchPayload } from 'kafkajs'
import { OutboxError } from '../message/errors.ts'
import { backoff } from '../running/backoff.ts'
import type { Clock } from '../running/clock.ts'
import { retry } from '../running/retry.ts'
import { refusalIn } from '../transport/kafkajs/guarded-kafka.ts'
import { blamedTopic, codeOf } from './failure.ts'

/** Waits between tries to reach Kafka at the start. */
const connectRetry = { firstMs: 250, maxMs: 10_000 }

/**
 * Settings for `kafka.consumer()`. A consumer creates no topic: it would have the brokers' default number of partitions, for good. Partitions
 * that are added to a topic are found within half a minute, not after kafkajs' five.
 */
export const consumerDefaults = Object.freeze({
  maxWaitTimeInMs: 500,
  allowAutoTopicCreation: false,
  metadataMaxAge: 30_000,
} satisfies Partial<ConsumerConfig>)

/** How a consumer of kafkajs is run. */
export interface WatchOptions {
  topics: string[]
  fromBeginning: boolean
  partitionsConsumedConcurrently: number
  /** False where the offsets are kept elsewhere. */
  autoCommit: boolean
  /** Silence after which the consumer is given up. */
  silenceMs: number
  eachBatch: (payload: EachBatchPayload) => Promise<void>
  /** kafkajs has skipped offsets that no consumer gets to see, and calls no `eachBatch` for them. */
  gap?: (gap: Gap) => void
  /** The member has these partitions now. */
  assigned: (partitions: Record<string, number[]>) => void
  /** kafkajs has taken the consumer away, or it could not begin; `topic` is at fault, if that is known. */
  crashed: (code: string, restart: boolean, topic: string | null) => void
}

/** Offsets without a record for a consumer: markers and aborted records of Kafka's transactions, and what compaction has removed. */
export interface Gap {
  topic: string
  partition: number
  /** The offset behind them. */
  next: bigint
  /** The end of the partition: records follow where `next` is less. */
  end: bigint
}

/** Signs of life, whatever they tell. A consumer whose loop ended without a crash gives none. */
const signs = [
  'FETCH_START',
  'FETCH',
  'HEARTBEAT',
  'GROUP_JOIN',
  'REBALANCING',
  'CRASH',
  'CONNECT',
  'DISCONNECT',
  'REQUEST',
] as const

/**
 * Runs a consumer of kafkajs until `signal` aborts, and then disconnects it. Rejects with CONSUMER_ENDED where kafkajs gives it up, or is
 * silent: kafkajs itself would only log it, and the process would live on and consume nothing. Rejects with RECORDS_UNREADABLE for records
 * that cannot be read: they would come again. Kafka that cannot be reached is waited for.
 */
export async function runWatched(consumer: Consumer, options: WatchOptions, clock: Clock, signal: AbortSignal): Promise<void> {
  let lastSign = clock.now()
  const failed = new Promise<never>((_, reject) => {
    consumer.on(consumer.events.CRASH, ({ payload: { error, restart } }) => {
      options.crashed(codeOf(error), restart, null)
      if (!restart) reject(refusalIn(error) ?? ended('kafkajs has given the consumer up', error))
    })
    consumer.on(consumer.events.GROUP_JOIN, ({ payload }) =>
      options.assigned(payload.memberAssignment as Record<string, number[]>),
    )
    consumer.on(consumer.events.END_BATCH_PROCESS, ({ payload: { topic, partition, batchSize, lastOffset, highWatermark } }) => {
      if (batchSize > 0) return
      options.gap?.({ topic, partition, next: BigInt(lastOffset) + 1n, end: BigInt(highWatermark) })
    })
    const seen = () => {
      lastSign = clock.now()
    }
    for (const sign of signs) consumer.on(consumer.events[sign], seen)
  })
  failed.catch(() => {})
  const watch = new AbortController()
  const stopped = new Promise<void>((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
  try {
    if (!(await reach(consumer, options, clock, signal))) return
    lastSign = clock.now()
    const { eachBatch, partitionsConsumedConcurrently, autoCommit } = options
    await consumer.run({ eachBatchAutoResolve: false, autoCommit, partitionsConsumedConcurrently, eachBatch })
    const silent = silence(() => clock.now() - lastSign, options.silenceMs, clock, watch.signal)
    await Promise.race([stopped, failed, silent])
  } finally {
    watch.abort()
    await consumer.disconnect().catch(() => {})
  }
}

/** Connects and subscribes; false where the end came first. */
async function reach(consumer: Consumer, options: WatchOptions, clock: Clock, signal: AbortSignal): Promise<boolean> {
  let topic: string | null = null
  const subscribe = async () => {
    topic = null
    await consumer.connect()
    // One by one: the error of kafkajs does not name the topic.
    for (topic of options.topics) await consumer.subscribe({ topic, fromBeginning: options.fromBeginning })
    return true
  }
  const failed = (error: unknown, attempt: number) => {
    // Wrong credentials, or no right to read: waiting would heal neither.
    if ((error as { retriable?: boolean }).retriable === false) throw ended('Kafka refuses the consumer', error)
    options.crashed(codeOf(error), true, blamedTopic(error, topic))
    return backoff(attempt, Math.random(), connectRetry)
  }
  return (await retry(subscribe, failed, { clock, signal })) ?? false
}

async function silence(silentMs: () => number, limitMs: number, clock: Clock, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const left = limitMs - silentMs()
    if (left <= 0) throw ended(`kafkajs gave no sign of life for ${limitMs} ms`)
    await clock.wait(left, signal)
  }
  // Aborted: the other promises of the race have decided.
  return new Promise(() => {})
}

function ended(what: string, cause?: unknown): OutboxError {
  const remedy = 'Let the process end and be started again; the cause says why, where kafkajs does.'
  return new OutboxError('CONSUMER_ENDED', `${what}.`, { remedy, cause })
}
