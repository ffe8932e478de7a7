// The transport that kafkajs 2.2.4 serves: how it sends a batch, asks about topics, and what its errors mean. Everything else is in
// ../kafka-transport.ts. Keeps rule 2 of docs/protocol.md.

import { type Admin, Kafka, type Producer, type RecordMetadata } from 'kafkajs'
import type { AccessOptions } from '../access.ts'
import {
  acknowledged,
  type Fault,
  KafkaTransport,
  type KafkaTransportOptions,
  noPartition,
  type Send,
  unanswered,
} from '../kafka-transport.ts'
import { metadataMaxAgeMs, type Outcome, type ProducerEpoch, type Transport, TransportError } from '../transport.ts'
import { KafkajsBatch } from './batch.ts'
import { type ClientConfig, KafkajsClient } from './client.ts'
import { clusterMaker } from './cluster.ts'
import { blamesTopic, leavesProducerSound, mayConcernOtherTopic, outcomeOf, throttling, trouble } from './errors.ts'
import { SharedRequests } from './shared-requests.ts'
import { quietKafkajsTimers } from './timers.ts'
import { clusterIdOf, countPartitionsOfAll, newProducerId, openAdmin } from './topics.ts'

/** Options of {@link kafkajsTransport}. */
export interface KafkajsTransportOptions extends KafkaTransportOptions {
  /**
   * Login, in the shape of kafkajs; with `oauthbearer`, `oauthBearerProvider` is called for each login. For AWS MSK by IAM
   * `{ mechanism: 'aws-msk-iam', region }`, which needs the package aws-msk-iam-sasl-signer-js. @default no login
   */
  sasl?: NonNullable<AccessOptions['sasl']>
}

/**
 * The way to Kafka through kafkajs 2.2.4, in the only shape that loses nothing. It makes one `send` for each topic-partition, without retries,
 * with explicit partitions and the numbers of the relay. It checks acknowledgements and throws the producer away on any doubt.
 *
 * Throws OUTBOX_INVALID_OPTION, OUTBOX_TRANSPORT_PACKAGE with another version of kafkajs or without the signer of AWS MSK, and
 * OUTBOX_COMPRESSION_PACKAGE without the package of the compression. Opens no connection before it is used.
 *
 * @example
 * ```ts
 * const relay = createRelay({ databaseUrl, transport: kafkajsTransport({ brokers: ['localhost:9092'] }) })
 * ```
 */
export function kafkajsTransport(options: KafkajsTransportOptions): Transport {
  const transport = new KafkajsTransport(options)
  // Here, and not at the first message.
  clusterMaker(new Kafka({ brokers: options.brokers }))
  quietKafkajsTimers()
  return transport
}

class KafkajsTransport extends KafkaTransport<KafkajsClient<Producer>, KafkajsClient<Admin>> {
  override readonly name = 'kafkajs'
  readonly #requests = new SharedRequests(this.compressor)

