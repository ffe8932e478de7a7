import type { Command } from 'commander'
import type { CreateRelayOptions } from '../embed.ts'
import { OutboxError } from '../message/errors.ts'
import type { RelayOptions } from '../relay/options.ts'
import type { KafkajsTransportOptions } from '../transport/kafkajs.ts'

/** A setting that can be given by a flag or by the environment; the flag wins. */
interface Setting {
  flag: string
  env: string
  what: string
  /** Name of the value in the help; without it the flag takes none. */
  value?: string
}

const databaseSettings = {
  databaseUrl: { flag: '--database-url', env: 'DATABASE_URL', value: 'url', what: 'Database that the application writes to' },
  schema: {
    flag: '--schema',
    env: 'OUTBOX_SCHEMA',
    value: 'name',
    what: "PostgreSQL schema of the tables (default: the URL's ?schema=, else public)",
  },
} as const satisfies Record<string, Setting>

const relaySettings = {
  kafkaBrokers: {
    flag: '--kafka-brokers',
    env: 'KAFKA_BROKERS',
    value: 'list',
    what: 'Kafka brokers, host:port, separated by commas',
  },
  listenUrl: {
    flag: '--listen-url',
    env: 'OUTBOX_LISTEN_URL',
    value: 'url',
    what: 'Database URL for LISTEN past a pooler, or "off" (default: the database URL)',
  },
  name: { flag: '--name', env: 'OUTBOX_NAME', value: 'name', what: 'Name of this relay (default: host and process)' },
  leaseMs: { flag: '--lease-ms', env: 'OUTBOX_LEASE_MS', value: 'ms', what: 'Length of a lease (default: 10000)' },
  requestTimeoutMs: {
    flag: '--request-timeout-ms',
    env: 'OUTBOX_REQUEST_TIMEOUT_MS',
    value: 'ms',
    what: 'Time for an answer of Kafka (default: half a lease)',
  },
  fetchRows: { flag: '--fetch-rows', env: 'OUTBOX_FETCH_ROWS', value: 'n', what: 'Rows of one read (default: 2000)' },
  handRows: { flag: '--hand-rows', env: 'OUTBOX_HAND_ROWS', value: 'n', what: 'Rows read and not yet deleted (default: 8000)' },
  handBytes: {
    flag: '--hand-bytes',
    env: 'OUTBOX_HAND_BYTES',
    value: 'n',
    what: 'Bytes read and not yet deleted (default: 67108864)',
  },
  batchRecords: {
    flag: '--batch-records',
    env: 'OUTBOX_BATCH_RECORDS',
    value: 'n',
    what: 'Records of one produce request (default: 250)',
  },
  batchBytes: {
    flag: '--batch-bytes',
    env: 'OUTBOX_BATCH_BYTES',
    value: 'n',
    what: 'Bytes of one produce request (default: 900000)',
  },
  maxRowBytes: {
    flag: '--max-row-bytes',
    env: 'OUTBOX_MAX_ROW_BYTES',
    value: 'n',
    what: 'Size from which on a message is parked unread (default: 10485760)',
  },
  keyless: {
    flag: '--keyless',
    env: 'OUTBOX_KEYLESS',
    value: 'way',
    what: 'Messages without a key: "topic" keeps their order, "spread" uses all partitions (default: topic)',
  },
  stopTimeoutMs: {
    flag: '--stop-timeout-ms',
    env: 'OUTBOX_STOP_TIMEOUT_MS',
    value: 'ms',
    what: 'Time to settle what is in flight at the end (default: 8000)',
  },
  kafkaClientId: {
    flag: '--kafka-client-id',
    env: 'KAFKA_CLIENT_ID',
    value: 'id',
    what: 'Name that brokers see (default: prisma-extension-outbox)',
  },
  kafkaSsl: { flag: '--kafka-ssl', env: 'KAFKA_SSL', what: 'TLS to Kafka' },
  kafkaSaslMechanism: {
    flag: '--kafka-sasl-mechanism',
    env: 'KAFKA_SASL_MECHANISM',
    value: 'name',
    what: 'plain, scram-sha-256 or scram-sha-512',
  },
  kafkaSaslUsername: { flag: '--kafka-sasl-username', env: 'KAFKA_SASL_USERNAME', value: 'name', what: 'User name for SASL' },
  // No flag: a password on a command line is in everybody's process list.
  kafkaSaslPassword: { flag: '', env: 'KAFKA_SASL_PASSWORD', value: 'password', what: '' },
} as const satisfies Record<string, Setting>

const numeric = [
  'leaseMs',
  'requestTimeoutMs',
  'fetchRows',
  'handRows',
  'handBytes',
  'batchRecords',
  'batchBytes',
  'maxRowBytes',
  'stopTimeoutMs',
] as const

