import { OutboxError } from './message/errors.ts'
import { remedyOf } from './ops/remedy-of.ts'
import { bootstrapServers } from './ops/trouble.ts'
import { withBudget } from './relay/drain.ts'
import { answering, type DrainHandlerOptions, refused } from './relay/drain-handler.ts'
import { relayLines } from './relay/event-lines.ts'
import type { RelayOptions } from './relay/options.ts'
import { type Relay, RelayEngine } from './relay/relay.ts'
import { type RelayEvent, type RelayEvents, Telemetry } from './relay/telemetry.ts'
import { consoleLines } from './running/console-lines.ts'
import { postgresStore } from './store/postgres/store.ts'
import { type KafkajsTransportOptions, kafkajsTransport } from './transport/kafkajs/kafkajs.ts'
import { searchLog } from './transport/kafkajs/search-log.ts'
import { type PlatformaticTransportOptions, platformaticTransport } from './transport/platformatic/platformatic.ts'
import { type Transport, type TransportName, transportNames } from './transport/transport.ts'
import { version } from './version.ts'

/** Options of {@link createRelay}: where database and Kafka are, and the settings of the relay. */
export interface CreateRelayOptions extends RelayOptions {
  /** `postgresql://…` of the database that the application writes to. */
  databaseUrl: string
  /** PostgreSQL schema of the outbox tables. Default: the URL's `schema` parameter, else `public`. */
  schema?: string | undefined
  /** Prefix of the outbox tables: `p_` for `p_outbox`, `p_outbox_lease`, and so on. @default '' */
  tablePrefix?: string | undefined
  /** Another URL for LISTEN, where a pooler would swallow notifications; false polls only. Default: `databaseUrl`. */
  listenUrl?: string | false | undefined
  /** The Kafka client: its name (`platformatic` needs the package @platformatic/kafka), or a transport of your own. @default 'kafkajs' */
  transport?: TransportName | Transport | undefined
  /** How to reach Kafka. Needed unless `transport` is an object, which does not read it. */
  kafka?: KafkajsTransportOptions | undefined
}

/**
 * A relay to run inside your own process. Listen with `relay.on`, then `await relay.start()`; `relay.stop()` at the end, or
 * `await using`. Warnings and errors go to the console while no log is attached and the event has no handler.
 *
 * @throws OutboxError INVALID_OPTION, DATABASE_REFUSED for a malformed URL, TRANSPORT_PACKAGE or COMPRESSION_PACKAGE if the package of the
 *   transport or of the compression is missing.
 * @example
 * ```ts
 * const relay = createRelay({ databaseUrl: process.env.DATABASE_URL!, kafka: { brokers: ['localhost:9092'] } })
 * relay.on('dead_lettered', ({ topic, messageId, reason }) => console.error(topic, messageId, reason))
 * await relay.start()
 * ```
 */
export function createRelay(options: CreateRelayOptions): Relay {
  const { databaseUrl, schema, tablePrefix, listenUrl, transport = 'kafkajs', kafka, ...settings } = options
  const store = postgresStore({ databaseUrl, schema, tablePrefix, listenUrl })
  const opened = typeof transport === 'string' ? openTransport(transport, kafka) : transport
  const search = kafka && searchLog(kafka)
  return new RelayEngine({ store, transport: opened, search, version, telemetry: toldAtConsole(kafka?.brokers) }, settings)
}

/** `brokers` stand in the commands that help. */
function toldAtConsole(brokers: readonly string[] | undefined): Telemetry {
  const servers = bootstrapServers(brokers)
  const fieldsOf = (event: RelayEvent, fields: object) => ({
    ...relayLines.fieldsOf(event, fields),
    ...remedyOf(event, fields as RelayEvents[RelayEvent], servers),
  })
  return new Telemetry(consoleLines<RelayEvents>({ ...relayLines, fieldsOf }))
}

/**
 * Opens the transport of that name, to share it between a relay and health checks, or to wrap it.
 *
 * @throws OutboxError INVALID_OPTION, TRANSPORT_PACKAGE or COMPRESSION_PACKAGE if its package, or that of the compression, is missing.
 * @example
 * ```ts
 * const transport = openTransport('kafkajs', { brokers: ['localhost:9092'] })
 * const relay = createRelay({ databaseUrl, transport })
 * ```
 */
