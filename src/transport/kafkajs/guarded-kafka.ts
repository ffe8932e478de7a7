import type { Socket } from 'node:net'
import type { CompressionCodecs, Consumer, ISocketFactoryArgs, Kafka } from 'kafkajs'
import { isOutboxError, OutboxError } from '../../message/errors.ts'
import { oneForAll } from '../../message/one-copy.ts'
import { tellAdvertised } from '../advertised.ts'
import { addressOf } from '../brokers.ts'
import { guarded, mostAnswerBytes, mostFetchedBytes, tooLargeCode } from '../guarded-socket.ts'
import { fetchVersions, readFetchAnswer } from '../protocol/fetch-answer.ts'
import type { Codecs } from '../protocol/record-batch-reader.ts'
import { Unreadable } from '../protocol/wire-cursor.ts'
import { clusterMaker } from './cluster.ts'
import { missingCodec, registerCodecs } from './codecs.ts'
import { hostOf } from './ipv6.ts'

/**
 * Guards clients of kafkajs (2.2.4) that this package makes or is given against records and brokers that would stop them: answers to fetches
 * are read by `fetch-answer.ts`, and sockets bound the size of an answer. Called by inbox, projections, `where`, `prove`, `doctor` and
 * `--create-topics`; the relay's clients have sockets of their own. Touches the clusters of these clients only: other clients of the
 * application, even of the same Kafka object, stay as they are.
 */

/** What is used of kafkajs' insides. */
interface Cluster {
  findBroker(by: object): Promise<Broker>
  /** Also takes an empty list; without it nothing is asked of a broker. */
  addMultipleTargetTopics(topics: string[]): Promise<void>
  connectionPoolBuilder: { build(to?: object): Promise<{ pool: Connection[] }> }
}

interface Connection {
  connectionTimeout: number
  socketFactory(args: ISocketFactoryArgs): Socket
}

interface Broker {
  fetch(request: object): Promise<unknown>
  lookupRequest(...args: unknown[]): (request: object) => Exchange
}

interface Exchange {
  request: { apiVersion: number }
  response: { decode(bytes: Buffer): Promise<unknown> }
}

/** The copy of kafkajs that this package loads; consumers of another copy have other codecs, and stay as they are. */
interface OwnCopy {
  prototype: Cluster
  codecs: Codecs
}

/** Index of the connection over which kafkajs fetches, among those to one broker. */
const fetchIndex = 1

/** Those that are guarded, by whatever copy of this package. */
const known = oneForAll('guarded-clients', () => new WeakSet<Cluster | Broker>())
let loading: Promise<OwnCopy | undefined> | undefined

/** Loaded when it is needed: the entry of the inbox loads no package. Undefined if it cannot be loaded, or is another version. */
function ownCopy(): Promise<OwnCopy | undefined> {
  loading ??= import('kafkajs')
    .then(({ default: kafkajs }) => {
      const cluster = clusterMaker<Cluster>(new kafkajs.Kafka({ brokers: ['127.0.0.1:9'] })).create({})
      registerCodecs(kafkajs.CompressionCodecs)
      return { prototype: Object.getPrototypeOf(cluster), codecs: codecsOf(kafkajs) }
    })
    .catch(() => undefined)
  return loading
}

const codecsOf = (kafkajs: { CompressionCodecs: typeof CompressionCodecs }) => kafkajs.CompressionCodecs as unknown as Codecs

/** A Kafka whose clients are guarded, made of one that stays as it is. */
export function guardedKafka(kafka: Kafka): Kafka {
  const own: Kafka = Object.create(kafka)
  try {
    const { create, replace } = clusterMaker<Cluster>(kafka)
    replace((options) => guardCluster(create(options)), own)
  } catch {
    // Another version of kafkajs: read with its own decoder.
    return kafka
  }
  return own
}

/**
 * Guards a kafkajs consumer: it reads records in time proportional to their bytes, ends with OUTBOX_RECORDS_UNREADABLE as the `cause` of
 * its error for records that cannot be read, and bounds the size of a broker's answer. It also registers codecs for compressed records with
 * kafkajs, as far as their packages are installed. Call it before `connect()` and `run()`. `createInbox` and `createProjection` do so
 * themselves.
 *
 * @param consumer of kafkajs 2.2.4; other consumers of the same Kafka object stay as they are
 * @returns false if the consumer cannot be guarded and stays as it is: it is of another copy of kafkajs, or a wrapper that does not pass
 *   `subscribe` on at once
 *
 * @example
 * const consumer = kafka.consumer({ groupId: 'keep' })
 * await guardConsumer(consumer)
 */
