import { setTimeout as sleep } from 'node:timers/promises'
import { within } from '../running/within.ts'
import { type Access, type AccessOptions, accessOf } from './access.ts'
import { checkBrokers, checkLogin } from './brokers.ts'
import { Fuse } from './fuse.ts'
import type { KafkaClient } from './kafka-client.ts'
import { type Compression, type Compressor, compressorOf } from './protocol/compression.ts'
import {
  noAnswer,
  type Outcome,
  type ProducerEpoch,
  type Sending,
  type Transport,
  type TransportBatch,
  TransportError,
  type TransportRecord,
} from './transport.ts'

// The part of a transport that no Kafka package decides: options, which broker a client begins with, when a client is thrown away, and how long
// a send may take. kafkajs/ and platformatic/ extend it with what their package does. It owns the clients: one that sends, one that asks about
// topics, and those that were retired with sends under way. Keeps rule 2 of docs/protocol.md.

/** Share of a publish's time that the broker may wait for its replicas, so that its own REQUEST_TIMED_OUT comes before our deadline. */
const replicaTimeShare = 0.7

/** Kafka's code 14, and kafkajs' name of it: the broker has what was asked for in a moment. */
const loading = new Set(['COORDINATOR_LOAD_IN_PROGRESS', 'GROUP_LOAD_IN_PROGRESS'])

/** Milliseconds until such a broker is asked again. */
const loadingMs = 50

/** Options that both Kafka transports have. */
export interface KafkaTransportOptions {
  /** Brokers to begin with, each as `host:port`; at least one. */
  brokers: string[]
  /** Name that brokers see in logs and quotas, without spaces. @default 'prisma-extension-outbox' */
  clientId?: string
  /**
   * TLS: `true`, or the options of `tls.connect`. `caFile`, `certFile` and `keyFile` name files in PEM, which are read again for each new
   * connection. @default false
   */
  ssl?: NonNullable<AccessOptions['ssl']>
  /**
   * Allows a login that sends its secret (`plain`, a token) without TLS to a broker that is not on this machine. @default false
   */
  saslInsecure?: boolean
  /**
   * How long a broker may take for connection and login, and for an answer to `connect` and `partitions`, in ms; raise it for brokers
   * far away. A `publish` is bounded by its own time as well. @default 5000
   */
  connectionTimeoutMs?: number
  /**
   * Codec of the batches; one that it does not make smaller goes without. `snappy` needs the package snappyjs, `lz4` lz4-napi, `zstd` Node
   * 22.15 or newer. @default 'none'
   */
  compression?: Compression
}

/** Defaults of {@link KafkaTransportOptions}. */
export const kafkaTransportDefaults = Object.freeze({
  clientId: 'prisma-extension-outbox',
  ssl: false,
  saslInsecure: false,
  connectionTimeoutMs: 5_000,
  compression: 'none',
} satisfies Partial<KafkaTransportOptions>)

type Settings = KafkaTransportOptions & Required<Pick<KafkaTransportOptions, keyof typeof kafkaTransportDefaults>>

/** A batch on its way through a client. */
export interface Send {
  batch: TransportBatch
  fuse: Fuse
  /** How long the leader may wait for its replicas (ms). */
  replicaTimeoutMs: number
  /** Whether the batch shares its request with no other. */
  alone: boolean
}

/** An error of a client, unwrapped. */
export interface Fault {
  /** Kafka's name (`MESSAGE_TOO_LARGE`), the system's (`ECONNREFUSED`), or that of the client. */
  code: string
  /** Says it in words, without data of a record. */
  error: string
}

/** Base of the Kafka transports. Opens no connection before it is used. */
export abstract class KafkaTransport<Sender extends KafkaClient, Asker extends KafkaClient> implements Transport {
  abstract readonly name: string
  protected readonly settings: Settings
  protected readonly access: Access
  /** Undefined: batches go without compression. */
  protected readonly compressor: Compressor | undefined
  /** Clients whose sockets may be open. */
  protected readonly alive = new Set<KafkaClient>()
  #sender: Sender | undefined
  #asker: Asker | undefined
  /** Index of the broker with which a client begins: one that answered, as far as is known. */
  #first = 0
  #closed = false

