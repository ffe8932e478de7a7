// Keeps rule 2 of docs/protocol.md.

import { type Admin, Kafka, type Producer, type RecordMetadata } from 'kafkajs'
import { within } from '../../running/within.ts'
import { type Access, type AccessOptions, accessOf } from '../access.ts'
import { checkBrokers, checkLogin } from '../brokers.ts'
import { Fuse } from '../fuse.ts'
import { replicaTimeShare, unfit, unfitWords } from '../records.ts'
import {
  metadataMaxAgeMs,
  noAnswer,
  type Outcome,
  type Sending,
  type Transport,
  type TransportBatch,
  TransportError,
} from '../transport.ts'
import { KafkajsBatch } from './batch.ts'
import { type ClientConfig, KafkajsClient } from './client.ts'
import { clusterMaker } from './cluster.ts'
import { blamesTopic, leavesProducerSound, mayConcernOtherTopic, outcomeOf, throttling, trouble } from './errors.ts'
import { SharedRequests } from './shared-requests.ts'
import { quietKafkajsTimers } from './timers.ts'
import { countPartitionsOfAll, openAdmin } from './topics.ts'

/** Options of {@link kafkajsTransport}. */
export interface KafkajsTransportOptions {
  /** Brokers to begin with, each as `host:port`; at least one. */
  brokers: string[]
  /** Name that brokers see in logs and quotas. @default 'prisma-extension-outbox' */
  clientId?: string
  /**
   * TLS: `true`, or the options of `tls.connect`. `caFile`, `certFile` and `keyFile` name files in PEM, which are read again for each new
   * connection. @default false
   */
  ssl?: NonNullable<AccessOptions['ssl']>
  /**
   * Login, in the shape of kafkajs; with `oauthbearer`, `oauthBearerProvider` is called for each login. For AWS MSK by IAM
   * `{ mechanism: 'aws-msk-iam', region }`, which needs the package aws-msk-iam-sasl-signer-js. @default no login
   */
  sasl?: NonNullable<AccessOptions['sasl']>
  /**
   * Allows a login that sends its secret (`plain`, a token) without TLS to a broker that is not on this machine. @default false
   */
  saslInsecure?: boolean
  /**
   * How long a broker may take for connection and login, and for an answer to `connect` and `partitions`, in ms; raise it for brokers
   * far away. A `publish` is bounded by its own time as well. @default 5000
   */
  connectionTimeoutMs?: number
}

/** Defaults of {@link KafkajsTransportOptions}. */
export const kafkajsTransportDefaults = Object.freeze({
  clientId: 'prisma-extension-outbox',
  ssl: false,
  saslInsecure: false,
  connectionTimeoutMs: 5_000,
} satisfies Partial<KafkajsTransportOptions>)

/**
 * The way to Kafka through kafkajs 2.2.4, in the only shape in which it loses nothing: one `send` for each topic-partition, no retries,
 * no idempotence, explicit partitions, checked acknowledgements, and a producer that is thrown away on any doubt.
 *
 * Throws OUTBOX_INVALID_OPTION, and OUTBOX_TRANSPORT_PACKAGE with another version of kafkajs or without the signer of AWS MSK. Opens no
 * connection before it is used.
 *
 * @example
 * ```ts
 * const relay = createRelay({ databaseUrl, transport: kafkajsTransport({ brokers: ['localhost:9092'] }) })
 * ```
 */
export function kafkajsTransport(options: KafkajsTransportOptions): Transport {
  checkBrokers(options.brokers)
  checkLogin(options)
  // Here, and not at the first message.
  clusterMaker(new Kafka({ brokers: options.brokers }))
  quietKafkajsTimers()
  return new KafkajsTransport({ ...kafkajsTransportDefaults, ...options }, accessOf(options))
}

type Settings = KafkajsTransportOptions & Required<Pick<KafkajsTransportOptions, keyof typeof kafkajsTransportDefaults>>

