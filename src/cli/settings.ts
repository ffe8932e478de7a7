// Every setting of the command line that is no option of one command, declared once, and the flags that are made from them. The relay's
// own options are declared in relay/options.ts. docs/reference/configuration.md is generated from these groups.

import { type Command, Option } from 'commander'
import { z } from 'zod'
import { isPrefix, prefixRange } from '../message/tables.ts'
import { logLevels } from '../ops/log.ts'
import { relayOptions } from '../relay/options.ts'
import { isLoopback } from '../running/loopback.ts'
import { defaultText, integer, oneOf, onOff, parsed, type Setting, setting, text, type ValueOf } from '../running/setting.ts'
import { isAddress } from '../transport/brokers.ts'
import { compressions } from '../transport/protocol/compression.ts'
import { transportNames } from '../transport/transport.ts'

const database = {
  databaseUrl: setting('--database-url <url>', 'DATABASE_URL', text('a URL'), {
    secret: true,
    what: 'Database that the application writes to; a process list shows a flag, so prefer the variable or its file',
    page: 'operating.md#encryption',
  }),
  schema: setting('--schema <name>', 'OUTBOX_SCHEMA', text('a name'), {
    otherwise: "the URL's `?schema=`, otherwise `public`",
    what: 'PostgreSQL schema of the tables',
  }),
  tablePrefix: setting(
    '--table-prefix <prefix>',
    'OUTBOX_TABLE_PREFIX',
    text(prefixRange, 'up to 30 of `a-z`, `0-9` and `_`', z.string().refine(isPrefix)),
    {
      otherwise: 'none',
      what: 'Prefix of the tables: `p_` for `p_outbox`, `p_outbox_lease` and so on',
      page: 'guides/multi-tenant.md#a-table-outbox-of-your-own',
    },
  ),
}

// An error of the transport would quote the text: a URL in its place may hold a password.
const brokers = parsed(
  'a list of host:port or [IPv6]:port, separated by commas',
  z.array(z.string().refine(isAddress)).min(1),
  (list) =>
    list
      .split(',')
      .map((broker) => broker.trim())
      .filter((broker) => broker !== ''),
)

const mechanism = oneOf('plain', 'scram-sha-256', 'scram-sha-512', 'oauthbearer', 'aws-msk-iam')

const tokenUrl = parsed('an https:// URL without a login; http:// on this machine only', z.string(), safeUrl)