  /** Throws OUTBOX_INVALID_OPTION, OUTBOX_TRANSPORT_PACKAGE without the signer of AWS MSK, and OUTBOX_COMPRESSION_PACKAGE. */
  constructor(options: KafkaTransportOptions & Pick<AccessOptions, 'sasl'>) {
    checkBrokers(options.brokers)
    checkLogin(options)
    this.settings = { ...kafkaTransportDefaults, ...options }
    this.access = accessOf(options)
    this.compressor = compressorOf(this.settings.compression)
  }

  /** Loads the package, if it is not loaded yet. */
  protected async load(_signal: AbortSignal): Promise<void> {}
  protected abstract openSender(brokers: string[]): Sender
  protected abstract openAsker(brokers: string[]): Asker
  /** Resolves when a broker has answered the client. */
  protected abstract answered(asker: Asker): Promise<unknown>
  protected abstract count(asker: Asker, topic: string): Promise<number>
  /** Numbers of partitions in one request, or why there is none. */
  protected abstract countAll(asker: Asker, topics: readonly string[]): Promise<ReadonlyMap<string, number | Error>>
  protected abstract askProducerId(asker: Asker): Promise<ProducerEpoch>
  /** Id of the cluster; undefined: its brokers have none. */
  protected abstract askClusterId(asker: Asker): Promise<string | undefined>
  /** Never rejects. `doubtful`: the client itself may be at fault. What it finds after the fuse has blown is of no interest. */
  protected abstract send(sender: Sender, send: Send): Promise<{ outcome: Outcome; doubtful: boolean }>
  /** `ofTopic`: a broker that was asked about a topic blames that topic. */
  protected abstract fault(error: unknown): Fault & { ofTopic: boolean }

  async connect(signal: AbortSignal): Promise<void> {
    await this.load(signal)
    this.#refuseClosed()
    // Connections of their own: a new one begins with a request that the broker answers, an old one proves nothing. To all brokers at
    // once: every partition waits for this answer, and one broker that accepts and is silent would make healthy ones wait for it.
    const { brokers, connectionTimeoutMs } = this.settings
    const probes = brokers.map((broker) => this.openAsker([broker]))
    try {
      const answers = probes.map((probe, index) => this.answered(probe).then(() => index))
      this.#first = await within(Promise.any(answers), connectionTimeoutMs, noAnswer, signal)
    } catch (error) {
      signal.throwIfAborted()
      throw this.#toError(error instanceof AggregateError ? error.errors[0] : error, 'producer')
    } finally {
      for (const probe of probes) probe.destroy()
    }
  }

  async partitions(topic: string, signal: AbortSignal): Promise<number> {
    if (topic === '') throw new TransportError('INVALID_TOPIC_EXCEPTION', 'topic', 'The topic has no name.')
    return this.#ask((asker) => this.count(asker, topic), signal)
  }

  async allPartitions(topics: readonly string[], signal: AbortSignal): Promise<Map<string, number | TransportError>> {
    const found = await this.#ask((asker) => this.countAll(asker, topics), signal)
    const countOf = (topic: string) => {
      const count = found.get(topic) ?? unanswered()
      return typeof count === 'number' ? count : this.#toError(count)
    }
    return new Map(topics.map((topic) => [topic, countOf(topic)]))
  }

  producerId(signal: AbortSignal): Promise<ProducerEpoch> {
    const until = performance.now() + this.settings.connectionTimeoutMs
    const question = async (asker: Asker): Promise<ProducerEpoch> => {
      try {
        return await this.askProducerId(asker)
      } catch (error) {
        // A broker that has just started has no ids yet.
        if (!loading.has(this.fault(error).code) || performance.now() > until) throw error
        await sleep(loadingMs)
        return question(asker)
      }
    }
    return this.#ask(question, signal)
  }

  clusterId(signal: AbortSignal): Promise<string | undefined> {
    return this.#ask((asker) => this.askClusterId(asker), signal)
  }

