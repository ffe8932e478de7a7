import type { Connection } from '@platformatic/kafka'
import { OutboxError } from '../../message/errors.ts'
import { within } from '../../running/within.ts'
import { type Access, accessOf, type PasswordLogin } from '../access.ts'
import { checkBrokers, checkLogin } from '../brokers.ts'
import { Fuse } from '../fuse.ts'
import type { MskIamLogin } from '../msk-iam.ts'
import { Quotas, Throttled } from '../quotas.ts'
import { replicaTimeShare, unfit, unfitWords } from '../records.ts'
import type { KafkaTls } from '../tls-files.ts'
import type { TokenLogin } from '../token-login.ts'
import {
  metadataMaxAgeMs,
  noAnswer,
  type Outcome,
  type Sending,
  type Transport,
  type TransportBatch,
  TransportError,
} from '../transport.ts'
import { type BytesProducer, PlatformaticClient } from './client.ts'
import { blamesTopic, platformaticOutcome, platformaticTrouble } from './errors.ts'
import { checkPackage, loadPackage } from './package.ts'
import type { ProduceResponse } from './produce.ts'
import type { CountPartitions } from './topics.ts'

/** Options of {@link platformaticTransport}: the same as those of kafkajs, but for logins that only kafkajs knows. */
export interface PlatformaticTransportOptions {
  /** Brokers to begin with, each as `host:port`; at least one. */
  brokers: string[]
  /** Name that brokers see in logs and quotas, without spaces. @default 'prisma-extension-outbox' */
  clientId?: string
  /**
   * TLS: `true`, or the options of `tls.connect`. `caFile`, `certFile` and `keyFile` name files in PEM, which are read again for each new
   * connection. @default false
   */
  ssl?: boolean | KafkaTls
  /**
   * Login; with `oauthbearer`, `oauthBearerProvider` is called for each login. For AWS MSK by IAM `{ mechanism: 'aws-msk-iam', region }`,
   * which needs the package aws-msk-iam-sasl-signer-js. @default no login
   */
  sasl?: PasswordLogin | TokenLogin | MskIamLogin
  /**
   * Allows a login that sends its secret (`plain`, a token) without TLS to a broker that is not on this machine. @default false
   */
  saslInsecure?: boolean
  /** How long a broker may take for connection and login, and for an answer to `connect` and `partitions`, in ms. @default 5000 */
  connectionTimeoutMs?: number
}

/** Defaults of {@link PlatformaticTransportOptions}. */
export const platformaticTransportDefaults = Object.freeze({
  clientId: 'prisma-extension-outbox',
  ssl: false,
  saslInsecure: false,
  connectionTimeoutMs: 5_000,
} satisfies Partial<PlatformaticTransportOptions>)

/** How often the leader of a partition is looked for before a publish gives up: once, after a change, and once more. */
const metadataRounds = 3

/** Time to load the package: on a busy machine it took longer than a broker may for its answer (ms). */
const loadTimeoutMs = 60_000

const mechanisms = ['plain', 'scram-sha-256', 'scram-sha-512', 'oauthbearer', 'aws-msk-iam']

/**
 * The way to Kafka through @platformatic/kafka: less CPU for each message than kafkajs. Used in its plain mode only, not
 * idempotent and without transactions: in 1.35 those lose records.
 *
 * Throws OUTBOX_INVALID_OPTION, and OUTBOX_TRANSPORT_PACKAGE when the package is missing or does not suit this version of Node. Loads
 * the package, and opens a connection, when it is used.
 *
 * @example
 * ```ts
 * const relay = createRelay({ databaseUrl, transport: platformaticTransport({ brokers: ['localhost:9092'] }) })
 * ```
 */
export function platformaticTransport(options: PlatformaticTransportOptions): Transport {
  checkBrokers(options.brokers)
  checkLogin(options)
  if (options.sasl && !mechanisms.includes(options.sasl.mechanism)) {
    const remedy = `Use one of ${mechanisms.join(', ')}, or the kafkajs transport.`
    throw new OutboxError('INVALID_OPTION', 'The platformatic transport does not know this login.', { field: 'sasl', remedy })
  }
  checkPackage()
  return new PlatformaticTransport({ ...platformaticTransportDefaults, ...options }, accessOf(options))
}

type Settings = PlatformaticTransportOptions &
  Required<Pick<PlatformaticTransportOptions, keyof typeof platformaticTransportDefaults>>

