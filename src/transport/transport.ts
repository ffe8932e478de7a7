import { instancesOfAll } from '../message/one-copy.ts'

/** Names of the transports that `createRelay` and `relay` make on their own. */
export const transportNames = ['kafkajs', 'platformatic'] as const
/** One of {@link transportNames}. */
export type TransportName = (typeof transportNames)[number]

/** Age in milliseconds at which the list of partitions and leaders is read again. */
export const metadataMaxAgeMs = 60_000

/** One record as it goes to Kafka: the stored bytes and the headers, ready to be written. */
export interface TransportRecord {
  /** Key bytes, or null for a record without a key. */
  key: Uint8Array | null
  /** Value bytes, or null for a tombstone. */
  value: Uint8Array | null
  /** Header values are UTF-8 strings; the order is kept. */
  headers: Record<string, string>
}

/**
 * Milliseconds for which a broker is relied on to know a producer that sends nothing: half of its default, `producer.id.expiration.ms`. A recorded
 * batch of this age is looked up in the log.
 */
export const producerKeptMs = 12 * 3_600_000

/** A producer id with one of its epochs. */
export interface ProducerEpoch {
  producerId: bigint
  /** 0 to 32,767. A partition takes nothing of an epoch below the highest that it has seen of the producer id. */
  epoch: number
  /** Id of the cluster that gave it, if that is known. A relay of the exactly-once mode sets it. */
  cluster?: string | undefined
}

/**
 * The numbers of a batch. A partition takes the same numbers once: sent again, the batch is acknowledged and not appended. So numbers
 * never get a second content: a broker would acknowledge it and drop it.
 */
export interface BatchNumbers extends ProducerEpoch {
  /** Of the first record: 0 for the first batch of an epoch in this partition, then the sequence of the batch before plus its records. */
  sequence: number
}

/** Records of one topic-partition, in the order in which they must stand in the log. */
export interface TransportBatch<R extends TransportRecord = TransportRecord> {
  topic: string
  /** 0 to partitions - 1. The relay hashes; a transport never chooses a partition. */
  partition: number
  /** At least one, at most 1,000. */
  records: readonly R[]
  /** Without them the batch is appended as often as it is sent. */
  numbers?: BatchNumbers | undefined
}

/**
 * What became of a batch. A batch is all or nothing.
 *
 * - `acked`: every in-sync replica has it, and the acknowledgement named this topic, partition and offset.
 * - `not-written`: it is certain that nothing of it is, or will be, in the log. `scope` has whose fault it is.
 *   `record`: one or more records of the batch; `refused` holds their indexes if they are known.
 *   `topic`: missing, no rights, a partition without a leader, … `producer`: no broker reached, login, configuration of client or
 *   cluster; other topics will hardly do better. `transient`: will pass on its own; the number of partitions may have changed.
 *   `throttled`: nothing was sent, because the broker enforces a quota; send again after `waitMs`.
 * - `unknown`: may be in the log, now or later. Everything that does not prove one of the others is unknown.
 *
 * `code` is Kafka's name of the error (`MESSAGE_TOO_LARGE`), or the client's (`ECONNREFUSED`); `error` says it in words, without data.
 */
export type Outcome =
  | { kind: 'acked'; baseOffset: bigint }
  | { kind: 'not-written'; scope: 'record' | 'topic' | 'producer' | 'transient'; code: string; error: string; refused?: number[] }
  | { kind: 'not-written'; scope: 'throttled'; code: string; error: string; waitMs: number }
  | { kind: 'unknown'; code: string; error: string }

/**
 * Thrown by {@link Transport.connect} and {@link Transport.partitions}. `instanceof` holds for errors of every copy of this package.
 *
 * @example
 * ```ts
 * throw new TransportError('UNKNOWN_TOPIC_OR_PARTITION', 'topic', `The topic ${topic} does not exist.`)
 * ```
 */
export class TransportError extends Error {
  static {
    instancesOfAll(TransportError, 'TransportError')
  }

  override readonly name = 'TransportError'
  /** Kafka's name of the error, or the client's. */
  readonly code: string
  /** `topic`: this topic only (missing, no rights, illegal name). `producer`: nothing can be reached or we may not enter. */
  readonly scope: 'topic' | 'producer'

  constructor(code: string, scope: 'topic' | 'producer', message: string, cause?: unknown) {
    super(message, { cause })
    this.code = code
    this.scope = scope
  }
}

/** What `connect` or `partitions` rejected with. Anything but a {@link TransportError} is a bug of the client, and none of Kafka's. */
export const asTransportError = (error: unknown): TransportError =>
  error instanceof TransportError
    ? error
    : new TransportError('INTERNAL_ERROR', 'producer', 'An error of the program, not of Kafka.', error)

