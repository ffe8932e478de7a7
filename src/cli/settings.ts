import { type Command, Option } from 'commander'
import { logLevels } from '../ops/log.ts'

/** A setting that can be given by a flag or by the environment; the flag wins. */
export interface Setting {
  /** Empty: there is no flag. */
  flag: string
  env: string
  /** For the help, with the default. */
  what: string
  /** Name of the value in the help; without it the flag takes none. */
  value?: string
  /** It may also stand in a file: the variable with `_FILE` behind its name has the path. */
  secret?: true
  /** The flag may come several times: what it is given is joined by commas, as it stands in the variable. */
  repeatable?: true
}

/** Settings of every command that speaks to the database. */
export const databaseSettings = {
  databaseUrl: {
    flag: '--database-url',
    env: 'DATABASE_URL',
    value: 'url',
    secret: true,
    what: 'Database that the application writes to. The process list shows a flag: prefer the variable, or DATABASE_URL_FILE with the path of a file',
  },
  schema: {
    flag: '--schema',
    env: 'OUTBOX_SCHEMA',
    value: 'name',
    what: "PostgreSQL schema of the tables (default: the URL's ?schema=, else public)",
  },
} as const satisfies Record<string, Setting>

/** Settings that say where Kafka is, and how to get in. */
export const kafkaSettings = {
  kafkaBrokers: {
    flag: '--kafka-brokers',
    env: 'KAFKA_BROKERS',
    value: 'list',
    what: 'Kafka brokers, host:port, separated by commas',
  },
  kafkaClientId: {
    flag: '--kafka-client-id',
    env: 'KAFKA_CLIENT_ID',
    value: 'id',
    what: 'Name that brokers see (default: prisma-extension-outbox)',
  },
  kafkaSsl: { flag: '--kafka-ssl', env: 'KAFKA_SSL', what: 'TLS to Kafka; in the environment true or false (default: false)' },
  kafkaSslCa: {
    flag: '--kafka-ssl-ca',
    env: 'KAFKA_SSL_CA',
    value: 'path',
    what: 'File in PEM with the authorities of the brokers; turns TLS on (default: those that Node knows)',
  },
  kafkaSslCert: {
    flag: '--kafka-ssl-cert',
    env: 'KAFKA_SSL_CERT',
    value: 'path',
    what: 'File in PEM with the certificate of this client; turns TLS on',
  },
  kafkaSslKey: {
    flag: '--kafka-ssl-key',
    env: 'KAFKA_SSL_KEY',
    value: 'path',
    what: 'File in PEM with the key of that certificate',
  },
  kafkaSslKeyPassphrase: { flag: '', env: 'KAFKA_SSL_KEY_PASSPHRASE', value: 'passphrase', secret: true, what: '' },
  kafkaSaslMechanism: {
    flag: '--kafka-sasl-mechanism',
    env: 'KAFKA_SASL_MECHANISM',
    value: 'name',
    what: 'plain, scram-sha-256, scram-sha-512, oauthbearer or aws-msk-iam',
  },
  kafkaSaslUsername: {
    flag: '--kafka-sasl-username',
    env: 'KAFKA_SASL_USERNAME',
    value: 'name',
    what: 'User name for SASL; with a token URL the id of the client',
  },
  // No flag: a password on a command line is in everybody's process list.
  kafkaSaslPassword: { flag: '', env: 'KAFKA_SASL_PASSWORD', value: 'password', secret: true, what: '' },
  kafkaSaslTokenCommand: {
    flag: '--kafka-sasl-token-command',
    env: 'KAFKA_SASL_TOKEN_COMMAND',
    value: 'command',
    what: 'Shell command that prints a token for oauthbearer',
  },
  kafkaSaslTokenUrl: {
    flag: '--kafka-sasl-token-url',
    env: 'KAFKA_SASL_TOKEN_URL',
    value: 'url',
    what: 'OAuth endpoint that gives a token for oauthbearer, by client credentials',
  },
  kafkaSaslScope: {
    flag: '--kafka-sasl-scope',
    env: 'KAFKA_SASL_SCOPE',
    value: 'scope',
    what: 'Scope that the token URL is asked for',
  },
  kafkaSaslRegion: {
    flag: '--kafka-sasl-region',
    env: 'KAFKA_SASL_REGION',
    value: 'region',
    what: 'AWS region of the cluster for aws-msk-iam (default: AWS_REGION)',
  },
  kafkaSaslInsecure: {
    flag: '--kafka-sasl-insecure',
    env: 'KAFKA_SASL_INSECURE',
    what: 'Allow plain or a token without TLS to brokers on other machines; in the environment true or false (default: false)',
  },
} as const satisfies Record<string, Setting>