  /** Asks a broker, over a connection that is kept until it fails. */
  async #ask<T>(question: (asker: Asker) => Promise<T>, signal: AbortSignal): Promise<T> {
    await this.load(signal)
    this.#asker ??= this.openAsker(this.#inTurn())
    const asker = this.#asker
    try {
      return await within(question(asker), this.settings.connectionTimeoutMs, noAnswer, signal)
    } catch (error) {
      signal.throwIfAborted()
      const failure = this.#toError(error)
      if (failure.scope === 'topic') throw failure
      if (this.#asker === asker) {
        this.#asker = undefined
        this.#first++
      }
      asker.destroy()
      throw failure
    }
  }

  async publish(batch: TransportBatch, timeoutMs: number, how: Sending = {}): Promise<Outcome> {
    if (this.#closed) return { kind: 'not-written', scope: 'producer', code: 'CLOSED', error: 'The transport is closed.' }
    const refused = unfitRecords(batch.records)
    if (refused.length > 0) return { kind: 'not-written', scope: 'record', code: 'INVALID_RECORD', error: unfit, refused }

    // Synchronous, so that all who publish after a disposal share one connect.
    const own = how.alone === 'connection'
    const sender = own ? this.openSender(this.#inTurn()) : this.#shared()
    const fuse = new Fuse(timeoutMs, how)
    sender.sends.add(fuse)
    const replicaTimeoutMs = Math.max(1, Math.floor((how.waitMs ?? timeoutMs) * replicaTimeShare))
    const { outcome, doubtful } = await Promise.race([
      fuse.blown.then((outcome) => ({ outcome, doubtful: true })),
      this.send(sender, { batch, fuse, replicaTimeoutMs, alone: how.alone !== undefined }),
    ])
    fuse.end()
    if (own || doubtful) this.#retire(sender)
    sender.ended(fuse)
    return outcome
  }

  async close(): Promise<void> {
    this.#closed = true
    for (const client of this.alive) {
      for (const send of client.sends) send.blow('CLOSED', 'The transport was closed.')
      client.destroy()
    }
  }

  #shared(): Sender {
    this.#sender ??= this.openSender(this.#inTurn())
    return this.#sender
  }

  #retire(sender: Sender): void {
    if (this.#sender === sender) {
      this.#sender = undefined
      this.#first++
    }
    sender.retire()
  }

  /** All brokers, from the one that is first; after a client that failed, from another: a silent one would be asked first forever. */
  #inTurn(): string[] {
    this.#refuseClosed()
    const { brokers } = this.settings
    const first = this.#first % brokers.length
    return [...brokers.slice(first), ...brokers.slice(0, first)]
  }

  #refuseClosed(): void {
    if (this.#closed) throw new TransportError('CLOSED', 'producer', 'The transport is closed.')
  }

  #toError(error: unknown, scope?: TransportError['scope']): TransportError {
    if (error instanceof TransportError) return error
    const { code, error: words, ofTopic } = this.fault(error)
    return new TransportError(code, scope ?? (ofTopic ? 'topic' : 'producer'), words, error)
  }
}

const unfit = 'A key or value is not bytes, or a header is not a string.'

/** Indexes of records that a client could not encode, or would encode as something else: an undefined value as a tombstone. */
function unfitRecords(records: readonly TransportRecord[]): number[] {
  const isBytes = (bytes: unknown) => bytes === null || bytes instanceof Uint8Array
  const found: number[] = []
  for (const [index, { key, value, headers }] of records.entries()) {
    let fits = isBytes(key) && isBytes(value)
    for (const name in headers) fits &&= typeof headers[name] === 'string'
    if (!fits) found.push(index)
  }
  return found
}

/** The answer lacks a topic that it was asked for. */
export const unanswered = (): TransportError =>
  new TransportError('Error', 'producer', 'The broker did not answer about this topic.')

/** What is left to say of a batch for a partition that the client does not know. */
export function noPartition({ partition }: TransportBatch): Outcome {
  const error = `The topic has no partition ${partition}, or had none when the client last asked.`
  return { kind: 'not-written', scope: 'transient', code: 'PARTITION_NOT_FOUND', error }
}

/** One partition in the answer to a produce request. */
export interface Acknowledgement {
  topic: string
  partition: number
  /** Negative: none was given. */
  baseOffset: bigint
}

/** Believes an answer that names the batch, and nothing else. */
export function acknowledged({ topic, partition }: TransportBatch, answers: readonly Acknowledgement[]): Outcome {
  const [answer] = answers
  const named = answers.length === 1 && answer?.topic === topic && answer.partition === partition
  if (named && answer.baseOffset >= 0n) return { kind: 'acked', baseOffset: answer.baseOffset }
  return { kind: 'unknown', code: 'WRONG_ACKNOWLEDGEMENT', error: 'The acknowledgement does not name this batch.' }
}