  protected override openSender(brokers: string[]): KafkajsClient<Producer> {
    const open = (kafka: Kafka) => {
      this.#requests.through(kafka)
      return openProducer(kafka)
    }
    return new KafkajsClient(this.#config(brokers), open, this.alive)
  }

  protected override openAsker(brokers: string[]): KafkajsClient<Admin> {
    return new KafkajsClient(this.#config(brokers), openAdmin, this.alive)
  }

  #config(brokers: string[]): ClientConfig {
    const { clientId, connectionTimeoutMs } = this.settings
    return {
      brokers,
      clientId,
      ...this.access,
      connectionTimeout: connectionTimeoutMs,
      authenticationTimeout: connectionTimeoutMs,
      requestTimeout: connectionTimeoutMs,
      // Every call has a deadline of its own that closes the sockets; kafkajs' would look ten times a second, and keep the dead socket.
      enforceRequestTimeout: false,
      // For connecting and metadata only: enough to come past brokers that are down.
      retry: { retries: Math.max(3, brokers.length), initialRetryTime: 50, maxRetryTime: 500, factor: 0.2, multiplier: 2 },
    }
  }

  protected override answered({ ready }: KafkajsClient<Admin>): Promise<void> {
    return ready
  }

  protected override async count({ ready, client }: KafkajsClient<Admin>, topic: string): Promise<number> {
    await ready
    const { topics } = await client.fetchTopicMetadata({ topics: [topic] })
    const found = topics.find(({ name }) => name === topic)
    if (!found) throw unanswered()
    return found.partitions.length
  }

  protected override async countAll(
    { ready, client }: KafkajsClient<Admin>,
    topics: readonly string[],
  ): Promise<Map<string, number | Error>> {
    await ready
    return countPartitionsOfAll(client, topics)
  }

  protected override async askProducerId({ ready, client }: KafkajsClient<Admin>): Promise<ProducerEpoch> {
    await ready
    return newProducerId(client)
  }

  protected override async askClusterId({ ready, client }: KafkajsClient<Admin>): Promise<string | undefined> {
    await ready
    return clusterIdOf(client)
  }

  protected override async send(producer: KafkajsClient<Producer>, send: Send): Promise<{ outcome: Outcome; doubtful: boolean }> {
    const outcome = await this.#send(producer, send)
    return { outcome, doubtful: !leavesProducerSound(outcome) }
  }

  async #send(producer: KafkajsClient<Producer>, { batch, fuse, replicaTimeoutMs, alone }: Send): Promise<Outcome> {
    const { topic, partition } = batch
    try {
      this.#requests.check(topic, partition)
      await producer.ready
      const { messages } = new KafkajsBatch(batch, fuse, alone)
      const answers = await producer.client.send({ topic, acks: -1, timeout: replicaTimeoutMs, messages })
      // kafkajs resolves with nothing, having sent nothing, if it does not know the partition.
      return answers.length === 0 ? noPartition(batch) : acknowledged(batch, answers.map(toAcknowledgement))
    } catch (error) {
      const throttled = throttling(error)
      if (throttled) return throttled.outcome
      const outcome = outcomeOf(error, fuse.used)
      return mayConcernOtherTopic(error, fuse.used) ? this.#blame(topic, outcome, fuse.used) : outcome
    }
  }

  /** Whose fault an answer is that may be about another topic. Asks about this topic alone. */
  async #blame(topic: string, outcome: Outcome, sent: boolean): Promise<Outcome> {
    if (outcome.kind !== 'not-written') return outcome
    const asked = await this.partitions(topic, new AbortController().signal).catch((error: unknown) => error)
    if (asked instanceof TransportError && asked.scope === 'topic') {
      return { kind: 'not-written', scope: 'topic', code: asked.code, error: asked.message }
    }
    const error = `Perhaps about another topic of the same connection: ${outcome.error}`
    if (sent) return { kind: 'unknown', code: outcome.code, error }
    return { ...outcome, scope: asked instanceof TransportError ? 'producer' : 'transient', error }
  }

  protected override fault(error: unknown): Fault & { ofTopic: boolean } {
    const found = trouble(error)
    return { ...found, ofTopic: blamesTopic(found) }
  }
}

/**
 * Retries would lose records (a retry skips partitions whose leader moved, tulios/kafkajs#1798) or repeat them; an idempotent producer
 * that failed once takes later batches for duplicates and drops them.
 */
function openProducer(kafka: Kafka): Producer {
  return kafka.producer({
    retry: { retries: 0 },
    idempotent: false,
    allowAutoTopicCreation: false,
    metadataMaxAge: metadataMaxAgeMs,
    // Never asked: a batch names its partition. kafkajs warns of its default.
    createPartitioner: () => () => -1,
  })
}

function toAcknowledgement({ topicName, partition, errorCode, baseOffset = '-1' }: RecordMetadata) {
  return { topic: topicName, partition, baseOffset: errorCode === 0 ? BigInt(baseOffset) : -1n }
}