class KafkajsTransport implements Transport {
  readonly name = 'kafkajs'
  readonly #settings: Settings
  readonly #access: Access
  readonly #alive = new Set<KafkajsClient>()
  readonly #requests = new SharedRequests()
  #producer: KafkajsClient<Producer> | undefined
  #admin: KafkajsClient<Admin> | undefined
  /** Index of the broker with which a client begins: one that answered, as far as is known. */
  #first = 0
  #closed = false

  constructor(settings: Settings, access: Access) {
    this.#settings = settings
    this.#access = access
  }

  async connect(signal: AbortSignal): Promise<void> {
    // Connections of their own: a new one begins with a request that the broker answers, an old one proves nothing. To all brokers at
    // once: every partition waits for this answer, and one broker that accepts and is silent would make healthy ones wait for it.
    const { brokers, connectionTimeoutMs } = this.#settings
    const probes = brokers.map((broker) => this.#open((kafka) => kafka.admin(), [broker]))
    try {
      const answers = probes.map(({ ready }, index) => ready.then(() => index))
      this.#first = await within(Promise.any(answers), connectionTimeoutMs, noAnswer, signal)
    } catch (error) {
      signal.throwIfAborted()
      throw transportError(error instanceof AggregateError ? error.errors[0] : error, 'producer')
    } finally {
      for (const probe of probes) probe.destroy()
    }
  }

  async partitions(topic: string, signal: AbortSignal): Promise<number> {
    if (topic === '') throw new TransportError('INVALID_TOPIC_EXCEPTION', 'topic', 'The topic has no name.')
    return this.#ask((admin) => countPartitions(admin, topic), signal)
  }

  async allPartitions(topics: readonly string[], signal: AbortSignal): Promise<Map<string, number | TransportError>> {
    const found = await this.#ask(async ({ ready, client }) => {
      await ready
      return countPartitionsOfAll(client, topics)
    }, signal)
    const counts = new Map<string, number | TransportError>()
    for (const topic of topics) {
      const count = found.get(topic) ?? new Error('The broker did not answer about this topic.')
      counts.set(topic, typeof count === 'number' ? count : blamed(count))
    }
    return counts
  }

  /** Asks about topics, over a connection that is kept until it fails. */
  async #ask<T>(question: (admin: KafkajsClient<Admin>) => Promise<T>, signal: AbortSignal): Promise<T> {
    this.#admin ??= this.#open(openAdmin)
    const admin = this.#admin
    try {
      return await within(question(admin), this.#settings.connectionTimeoutMs, noAnswer, signal)
    } catch (error) {
      signal.throwIfAborted()
      if (blamesTopic(trouble(error))) throw transportError(error, 'topic')
      if (this.#admin === admin) {
        this.#admin = undefined
        this.#first++
      }
      admin.destroy()
      throw transportError(error, 'producer')
    }
  }

  async publish(batch: TransportBatch, timeoutMs: number, how: Sending = {}): Promise<Outcome> {
    if (this.#closed) return { kind: 'not-written', scope: 'producer', code: 'CLOSED', error: 'The transport is closed.' }
    const refused = unfit(batch.records)
    if (refused.length > 0) return { kind: 'not-written', scope: 'record', code: 'INVALID_RECORD', error: unfitWords, refused }

    // Synchronous, so that all who publish after a disposal share one connect.
    const own = how.alone === 'connection'
    const producer = own ? this.#openProducer() : this.#shared()
    const fuse = new Fuse(timeoutMs, how)
    producer.sends.add(fuse)
    const outcome = await Promise.race([
      fuse.blown,
      this.#send(producer, batch, fuse, { ...how, waitMs: how.waitMs ?? timeoutMs }),
    ])
    fuse.end()
    if (own || !leavesProducerSound(outcome)) this.#retire(producer)
    producer.ended(fuse)
    return outcome
  }

  async close(): Promise<void> {
    this.#closed = true
    for (const client of this.#alive) {
      for (const send of client.sends) send.blow('CLOSED', 'The transport was closed.')
      client.destroy()
    }
  }

  /** Never rejects; what it finds after the fuse has blown is of no interest. */
  async #send(
    producer: KafkajsClient<Producer>,
    batch: TransportBatch,
    fuse: Fuse,
    { waitMs, alone }: Sending & { waitMs: number },
  ): Promise<Outcome> {
    try {
      this.#requests.check(batch.topic, batch.partition)
      await producer.ready
      const timeout = Math.max(1, Math.floor(waitMs * replicaTimeShare))
      const { messages } = new KafkajsBatch(batch, fuse, alone !== undefined)
      return acknowledged(batch, await producer.client.send({ topic: batch.topic, acks: -1, timeout, messages }))
    } catch (error) {
      const throttled = throttling(error)
      if (throttled) return throttled.outcome
      const outcome = outcomeOf(error, fuse.used)
      return mayConcernOtherTopic(error, fuse.used) ? this.#blame(batch.topic, outcome, fuse.used) : outcome
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

  /** All brokers, from the one that is first; after a client that failed, from another: kafkajs would begin with a silent one forever. */
  #inTurn(): string[] {
    const { brokers } = this.#settings
    const first = this.#first % brokers.length
    return [...brokers.slice(first), ...brokers.slice(0, first)]
  }

  #retire(producer: KafkajsClient<Producer>): void {
    if (this.#producer === producer) {
      this.#producer = undefined
      this.#first++
    }
    producer.retire()
  }

  #shared(): KafkajsClient<Producer> {
    this.#producer ??= this.#openProducer()
    return this.#producer
  }

  #openProducer(): KafkajsClient<Producer> {
    return this.#open((kafka) => {
      this.#requests.through(kafka)
      return openProducer(kafka)
    })
  }

  #open<C extends Producer | Admin>(create: (kafka: Kafka) => C, brokers = this.#inTurn()): KafkajsClient<C> {
    if (this.#closed) throw new TransportError('CLOSED', 'producer', 'The transport is closed.')
    const { clientId, connectionTimeoutMs } = this.#settings
    const config: ClientConfig = {
      brokers,
      clientId,
      ...this.#access,
      connectionTimeout: connectionTimeoutMs,
      authenticationTimeout: connectionTimeoutMs,
      requestTimeout: connectionTimeoutMs,
      // Every call has a deadline of its own that closes the sockets; kafkajs' would look ten times a second, and keep the dead socket.
      enforceRequestTimeout: false,
      // For connecting and metadata only: enough to come past brokers that are down.
      retry: { retries: Math.max(3, brokers.length), initialRetryTime: 50, maxRetryTime: 500, factor: 0.2, multiplier: 2 },
    }
    return new KafkajsClient(config, create, this.#alive)
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

async function countPartitions({ ready, client }: KafkajsClient<Admin>, topic: string): Promise<number> {
  await ready
  const { topics } = await client.fetchTopicMetadata({ topics: [topic] })
  const found = topics.find(({ name }) => name === topic)
  if (!found) throw new Error('The broker did not answer about this topic.')
  return found.partitions.length
}

/** kafkajs resolves with nothing, having sent nothing, where it does not know the partition. */
function acknowledged({ topic, partition }: TransportBatch, answers: RecordMetadata[]): Outcome {
  const [answer] = answers
  if (answer === undefined) {
    const error = `The topic has no partition ${partition}, or had none when the client last asked.`
    return { kind: 'not-written', scope: 'transient', code: 'PARTITION_NOT_FOUND', error }
  }
  const { topicName, partition: written, errorCode, baseOffset = '-1' } = answer
  const named = answers.length === 1 && topicName === topic && written === partition
  if (named && errorCode === 0 && !baseOffset.startsWith('-')) return { kind: 'acked', baseOffset: BigInt(baseOffset) }
  return { kind: 'unknown', code: 'WRONG_ACKNOWLEDGEMENT', error: 'The acknowledgement does not name this batch.' }
}

/** Why one of many topics has no number of partitions. */
const blamed = (error: Error): TransportError => transportError(error, blamesTopic(trouble(error)) ? 'topic' : 'producer')

function transportError(error: unknown, scope: 'topic' | 'producer'): TransportError {
  if (error instanceof TransportError) return error
  const { code, error: words } = trouble(error)
  return new TransportError(code, scope, words, error)
}