class PlatformaticTransport implements Transport {
  readonly name = 'platformatic'
  readonly #settings: Settings
  readonly #access: Access
  readonly #alive = new Set<PlatformaticClient>()
  readonly #quotas = new Quotas()
  #sender: PlatformaticClient | undefined
  #asker: PlatformaticClient | undefined
  /** Index of the broker with which a client begins: one that answered, as far as is known. */
  #first = 0
  #closed = false

  constructor(settings: Settings, access: Access) {
    this.#settings = settings
    this.#access = access
  }

  async connect(signal: AbortSignal): Promise<void> {
    await within(loadPackage(), loadTimeoutMs, noAnswer, signal)
    // Connections of their own, since an old one proves nothing; to all brokers at once, so that a silent one delays nobody.
    const { brokers, connectionTimeoutMs } = this.#settings
    const probes = brokers.map((broker) => this.#open([broker]))
    try {
      const answers = probes.map(async (probe, index) => {
        await (await probe.producer).metadata({ topics: [] })
        return index
      })
      this.#first = await within(Promise.any(answers), connectionTimeoutMs, noAnswer, signal)
    } catch (error) {
      signal.throwIfAborted()
      throw transportError(error instanceof AggregateError && error.errors.length > 0 ? error.errors[0] : error, 'producer')
    } finally {
      for (const probe of probes) probe.destroy()
    }
  }

  async partitions(topic: string, signal: AbortSignal): Promise<number> {
    if (topic === '') throw new TransportError('INVALID_TOPIC_EXCEPTION', 'topic', 'The topic has no name.')
    return this.#ask(async (producer) => {
      const { topics } = await producer.metadata({ topics: [topic], forceUpdate: true })
      return topics.get(topic)!.partitionsCount
    }, signal)
  }

  async allPartitions(topics: readonly string[], signal: AbortSignal): Promise<Map<string, number | TransportError>> {
    return this.#ask(async (producer, count) => {
      const { brokers } = await producer.metadata({ topics: [] })
      const found = await count(await producer.connections.getFirstAvailable([...brokers.values()]), topics)
      return new Map(topics.map((topic) => [topic, found.get(topic) ?? unanswered()]))
    }, signal)
  }

  /** Asks about topics, over a connection that is kept until it fails. */
  async #ask<T>(question: (producer: BytesProducer, count: CountPartitions) => Promise<T>, signal: AbortSignal): Promise<T> {
    await within(loadPackage(), loadTimeoutMs, noAnswer, signal)
    this.#asker ??= this.#open()
    const asker = this.#asker
    try {
      const asked = asker.producer.then((producer) => question(producer, asker.countPartitions))
      return await within(asked, this.#settings.connectionTimeoutMs, noAnswer, signal)
    } catch (error) {
      signal.throwIfAborted()
      if (blamesTopic(platformaticTrouble(error))) throw transportError(error, 'topic')
      if (this.#asker === asker) {
        this.#asker = undefined
        this.#first++
      }
      asker.destroy()
      throw transportError(error, 'producer')
    }
  }

  async publish(batch: TransportBatch, timeoutMs: number, how: Sending = {}): Promise<Outcome> {
    if (this.#closed) return { kind: 'not-written', scope: 'producer', code: 'CLOSED', error: 'The transport is closed.' }
    const refused = unfit(batch.records)
    if (refused.length > 0) return { kind: 'not-written', scope: 'record', code: 'INVALID_RECORD', error: unfitWords, refused }

    // Synchronous, so that all who publish after a disposal share one connect.
    const own = how.alone === 'connection'
    const sender = own ? this.#open() : this.#shared()
    const fuse = new Fuse(timeoutMs, how)
    sender.sends.add(fuse)
    const { outcome, doubtful } = await Promise.race([
      fuse.blown.then((outcome) => ({ outcome, doubtful: true })),
      this.#send(sender, batch, fuse, Math.max(1, Math.floor((how.waitMs ?? timeoutMs) * replicaTimeShare))),
    ])
    fuse.end()
    if (outcome.kind !== 'acked' && !isThrottled(outcome)) sender.stale.add(batch.topic)
    if (own || doubtful) this.#retire(sender)
    sender.ended(fuse)
    return outcome
  }

  async close(): Promise<void> {
    this.#closed = true
    for (const client of this.#alive) {
      for (const send of client.sends) send.blow('CLOSED', 'The transport was closed.')
      client.destroy()
    }
  }

  /** Never rejects. `doubtful`: the client itself may be at fault, and should be thrown away. */
  async #send(
    sender: PlatformaticClient,
    batch: TransportBatch,
    fuse: Fuse,
    replicaTimeoutMs: number,
  ): Promise<{ outcome: Outcome; doubtful: boolean }> {
    try {
      const producer = await sender.producer
      const leader = await this.#leader(sender, producer, batch)
      if (!leader) return { outcome: noPartition(batch), doubtful: false }
      const responses = await this.#produce(leader, { sender, batch, fuse, replicaTimeoutMs })
      const outcome = acknowledged(batch, responses)
      return { outcome, doubtful: outcome.kind !== 'acked' }
    } catch (error) {
      if (error instanceof Throttled) return { outcome: error.outcome, doubtful: false }
      const trouble = platformaticTrouble(error)
      const outcome = platformaticOutcome(trouble, fuse.used)
      return { outcome, doubtful: outcome.kind === 'unknown' && !trouble.answer }
    }
  }

  /** One request, as soon as the broker's quota allows. */
  async #produce(
    { node, connection }: Leader,
    {
      sender,
      batch,
      fuse,
      replicaTimeoutMs,
    }: { sender: PlatformaticClient; batch: TransportBatch; fuse: Fuse; replicaTimeoutMs: number },
  ): Promise<ProduceResponse['responses']> {
    const quota = this.#quotas.of(node)
    const request = [fuse]
    await quota.enter(request)
    let throttleMs = 0
    try {
      const response = await sender.produce(connection, batch, fuse, replicaTimeoutMs)
      // What does not answer the request is not believed.
      if (response.responses.length > 0) throttleMs = response.throttleTimeMs
      return response.responses
    } finally {
      quota.leave(request, throttleMs)
    }
  }

  /** The leader of the partition; undefined where there is no such partition. */
  async #leader(sender: PlatformaticClient, producer: BytesProducer, batch: TransportBatch): Promise<Leader | undefined> {
    const { topic, partition } = batch
    let fresh = sender.stale.delete(topic)
    for (let round = 1; round <= metadataRounds; round++) {
      const age = fresh ? { forceUpdate: true } : { metadataMaxAge: metadataMaxAgeMs }
      const { brokers, topics } = await producer.metadata({ topics: [topic], ...age })
      const leader = topics.get(topic)!.partitions[partition]?.leader
      if (leader === undefined && fresh) return undefined
      const broker = leader === undefined ? undefined : brokers.get(leader)
      const connection = broker && (await producer.connections.get(broker))
      if (leader !== undefined && connection?.isConnected()) return { node: leader, connection }
      fresh = true
    }
    throw new TransportError('LEADER_NOT_FOUND', 'producer', 'No connection to the leader of the partition.')
  }

  #retire(client: PlatformaticClient): void {
    if (this.#sender === client) {
      this.#sender = undefined
      this.#first++
    }
    client.retire()
  }

  #shared(): PlatformaticClient {
    this.#sender ??= this.#open()
    return this.#sender
  }

  #open(brokers = this.#inTurn()): PlatformaticClient {
    if (this.#closed) throw new TransportError('CLOSED', 'producer', 'The transport is closed.')
    const { clientId, connectionTimeoutMs } = this.#settings
    return new PlatformaticClient({ brokers, clientId, connectionTimeoutMs, ...this.#access }, this.#alive)
  }

  /** All brokers, from the one that is first; after a client that failed, from another: a silent one would be asked first forever. */
  #inTurn(): string[] {
    const { brokers } = this.#settings
    const first = this.#first % brokers.length
    return [...brokers.slice(first), ...brokers.slice(0, first)]
  }
}

