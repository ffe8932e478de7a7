import { setTimeout } from 'node:timers/promises'
import { Kafka, logLevel } from 'kafkajs'
import { accessOf } from '../access.ts'
import { around, type Transport, TransportError } from '../transport.ts'
import { trouble } from './errors.ts'
import { guardedKafka } from './guarded-kafka.ts'
import { brokerNames } from './ipv6.ts'
import type { KafkajsTransportOptions } from './kafkajs.ts'
import { quietKafkajsTimers } from './timers.ts'

/** Milliseconds that a broker may take to create a topic, and that all may take to hear of it. */
const timeoutMs = 5_000

/** Milliseconds between two questions for a new topic. */
const knownAgainMs = 100

/**
 * The transport, which creates a topic that does not exist when it is asked for its partitions. For development: in production a misspelled
 * name would become a topic. `partitions`: of a topic that it creates; undefined: as many as the brokers give by default.
 */
export function creatingTopics(transport: Transport, kafka: KafkajsTransportOptions, partitions: number | undefined): Transport {
  /** Partitions of a topic that was missing, or why it cannot be created. */
  const created = async (topic: string, signal: AbortSignal): Promise<number | TransportError> => {
    try {
      await createTopic(kafka, topic, partitions ?? -1)
      return await partitionsOfNew(transport, topic, signal)
    } catch (error) {
      if (error instanceof TransportError && error.scope === 'topic') return error
      throw error
    }
  }
  return around(transport, {
    async partitions(topic, signal) {
      try {
        return await transport.partitions(topic, signal)
      } catch (error) {
        if (!isMissing(error)) throw error
        await createTopic(kafka, topic, partitions ?? -1)
        return partitionsOfNew(transport, topic, signal)
      }
    },
    // One after the other: each is created at the first question.
    async allPartitions(topics, signal) {
      const counts = new Map(await transport.allPartitions(topics, signal))
      for (const [topic, found] of counts) if (isMissing(found)) counts.set(topic, await created(topic, signal))
      return counts
    },
  })
}

const isMissing = (error: unknown) => error instanceof TransportError && error.code === 'UNKNOWN_TOPIC_OR_PARTITION'

/** Brokers hear of a new topic one after the other: the next one asked may not know it yet. A drain would take it for missing. */
export async function partitionsOfNew(transport: Transport, topic: string, signal: AbortSignal): Promise<number> {
  for (let left = timeoutMs / knownAgainMs; ; left--) {
    try {
      return await transport.partitions(topic, signal)
    } catch (error) {
      if (left <= 0 || !isMissing(error)) throw error
      await setTimeout(knownAgainMs, undefined, { signal })
    }
  }
}

async function createTopic(
  { brokers, clientId, ...access }: KafkajsTransportOptions,
  topic: string,
  numPartitions: number,
): Promise<void> {
  quietKafkajsTimers()
  const settings = {
    brokers: brokerNames(brokers),
    ...(clientId === undefined ? {} : { clientId }),
    ...accessOf(access),
    logLevel: logLevel.NOTHING,
    connectionTimeout: timeoutMs,
    retry: { retries: 1 },
  }
  const admin = guardedKafka(new Kafka(settings)).admin()
  try {
    await admin.connect()
    // Another relay may create it at this moment: that is no error.
    await admin.createTopics({ topics: [{ topic, numPartitions }], waitForLeaders: false, timeout: timeoutMs })
  } catch (error) {
    const { code, error: words } = trouble(error)
    throw new TransportError(code, 'topic', `It does not exist, and cannot be created: ${words}`, error)
  } finally {
    await admin.disconnect().catch(() => {})
  }
}