/** Flags as commander hands them over. */
export type Flags = Record<string, unknown>

/** Environment variables. */
export type Environment = Record<string, string | undefined>

/** Adds the flags that every command needs which speaks to the database. */
export function addDatabaseFlags(command: Command): Command {
  return addFlags(command, databaseSettings)
}

/** Adds the flags of the relay. */
export function addRelayFlags(command: Command): Command {
  return addFlags(addFlags(command, databaseSettings), relaySettings)
}

function addFlags(command: Command, settings: Record<string, Setting>): Command {
  for (const { flag, env, what, value } of Object.values(settings)) {
    if (flag !== '') command.option(value === undefined ? flag : `${flag} <${value}>`, `${what} [${env}]`)
  }
  return command
}

/** Where the database is. Throws INVALID_OPTION. */
export function databaseConfig(flags: Flags, env: Environment): { databaseUrl: string; schema: string | undefined } {
  return {
    databaseUrl: required('databaseUrl', databaseSettings.databaseUrl, flags, env),
    schema: given('schema', databaseSettings.schema, flags, env),
  }
}

/** Everything that `relay` runs with. Flags win over the environment, and both over defaults. Throws INVALID_OPTION. */
export function relayConfig(flags: Flags, env: Environment): CreateRelayOptions & { kafka: KafkajsTransportOptions } {
  const read = (name: keyof typeof relaySettings) => given(name, relaySettings[name], flags, env)
  const settings: RelayOptions = { name: read('name'), keyless: read('keyless') as RelayOptions['keyless'] }
  for (const name of numeric) settings[name] = numberOf(name, relaySettings[name], flags, env)
  const listenUrl = read('listenUrl')
  return {
    ...databaseConfig(flags, env),
    ...settings,
    listenUrl: listenUrl === 'off' || listenUrl === 'false' ? false : listenUrl,
    kafka: kafkaConfig(flags, env, read),
  }
}

function kafkaConfig(
  flags: Flags,
  env: Environment,
  read: (name: keyof typeof relaySettings) => string | undefined,
): KafkajsTransportOptions {
  const brokers = required('kafkaBrokers', relaySettings.kafkaBrokers, flags, env)
  const clientId = read('kafkaClientId')
  const ssl = flags.kafkaSsl === true || read('kafkaSsl') === 'true'
  const sasl = saslConfig(read('kafkaSaslMechanism'), read('kafkaSaslUsername'), read('kafkaSaslPassword'))
  return {
    brokers: brokers.split(',').map((broker) => broker.trim()),
    ...(clientId === undefined ? {} : { clientId }),
    ...(ssl ? { ssl } : {}),
    ...(sasl === undefined ? {} : { sasl }),
  }
}

function saslConfig(
  mechanism: string | undefined,
  username: string | undefined,
  password: string | undefined,
): KafkajsTransportOptions['sasl'] {
  if (mechanism === undefined && username === undefined && password === undefined) return undefined
  if (mechanism !== 'plain' && mechanism !== 'scram-sha-256' && mechanism !== 'scram-sha-512') {
    throw wrong(relaySettings.kafkaSaslMechanism, 'must be plain, scram-sha-256 or scram-sha-512')
  }
  if (username === undefined) throw wrong(relaySettings.kafkaSaslUsername, 'is missing')
  if (password === undefined) throw wrong(relaySettings.kafkaSaslPassword, 'is missing')
  return { mechanism, username, password } as NonNullable<KafkajsTransportOptions['sasl']>
}

function given(name: string, setting: Setting, flags: Flags, env: Environment): string | undefined {
  const flag = flags[name]
  if (typeof flag === 'string') return flag
  const value = env[setting.env]
  return value === undefined || value === '' ? undefined : value
}

function required(name: string, setting: Setting, flags: Flags, env: Environment): string {
  const value = given(name, setting, flags, env)
  if (value === undefined || value === '') throw wrong(setting, 'is missing')
  return value
}

function numberOf(name: string, setting: Setting, flags: Flags, env: Environment): number | undefined {
  const text = given(name, setting, flags, env)
  if (text === undefined) return undefined
  if (!/^\d+$/.test(text)) throw wrong(setting, 'must be a whole number')
  return Number(text)
}

/** Names flag and variable, never the value. */
function wrong(setting: Setting, what: string): OutboxError {
  const name = setting.flag === '' ? setting.env : `${setting.flag} (${setting.env})`
  return new OutboxError('INVALID_OPTION', `${name} ${what}.`, {
    field: setting.env,
    remedy: `Set ${setting.env}${setting.flag === '' ? '' : `, or give ${setting.flag}`}.`,
  })
}
