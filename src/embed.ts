import { OutboxError } from './message/errors.ts'
import type { RelayOptions } from './relay/options.ts'
import { Relay } from './relay/relay.ts'
import { Telemetry } from './relay/telemetry.ts'
import { postgresStore } from './store/postgres/store.ts'
import { type KafkajsTransportOptions, kafkajsTransport } from './transport/kafkajs/kafkajs.ts'
import { type PlatformaticTransportOptions, platformaticTransport } from './transport/platformatic/platformatic.ts'
import type { Transport } from './transport/transport.ts'
import { version } from './version.ts'

/** Options of {@link createRelay}: where database and Kafka are, and the settings of the relay. */
export interface CreateRelayOptions extends RelayOptions {
  /** `postgresql://…` of the database that the application writes to. */
  databaseUrl: string
  /** PostgreSQL schema of the outbox tables. Default: the URL's `schema` parameter, else `public`. */
  schema?: string | undefined
  /** Another URL for LISTEN, where a pooler would swallow notifications; false polls only. Default: `databaseUrl`. */
  listenUrl?: string | false | undefined
  /** The Kafka client. `platformatic` needs the package @platformatic/kafka. @default 'kafkajs' */
  transport?: TransportName | undefined
  /** How to reach Kafka: options of the transport, or a transport of your own. */
  kafka: KafkajsTransportOptions | Transport
}

/** Names of the transports that {@link createRelay} makes on its own. */
export const transportNames = ['kafkajs', 'platformatic'] as const
/** One of {@link transportNames}. */
export type TransportName = (typeof transportNames)[number]

const isTransport = (kafka: KafkajsTransportOptions | Transport): kafka is Transport => 'publish' in kafka

/**
 * A relay to run inside your own process. Subscribe to `relay.telemetry`, then `await relay.start()`; `relay.stop()` at the end, or
 * `await using`.
 *
 * @throws OutboxError INVALID_OPTION, DATABASE_REFUSED for a malformed URL, TRANSPORT_PACKAGE where the package of the transport is missing.
 */
export function createRelay(options: CreateRelayOptions): Relay {
  const { databaseUrl, schema, listenUrl, transport: name = 'kafkajs', kafka, ...settings } = options
  const store = postgresStore({ databaseUrl, schema, listenUrl })
  const transport = isTransport(kafka) ? kafka : openTransport(name, kafka)
  return new Relay({ store, transport, version, telemetry: new Telemetry() }, settings)
}

/**
 * The transport of that name, for a relay that shares it: with health checks, for example.
 *
 * @throws OutboxError INVALID_OPTION, TRANSPORT_PACKAGE where its package is missing.
 */
export function openTransport(name: TransportName, kafka: KafkajsTransportOptions): Transport {
  if (name === 'kafkajs') return kafkajsTransport(kafka)
  // It refuses the logins that only kafkajs knows.
  if (name === 'platformatic') return platformaticTransport(kafka as PlatformaticTransportOptions)
  const remedy = `Use one of ${transportNames.join(', ')}, or give a transport of your own as kafka.`
  throw new OutboxError('INVALID_OPTION', 'There is no transport of that name.', { field: 'transport', remedy })
}

export type { DrainReport } from './relay/drain.ts'
export { type RelayOptions, relayDefaults } from './relay/options.ts'
export { Relay } from './relay/relay.ts'
export type { OnDeadLetter, OnDeadLetterByTopic } from './relay/state/on-dead-letter.ts'
export { type RelayEvent, type RelayEvents, type Subscriber, Telemetry } from './relay/telemetry.ts'
export { type KafkajsTransportOptions, kafkajsTransport } from './transport/kafkajs/kafkajs.ts'
export { type PlatformaticTransportOptions, platformaticTransport } from './transport/platformatic/platformatic.ts'
export { type Outcome, type Transport, type TransportBatch, TransportError, type TransportRecord } from './transport/transport.ts'