const kafka = {
  kafkaBrokers: setting('--kafka-brokers <list>', 'KAFKA_BROKERS', brokers, { what: 'Kafka brokers to begin with' }),
  kafkaClientId: setting('--kafka-client-id <id>', 'KAFKA_CLIENT_ID', text('a name'), {
    default: 'prisma-extension-outbox',
    what: 'Name that brokers see',
  }),
  kafkaSsl: setting('--kafka-ssl', 'KAFKA_SSL', onOff, { default: false, what: 'TLS to Kafka' }),
  kafkaSslCa: setting('--kafka-ssl-ca <path>', 'KAFKA_SSL_CA', text('a path'), {
    otherwise: 'the authorities that Node knows',
    what: 'PEM file with the authorities of the brokers, and no others; turns TLS on',
  }),
  kafkaSslCert: setting('--kafka-ssl-cert <path>', 'KAFKA_SSL_CERT', text('a path'), {
    what: 'PEM file with the certificate of this client; turns TLS on',
  }),
  kafkaSslKey: setting('--kafka-ssl-key <path>', 'KAFKA_SSL_KEY', text('a path'), {
    what: 'PEM file with the key of that certificate',
  }),
  kafkaSslKeyPassphrase: setting(undefined, 'KAFKA_SSL_KEY_PASSPHRASE', text('text'), {
    secret: true,
    what: 'Passphrase of an encrypted key',
  }),
  kafkaSaslMechanism: setting('--kafka-sasl-mechanism <name>', 'KAFKA_SASL_MECHANISM', mechanism, {
    otherwise: 'no login',
    what: 'SASL mechanism of the login',
    page: 'guides/kafka-auth.md',
  }),
  kafkaSaslUsername: setting('--kafka-sasl-username <name>', 'KAFKA_SASL_USERNAME', text('a name'), {
    what: 'User name for SASL; with a token URL the id of the client',
  }),
  kafkaSaslPassword: setting(undefined, 'KAFKA_SASL_PASSWORD', text('text'), {
    secret: true,
    what: 'Password for SASL; with a token URL the secret of the client',
  }),
  kafkaSaslTokenCommand: setting('--kafka-sasl-token-command <command>', 'KAFKA_SASL_TOKEN_COMMAND', text('a shell command'), {
    what: 'Shell command that prints a token for `oauthbearer`',
  }),
  kafkaSaslTokenUrl: setting('--kafka-sasl-token-url <url>', 'KAFKA_SASL_TOKEN_URL', tokenUrl, {
    what: 'OAuth endpoint that returns a token for `oauthbearer`, by client credentials',
  }),
  kafkaSaslScope: setting('--kafka-sasl-scope <scope>', 'KAFKA_SASL_SCOPE', text('text'), {
    what: 'Scope that the token URL is asked for',
  }),
  kafkaSaslRegion: setting('--kafka-sasl-region <region>', 'KAFKA_SASL_REGION', text('a region'), {
    otherwise: '`AWS_REGION`',
    what: 'AWS region of the cluster for `aws-msk-iam`',
  }),
  kafkaSaslInsecure: setting('--kafka-sasl-insecure', 'KAFKA_SASL_INSECURE', onOff, {
    default: false,
    what: 'Allow `plain` or a token without TLS to brokers on other machines',
  }),
}

const relay = {
  ...relayOptions,
  listenUrl: setting('--listen-url <url>', 'OUTBOX_LISTEN_URL', text('a URL, or off'), {
    secret: true,
    otherwise: 'the database URL',
    what: 'Database URL for LISTEN past a pooler; `off` polls only',
  }),
  transport: setting('--transport <name>', 'OUTBOX_TRANSPORT', oneOf(...transportNames), {
    default: 'kafkajs',
    what: 'Kafka client; `platformatic` needs the package @platformatic/kafka',
    page: 'guides/kafka-clients.md',
  }),
  compression: setting('--compression <name>', 'OUTBOX_COMPRESSION', oneOf(...compressions), {
    default: 'none',
    what: 'Codec of the batches; `snappy` needs the package snappyjs, `lz4` lz4-napi, `zstd` Node 22.15 or newer',
    page: 'guides/compression.md',
  }),
  createTopics: setting('--create-topics', 'OUTBOX_CREATE_TOPICS', onOff, {
    default: false,
    what: 'For development: create topics that do not exist; refused if NODE_ENV is `production`',
  }),
  partitions: setting('--partitions <n>', 'OUTBOX_PARTITIONS', integer(1, 10_000), {
    otherwise: "the brokers' `num.partitions`",
    what: 'Partitions of a topic that `--create-topics` creates',
  }),
  logLevel: setting('--log-level <level>', 'LOG_LEVEL', oneOf(...logLevels), {
    default: 'info',
    what: 'Lowest level of the log',
  }),
}

const hostAndPort = z.object({ host: z.string(), port: z.number().max(65_535) })
const address = parsed('host:port, or a port of loopback', hostAndPort, (given) => {
  const [, host = '127.0.0.1', port] = /^(?:\[?([^\s/@]+?)\]?:)?(\d{1,5})$/.exec(given) ?? []
  return { host, port: port === undefined ? port : Number(port) }
})

const userAndPassword = z.object({ user: z.string(), password: z.string() })
const login = parsed('user:password, on one line', userAndPassword, (given) => {
  const [, user, password] = /^([^:\r\n]+):([^\r\n]+)\r?\n?$/.exec(given) ?? []
  return { user, password }
})