/** The broker that leads a partition. */
interface Leader {
  node: number
  connection: Connection
}

const isThrottled = (outcome: Outcome): boolean => outcome.kind === 'not-written' && outcome.scope === 'throttled'

const noPartition = ({ partition }: TransportBatch): Outcome => {
  const error = `The topic has no partition ${partition}.`
  return { kind: 'not-written', scope: 'transient', code: 'PARTITION_NOT_FOUND', error }
}

function acknowledged({ topic, partition }: TransportBatch, answers: ProduceResponse['responses']): Outcome {
  const places = answers.flatMap(({ name, partitionResponses }) => partitionResponses.map((place) => ({ name, ...place })))
  const [place] = places
  const named = places.length === 1 && place?.name === topic && place.index === partition
  if (named && place.baseOffset >= 0n) return { kind: 'acked', baseOffset: place.baseOffset }
  return { kind: 'unknown', code: 'WRONG_ACKNOWLEDGEMENT', error: 'The acknowledgement does not name this batch.' }
}

const unanswered = (): TransportError => new TransportError('Error', 'producer', 'The broker did not answer about this topic.')

function transportError(error: unknown, scope: 'topic' | 'producer'): TransportError {
  if (error instanceof TransportError) return error
  const { code, error: words } = platformaticTrouble(error)
  return new TransportError(code, scope, words, error)
}