export async function guardConsumer(consumer: Consumer): Promise<boolean> {
  const own = await ownCopy()
  if (!own) return false
  const cluster = clusterOf(consumer, own.prototype)
  if (cluster) guardCluster(cluster)
  return cluster !== undefined
}

/** The cluster on which a consumer works. A subscription to no topic calls it at once, and nothing else. */
function clusterOf(consumer: Consumer, prototype: Cluster): Cluster | undefined {
  const { addMultipleTargetTopics } = prototype
  let found: Cluster | undefined
  prototype.addMultipleTargetTopics = async function (this: Cluster) {
    found = this
  }
  try {
    consumer.subscribe({ topics: [] }).catch(() => {})
  } finally {
    prototype.addMultipleTargetTopics = addMultipleTargetTopics
  }
  return found
}

function guardCluster(cluster: Cluster): Cluster {
  if (known.has(cluster)) return cluster
  known.add(cluster)
  const find = cluster.findBroker.bind(cluster)
  cluster.findBroker = async (by) => guardFetches(await find(by), Object.getPrototypeOf(cluster))
  const { connectionPoolBuilder } = cluster
  const build = connectionPoolBuilder.build.bind(connectionPoolBuilder)
  connectionPoolBuilder.build = async (to) => {
    const connections = await build(to)
    for (const [index, connection] of connections.pool.entries()) {
      const connect = connection.socketFactory
      connection.socketFactory = (args) => {
        const host = hostOf(args.host)
        const socket = guarded(connect({ ...args, host }), index === fetchIndex ? mostFetchedBytes : mostAnswerBytes)
        // Of the brokers to begin with kafkajs names none.
        if (to) tellAdvertised(socket, addressOf(host, args.port), connection.connectionTimeout)
        return socket
      }
    }
    return connections
  }
  return cluster
}

function guardFetches(broker: Broker, copy: Cluster): Broker {
  if (known.has(broker)) return broker
  known.add(broker)
  const asked: Broker = Object.create(broker, {
    fetch: { value: broker.fetch },
    lookupRequest: { value: (...args: unknown[]) => readHere(broker.lookupRequest(...args), copy) },
  })
  broker.fetch = (request) => asked.fetch(request).catch((error) => Promise.reject(explained(error)))
  return broker
}

/** Requests whose answers are read here, if they are of our copy of kafkajs. */
const readHere = (make: (request: object) => Exchange, copy: Cluster) => (request: object) => {
  const exchange = make(request)
  const { apiVersion } = exchange.request
  if (apiVersion < fetchVersions.first || apiVersion > fetchVersions.last) return exchange
  const decode = async (bytes: Buffer) => {
    const own = await ownCopy()
    const read = own?.prototype === copy ? await readFetchAnswer(bytes, apiVersion, own.codecs) : undefined
    return read ?? exchange.response.decode(bytes)
  }
  return { ...exchange, response: { ...exchange.response, decode } }
}

/** An error that kafkajs does not try again, with ours as its cause: the same records would come again, without end. */
class Refused extends Error {
  override readonly name = 'RecordsRefused'
  readonly retriable = false
}

function explained(error: unknown): unknown {
  const missing = missingCodec(error, error instanceof Unreadable ? error.message : undefined)
  if (missing) return new Refused(missing.message, { cause: missing })
  if (error instanceof Unreadable) return refused(error.message, error)
  // Without a cause: kafkajs would see that its own error may be tried again.
  const tooLarge = (error as { code?: unknown } | undefined)?.code === tooLargeCode
  return tooLarge ? refused(`A broker announced an answer of more than ${mostFetchedBytes >> 20} MiB to a fetch`) : error
}

function refused(what: string, cause?: unknown): Refused {
  const remedy = "Read them with Kafka's own tools; to skip them, set the offset of the consumer group behind them."
  return new Refused(what, {
    cause: new OutboxError('RECORDS_UNREADABLE', `Records cannot be read. ${what}.`, { remedy, cause }),
  })
}

/** Our refusal behind an error that kafkajs has wrapped, if there is one, or for a codec that kafkajs itself found missing. */
export function refusalIn(error: unknown): OutboxError | undefined {
  let found = error
  for (let depth = 0; depth < 10 && found instanceof Error; depth++, found = found.cause) {
    if (isOutboxError(found, 'OUTBOX_RECORDS_UNREADABLE') || isOutboxError(found, 'OUTBOX_COMPRESSION_PACKAGE')) return found
  }
  return missingCodec(error)
}