export function openTransport(name: TransportName, kafka: KafkajsTransportOptions | undefined): Transport {
  if (kafka === undefined) {
    const remedy = "Give kafka: { brokers: ['host:9092'] }, or a transport of your own as transport."
    throw new OutboxError('INVALID_OPTION', 'The option kafka is missing.', { field: 'kafka', remedy })
  }
  if (name === 'kafkajs') return kafkajsTransport(kafka)
  // It refuses the logins that only kafkajs knows.
  if (name === 'platformatic') return platformaticTransport(kafka as PlatformaticTransportOptions)
  const remedy = `Use one of ${transportNames.join(', ')}, or give a transport of your own.`
  throw new OutboxError('INVALID_OPTION', 'There is no transport of that name.', { field: 'transport', remedy })
}

/**
 * A relay where no process may live: each call publishes what is in the outbox, within its budget. For a cron of Next.js, Vercel, Lambda,
 * Hono and others that take a web-standard handler, on Node. Calls at the same time join the drain that runs in this process; processes share the
 * work by leases.
 *
 * Answers GET and POST with status 200 and a {@link DrainAnswer}, 401 without the secret, 405 for other methods, 500 with `code` and `error`
 * when the relay cannot serve.
 *
 * @param options as for `createRelay`, or a function that returns them, called at each drain: a transport object serves one drain. Without
 *   `requestTimeoutMs` a request has half of the budget, at most half of the lease.
 * @throws OutboxError INVALID_OPTION for an empty secret, or a transport object outside a function.
 * @example
 * ```ts
 * const drain = drainHandler(
 *   () => ({ databaseUrl: process.env.DATABASE_URL!, kafka: { brokers: process.env.KAFKA_BROKERS!.split(',') } }),
 *   { budgetMs: 50_000, secret: process.env.CRON_SECRET },
 * )
 * export { drain as GET, drain as POST }
 * ```
 */
export function drainHandler(
  options: CreateRelayOptions | (() => CreateRelayOptions),
  { budgetMs, maxMessages, secret }: DrainHandlerOptions,
): (request: Request) => Promise<Response> {
  if (typeof options !== 'function' && typeof options.transport === 'object')
    throw refused('transport', 'serves one drain.', 'Give a function that makes the options, or the name of the transport.')
  const drain = async () => {
    const given = typeof options === 'function' ? options() : options
    return createRelay({ ...given, ...withBudget(given, budgetMs) }).drain({ budgetMs, maxMessages })
  }
  return answering(drain, secret)
}

export type { DrainEnd, DrainOptions, DrainReport } from './relay/drain.ts'
export type { DrainAnswer, DrainHandlerOptions } from './relay/drain-handler.ts'
export { type RelayOptions, type RelaySettings, relayDefaults } from './relay/options.ts'
export type { Relay } from './relay/relay.ts'
export type { OnDeadLetter, OnDeadLetterByTopic } from './relay/state/on-dead-letter.ts'
export type { RelayEvent, RelayEventSource, RelayEvents } from './relay/telemetry.ts'
export type { Listenable, Listener, NamedEvent } from './running/emitter.ts'
export type { Holder, OutboxSample, OutboxStatus, RelayState } from './store/operator.ts'
export type { Trouble } from './store/store.ts'
export type { PasswordLogin } from './transport/access.ts'
export type { KafkaTransportOptions } from './transport/kafka-transport.ts'
export { type KafkajsTransportOptions, kafkajsTransport } from './transport/kafkajs/kafkajs.ts'
export type { MskIamLogin } from './transport/msk-iam.ts'
export { type PlatformaticTransportOptions, platformaticTransport } from './transport/platformatic/platformatic.ts'
export type { Compression } from './transport/protocol/compression.ts'
export type { KafkaTls, TlsFiles } from './transport/tls-files.ts'
export type { Token } from './transport/token.ts'
export type { TokenLogin } from './transport/token-login.ts'
export {
  type Outcome,
  type Sending,
  type Transport,
  type TransportBatch,
  TransportError,
  type TransportName,
  type TransportRecord,
  transportNames,
} from './transport/transport.ts'