const http = {
  listen: setting('--listen <address>', 'OUTBOX_LISTEN', address, {
    otherwise: 'serve nothing',
    what: 'Serve a dashboard, /livez, /readyz and /metrics',
    page: 'guides/monitoring.md',
  }),
  dashboard: setting('--dashboard <what>', 'OUTBOX_DASHBOARD', oneOf('on', 'payload', 'off'), {
    default: 'on',
    what: 'Pages for people; `payload` also shows header values and payloads',
  }),
  httpLogin: setting(undefined, 'OUTBOX_HTTP_LOGIN', login, {
    secret: true,
    fileFlag: '--http-login-file <path>',
    otherwise: 'no login',
    what: 'Login that dashboard and /metrics ask for; the flag names a file that holds it',
    page: 'guides/monitoring.md#dashboard',
  }),
}

/** The URL, if nobody on the way can read the client's secret, and it holds no secret itself. */
function safeUrl(text: string): string | undefined {
  if (!URL.canParse(text)) return undefined
  const { protocol, username, password, hostname, href } = new URL(text)
  const local = protocol === 'http:' && isLoopback(hostname.replace(/^\[(.*)\]$/, '$1'))
  return username === '' && password === '' && (protocol === 'https:' || local) ? href : undefined
}

/** Settings by the heading of the help and of the reference page. */
export const groups = { Database: database, Kafka: kafka, Relay: relay, HTTP: http } as const

/** Every setting, by the name that commander gives to its flag. */
export const settings = { ...database, ...kafka, ...relay, ...http }

/** Name of a setting. */
export type SettingName = keyof typeof settings

/** Type of a setting's value. */
export type SettingValue<N extends SettingName> = ValueOf<(typeof settings)[N]>

/** Variables of the secrets in a group. */
export const secretVariables = (group: Record<string, Setting>): string[] =>
  Object.values(group).flatMap(({ env, secret }) => (secret ? [env, `${env}_FILE`] : []))

/** Adds the flags that every command needs which speaks to the database. */
export const addDatabaseFlags = (command: Command): Command => addFlags(command, database, 'Database')

/** Adds the flags of the relay. */
export function addRelayFlags(command: Command): Command {
  for (const [heading, group] of Object.entries(groups)) addFlags(command, group, heading)
  return command
}

/** Adds the flags that say where database and Kafka are, without a schema. */
export const addProofFlags = (command: Command): Command =>
  addKafkaFlags(addFlags(command, { databaseUrl: database.databaseUrl, tablePrefix: database.tablePrefix }, 'Database'))

/** Adds the flags that say where Kafka is, and how to get in. */
export function addKafkaFlags(command: Command): Command {
  const { kafkaClientId: _, ...shown } = kafka
  return addFlags(command, shown, 'Kafka')
}

/** The mode of the relays, for commands that try or prove it. */
export const modeGroup = { exactlyOnce: relayOptions.exactlyOnce }

/** Adds the flags of settings, under a heading of the help. */
export function addFlags(command: Command, group: Record<string, Setting>, heading = 'Options'): Command {
  const joined = (value: string, before?: string) => (before === undefined ? value : `${before},${value}`)
  for (const setting of Object.values(group)) {
    const flag = setting.flag ?? setting.fileFlag
    if (flag === undefined) continue
    const option = new Option(flag, helpOf(setting)).helpGroup(heading)
    if (setting.repeatable) option.argParser<string | undefined>(joined)
    command.addOption(option)
  }
  return command
}

/** Sentence, values, default and variable. */
function helpOf(setting: Setting): string {
  const { what, values, env, flag } = setting
  const otherwise = defaultText(setting)
  const facts = [values.range, otherwise === undefined ? '' : `default: ${otherwise}`].filter(Boolean).join('; ')
  const variable = flag === undefined ? `${env}_FILE` : env
  return `${what}${facts === '' ? '' : ` (${facts})`} [${variable}]`.replaceAll('`', '')
}