/** Settings of the relay itself. */
const ownSettings = {
  listenUrl: {
    flag: '--listen-url',
    env: 'OUTBOX_LISTEN_URL',
    value: 'url',
    secret: true,
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
  maxInFlight: {
    flag: '--max-in-flight',
    env: 'OUTBOX_MAX_IN_FLIGHT',
    value: 'n',
    what: 'Rows read and not yet deleted (default: 6000)',
  },
  maxInFlightBytes: {
    flag: '--max-in-flight-bytes',
    env: 'OUTBOX_MAX_IN_FLIGHT_BYTES',
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
    what: 'Size from which on a message is dead-lettered unread (default: 10485760)',
  },
  keyless: {
    flag: '--keyless',
    env: 'OUTBOX_KEYLESS',
    value: 'way',
    what: 'Messages without a key: "topic" keeps their order, "spread" uses all partitions (default: topic)',
  },
  onDeadLetter: {
    flag: '--on-dead-letter',
    env: 'OUTBOX_ON_DEAD_LETTER',
    value: 'way',
    repeatable: true,
    what: 'When Kafka refuses a message: "block" its key or "skip" the message; <topic>=<way> for one topic; may come several times (default: block)',
  },
  stopTimeoutMs: {
    flag: '--stop-timeout-ms',
    env: 'OUTBOX_STOP_TIMEOUT_MS',
    value: 'ms',
    what: 'Time to settle what is in flight at the end (default: 8000)',
  },
  transport: {
    flag: '--transport',
    env: 'OUTBOX_TRANSPORT',
    value: 'name',
    what: 'Kafka client: kafkajs, or platformatic, which needs @platformatic/kafka (default: kafkajs)',
  },
  createTopics: {
    flag: '--create-topics',
    env: 'OUTBOX_CREATE_TOPICS',
    what: 'For development: create topics that do not exist; in the environment true or false (default: false)',
  },
  partitions: {
    flag: '--partitions',
    env: 'OUTBOX_PARTITIONS',
    value: 'n',
    what: "Partitions of a topic that --create-topics creates (default: the brokers' num.partitions)",
  },
  logLevel: { flag: '--log-level', env: 'LOG_LEVEL', value: 'level', what: `${logLevels.join(', ')} (default: info)` },
} as const satisfies Record<string, Setting>

/** Settings of the server with health, metrics and dashboard. */
const httpSettings = {
  listen: {
    flag: '--listen',
    env: 'OUTBOX_LISTEN',
    value: 'address',
    what: 'Serve a dashboard, /livez, /readyz and /metrics on host:port, or on a port of loopback (default: serve nothing)',
  },
  dashboard: {
    flag: '--dashboard',
    env: 'OUTBOX_DASHBOARD',
    value: 'what',
    what: 'Pages for people: "on", "payload" also shows header values and payloads, "off" (default: on)',
  },
  httpLoginFile: {
    flag: '--http-login-file',
    env: 'OUTBOX_HTTP_LOGIN_FILE',
    value: 'path',
    what: 'File with user:password that dashboard and /metrics ask for (default: no login)',
  },
  // No flag, as with the other password.
  httpLogin: { flag: '', env: 'OUTBOX_HTTP_LOGIN', value: 'user:password', what: '' },
} as const satisfies Record<string, Setting>

/** Settings of the relay, besides those of the database. */
export const relaySettings = { ...kafkaSettings, ...ownSettings, ...httpSettings }

/** Headings of the help. */
export type Heading = 'Database' | 'Kafka' | 'Relay' | 'HTTP'

const secretsOf = (settings: Record<string, Setting>): string[] =>
  Object.values(settings)
    .filter(({ flag, secret }) => flag === '' || secret)
    .flatMap(({ env, secret }) => (secret ? [env, `${env}_FILE`] : [env]))

/** Variables of the secrets under each heading; most have no flag, because the process list shows flags. */
export const secretVariables: Record<Heading, string[]> = {
  Database: secretsOf(databaseSettings),
  Kafka: secretsOf(kafkaSettings),
  Relay: secretsOf(ownSettings),
  HTTP: secretsOf(httpSettings),
}

/** Adds the flags that every command needs which speaks to the database. */
export function addDatabaseFlags(command: Command): Command {
  return addFlags(command, databaseSettings, 'Database')
}

/** Adds the flags of the relay. */
export function addRelayFlags(command: Command): Command {
  addFlags(addDatabaseFlags(command), kafkaSettings, 'Kafka')
  return addFlags(addFlags(command, ownSettings, 'Relay'), httpSettings, 'HTTP')
}

/** Adds the flags that say where database and Kafka are, and no others. */
export function addProofFlags(command: Command): Command {
  const { databaseUrl } = databaseSettings
  return addKafkaFlags(addFlags(command, { databaseUrl }, 'Database'))
}

/** Adds the flags that say where Kafka is, and how to get in. */
export function addKafkaFlags(command: Command): Command {
  const { kafkaClientId: _, ...settings } = kafkaSettings
  return addFlags(command, settings, 'Kafka')
}

/** Adds the flags of settings, under a heading of the help. */
export function addFlags(command: Command, settings: Record<string, Setting>, heading?: Heading): Command {
  const joined = (text: string, before?: string) => (before === undefined ? text : `${before},${text}`)
  for (const { flag, env, what, value, repeatable } of Object.values(settings)) {
    if (flag === '') continue
    const [flags, help] = [value === undefined ? flag : `${flag} <${value}>`, `${what} [${env}]`]
    const option = new Option(flags, help)
    if (repeatable) option.argParser<string | undefined>(joined)
    command.addOption(heading === undefined ? option : option.helpGroup(heading))
  }
  return command
}
