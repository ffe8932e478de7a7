import { Kafka, logLevel } from 'kafkajs'
import type { KafkajsTransportOptions } from './kafkajs.ts'
import { trouble } from './kafkajs-errors.ts'
import { quietKafkajsTimers } from './kafkajs-timers.ts'
import { type Transport, TransportError } from './transport.ts'

/** Milliseconds that a broker may take to create a topic. */
const timeoutMs = 5_000

/**
 * The transport, which creates a topic that does not exist when it is asked for its partitions. For development: in production a misspelled
 * name would become a topic. `partitions`: of a topic that it creates; undefined: as many as the brokers give by default.
 */
export function creatingTopics(transport: Transport, kafka: KafkajsTransportOptions, partitions: number | undefined): Transport {
  return {
    name: transport.name,
    connect: (signal) => transport.connect(signal),
    publish: (batch, timeoutMs) => transport.publish(batch, timeoutMs),
    close: () => transport.close(),
    async partitions(topic, signal) {
      try {
        return await transport.partitions(topic, signal)
      } catch (error) {
        if (!(error instanceof TransportError) || error.code !== 'UNKNOWN_TOPIC_OR_PARTITION') throw error
        await createTopic(kafka, topic, partitions ?? -1)
        // The leaders may need a moment: then the relay asks again by itself.
        return transport.partitions(topic, signal)
      }
    },
  }
}

async function createTopic(
  { brokers, ssl, sasl, clientId }: KafkajsTransportOptions,
  topic: string,
  numPartitions: number,
): Promise<void> {
  quietKafkajsTimers()
  const kafka = new Kafka({
    brokers,
    ...(clientId === undefined ? {} : { clientId }),
    ...(ssl ? { ssl } : {}),
    ...(sasl ? { sasl } : {}),
    logLevel: logLevel.NOTHING,
    connectionTimeout: timeoutMs,
    retry: { retries: 1 },
  })
  const admin = kafka.admin()
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