/** No broker said anything in so many milliseconds. */
export const noAnswer = (limitMs: number): TransportError =>
  new TransportError('TIMEOUT', 'producer', `No answer within ${limitMs} ms.`)

/** Codes with which brokers that offer no producer ids, or none to this login, answer. Asking again changes nothing. */
export const offersNoProducerId: ReadonlySet<string> = new Set([
  'CLUSTER_AUTHORIZATION_FAILED',
  'TOPIC_AUTHORIZATION_FAILED',
  'UNSUPPORTED_VERSION',
])

/** Records that are looked for in a partition, by their header `id`. */
export interface LogSearch {
  topic: string
  partition: number
  messageIds: readonly string[]
  /** Unix time in milliseconds: older records are not read. */
  sinceMs: number
}

/** Returns how many of the records are in the log. Rejects if it could not read to the end of the log. */
export type SearchLog = (what: LogSearch) => Promise<number>

/** How a batch is sent. */
export interface Sending {
  /**
   * What the batch shares with no other: its request, since a broker answers a request when it has answered for all of its partitions, or
   * also its connection, since a broker takes one request of a connection after the other.
   * @default shares both
   */
  alone?: 'request' | 'connection' | undefined
  /**
   * Milliseconds in which the batch is answered, once it is on its way; the connection stays as long.
   * @default the time in which it must be on its way
   */
  waitMs?: number | undefined
  /** Ends the wait for the answer: what is undecided is `unknown` then. */
  giveUp?: AbortSignal | undefined
}

/**
 * The way to Kafka. The relay owns this port and promises at most one outstanding `publish` a topic-partition; several partitions
 * go on at once.
 */
export interface Transport {
  /** Name for logs: `kafkajs`. */
  readonly name: string
  /**
   * Resolves when a broker answers. Throws {@link TransportError} when none does; the relay tries again, forever. May be called at any
   * time, also while connected: it is the probe of an outage and asks a broker each time. Once `signal` is aborted it rejects with the
   * signal's reason, and so does `partitions`.
   */
  connect(signal: AbortSignal): Promise<void>
  /** Number of partitions of the topic, asked from a broker now. Throws {@link TransportError}; never creates the topic. */
  partitions(topic: string, signal: AbortSignal): Promise<number>
  /**
   * The same for many topics in one request, at most 1,000: for each its number, or the error with which {@link partitions} would throw.
   * Throws the error of scope `producer` that says that there is no answer.
   */
  allPartitions(topics: readonly string[], signal: AbortSignal): Promise<ReadonlyMap<string, number | TransportError>>
  /**
   * A producer id that nobody has or had, with its first epoch. Throws {@link TransportError}; with a code of {@link offersNoProducerId} if the
   * broker offers none, or none to this login. A transport without this method sends batches without numbers only.
   */
  producerId?(signal: AbortSignal): Promise<ProducerEpoch>
  /**
   * Id of the cluster, asked from a broker now; undefined: its brokers have none. Throws {@link TransportError}. Producer ids belong to a cluster:
   * with this method, a relay of the exactly-once mode finds out that another one recorded a batch for another cluster.
   */
  clusterId?(signal: AbortSignal): Promise<string | undefined>
  /**
   * Sends the batch once, with acks of all in-sync replicas, and never on its own again. Never rejects. Nothing of it is sent after
   * `timeoutMs`. Answers within `how.waitMs` (plus a moment, and plus what a broker asks for by its throttle time): what is undecided by
   * then is `unknown`, and its connection is thrown away.
   */
  publish(batch: TransportBatch, timeoutMs: number, how?: Sending): Promise<Outcome>
  /** Sends nothing more and frees everything. What is on the wire may still reach a broker. Idempotent. */
  close(): Promise<void>
}

/** Every method, the optional ones too: a new one that {@link around} does not pass on does not compile. */
type Methods = { [Name in keyof Required<Transport>]: Transport[Name] }

/** The transport with some methods of `own`; all others are its own still. */
export function around(transport: Transport, own: Partial<Transport>): Transport {
  const { producerId, clusterId, ...methods }: Methods = {
    name: transport.name,
    connect: (signal) => transport.connect(signal),
    partitions: (topic, signal) => transport.partitions(topic, signal),
    allPartitions: (topics, signal) => transport.allPartitions(topics, signal),
    producerId: transport.producerId && ((signal) => transport.producerId!(signal)),
    clusterId: transport.clusterId && ((signal) => transport.clusterId!(signal)),
    publish: (batch, timeoutMs, how) => transport.publish(batch, timeoutMs, how),
    close: () => transport.close(),
  }
  return { ...methods, ...(producerId && { producerId }), ...(clusterId && { clusterId }), ...own }
}
