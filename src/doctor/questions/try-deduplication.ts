import { randomBytes } from 'node:crypto'
import type { Admin, ConfigResourceTypes } from 'kafkajs'
import { throwBug } from '../../running/programming-error.ts'
import { partitionsOfNew } from '../../transport/kafkajs/create-topics.ts'
import { trouble } from '../../transport/kafkajs/errors.ts'
import { type KafkajsTransportOptions, kafkajsTransport } from '../../transport/kafkajs/kafkajs.ts'
import { type Outcome, type TransportBatch, TransportError } from '../../transport/transport.ts'
import { examiningClient } from './examine-cluster.ts'

/** kafkajs' enum, which Node cannot import by name from CommonJS. */
const brokerResource = 4 satisfies ConfigResourceTypes.BROKER

/** Milliseconds that each step of the trial may take. */
const stepMs = 10_000

/** What the brokers do with a batch that is sent twice under the same numbers. */
export interface DeduplicationFacts {
  /** Records in the log after one record was sent twice; null: it could not be tried. */
  records: number | null
  /** Why it could not be tried. */
  trouble: { code: string; error: string } | null
  /** Milliseconds after which brokers forget a producer, `producer.id.expiration.ms`; null: this login may not see it. */
  expirationMs: number | null
  /** The topic of the trial, where it could not be deleted. */
  left: string | null
}

/** Sends one record twice under the same numbers, to a topic that it makes and deletes. Rejects only for wrong options and for a bug. */
export async function tryDeduplication(kafka: KafkajsTransportOptions): Promise<DeduplicationFacts> {
  const topic = `outbox-doctor-${randomBytes(6).toString('hex')}`
  const admin = examiningClient(kafka).admin()
  let made = false
  const facts: DeduplicationFacts = { records: null, trouble: null, expirationMs: null, left: null }
  try {
    await admin.connect()
    facts.expirationMs = await expirationOf(admin)
    const plan = { topic, numPartitions: 1 }
    await admin.createTopics({ topics: [plan], waitForLeaders: true, timeout: stepMs })
    made = true
    await sendTwice(kafka, topic)
    const [offsets] = await admin.fetchTopicOffsets(topic)
    facts.records = Number(offsets!.high)
  } catch (error) {
    throwBug(error)
    const { code, error: words } = trouble(error)
    facts.trouble = { code, error: words }
  } finally {
    // Also after an error: it may have been made, although its answer was none.
    await admin.deleteTopics({ topics: [topic], timeout: stepMs }).catch(() => {
      if (made) facts.left = topic
    })
    await admin.disconnect().catch(() => {})
  }
  return facts
}

async function sendTwice(kafka: KafkajsTransportOptions, topic: string): Promise<void> {
  const transport = kafkajsTransport(kafka)
  const signal = AbortSignal.timeout(stepMs)
  try {
    await transport.connect(signal)
    await partitionsOfNew(transport, topic, signal)
    const numbers = { ...(await transport.producerId!(signal)), sequence: 0 }
    const batch = { topic, partition: 0, records: [{ key: null, value: new Uint8Array([1]), headers: {} }], numbers }
    await sent(() => transport.publish(batch, stepMs), batch)
    await sent(() => transport.publish(batch, stepMs), batch)
  } finally {
    await transport.close()
  }
}

/** Resolves when the batch is in the log. */
async function sent(publish: () => Promise<Outcome>, { topic }: TransportBatch): Promise<void> {
  const outcome = await publish()
  // Brokers also answer a known batch so, whose offset they have forgotten.
  if (outcome.kind === 'acked' || outcome.code === 'DUPLICATE_SEQUENCE_NUMBER') return
  throw new TransportError(outcome.code, 'topic', `A record was not taken by ${topic}: ${outcome.error}`)
}

async function expirationOf(admin: Admin): Promise<number | null> {
  try {
    const { brokers } = await admin.describeCluster()
    const configNames = ['producer.id.expiration.ms']
    const resources = brokers.map(({ nodeId }) => ({ type: brokerResource, name: String(nodeId), configNames }))
    const found = await admin.describeConfigs({ includeSynonyms: false, resources })
    const values = found.resources.flatMap(({ configEntries }) => configEntries.map(({ configValue }) => Number(configValue)))
    return values.length === 0 ? null : Math.min(...values)
  } catch (error) {
    throwBug(error)
    return null
  }
}
