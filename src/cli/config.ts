import { readFileSync } from 'node:fs'
import { type CreateRelayOptions, type TransportName, transportNames } from '../embed.ts'
import { isOutboxError, OutboxError } from '../message/errors.ts'
import { type LogLevel, logLevels } from '../ops/log.ts'
import type { ServerOptions } from '../ops/server.ts'
import { bootstrapServers } from '../ops/trouble.ts'
import type { OnDead } from '../relay/on-dead.ts'
import { relaySettings as checked, type RelayOptions } from '../relay/options.ts'
import type { KafkajsTransportOptions } from '../transport/kafkajs.ts'
import { databaseSettings, relaySettings, type Setting } from './settings.ts'

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
  const settings: RelayOptions = {
    name: read('name'),
    keyless: read('keyless') as RelayOptions['keyless'],
    onDead: onDeadConfig(read('onDead')),
  }
  for (const name of numeric) settings[name] = numberOf(name, relaySettings[name], flags, env)
  checkSettings(settings)
  const listenUrl = read('listenUrl')
  return {
    ...databaseConfig(flags, env),
    ...settings,
    listenUrl: listenUrl === 'off' || listenUrl === 'false' ? false : listenUrl,
    transport: transportConfig(read('transport')),
    kafka: kafkaConfig(flags, env, read),
  }
}

/** Topics that do not exist are created, with so many partitions; undefined: they are not. Throws INVALID_OPTION. */
export function createTopicsConfig(flags: Flags, env: Environment): { partitions: number | undefined } | undefined {
  const { createTopics, partitions } = relaySettings
  const asked = flags.createTopics === true ? 'true' : (given('createTopics', createTopics, flags, env) ?? 'false')
  if (asked !== 'true' && asked !== 'false') throw wrong(createTopics, 'must be true or false')
  const count = numberOf('partitions', partitions, flags, env)
  if (count !== undefined && (count < 1 || count > 10_000)) throw wrong(partitions, 'must be from 1 to 10000')
  if (asked === 'false') {
    if (count !== undefined) throw wrong(partitions, 'is for topics that --create-topics creates')
    return undefined
  }
  if (env.NODE_ENV === 'production') throw wrong(createTopics, 'is for development, and NODE_ENV is production')
  return { partitions: count }
}

/** Where Kafka is, and nothing else of the relay's settings. Throws INVALID_OPTION. */
export const kafkaConfigOf = (flags: Flags, env: Environment): KafkajsTransportOptions =>
  kafkaConfig(flags, env, (name) => given(name, relaySettings[name], flags, env))

/** The brokers as the commands of Kafka's tools name them: those that are given, or a variable for the shell. */
export const serversOf = (flags: Flags, env: Environment): string =>
  bootstrapServers(given('kafkaBrokers', relaySettings.kafkaBrokers, flags, env))

/** How much the relay logs. Throws INVALID_OPTION. */
export function logLevelConfig(flags: Flags, env: Environment): LogLevel {
  const level = (given('logLevel', relaySettings.logLevel, flags, env) ?? 'info') as LogLevel
  if (logLevels.includes(level)) return level
  throw wrong(relaySettings.logLevel, `must be one of ${logLevels.join(', ')}`)
}

const dashboards = ['on', 'payload', 'off'] as const

/** Where the relay serves its pages, whom, and which for people. */
export interface ListenConfig extends Pick<ServerOptions, 'host' | 'port' | 'login'> {
  dashboard: (typeof dashboards)[number]
}

/** Where the relay serves its pages; undefined: nowhere. Throws INVALID_OPTION. */
export function listenConfig(flags: Flags, env: Environment): ListenConfig | undefined {
  const address = given('listen', relaySettings.listen, flags, env)
  if (address === undefined) return undefined
  const [, host = '127.0.0.1', port] = /^(?:\[?([^\s/@]+?)\]?:)?(\d{1,5})$/.exec(address) ?? []
  if (port === undefined || Number(port) > 65_535) throw wrong(relaySettings.listen, 'must be host:port, or a port')
  const shown = given('dashboard', relaySettings.dashboard, flags, env) ?? 'on'
  const dashboard = dashboards.find((one) => one === shown)
  if (!dashboard) throw wrong(relaySettings.dashboard, `must be one of ${dashboards.join(', ')}`)
  return { host, port: Number(port), login: loginConfig(flags, env), dashboard }
}

function loginConfig(flags: Flags, env: Environment): ServerOptions['login'] {
  const file = given('httpLoginFile', relaySettings.httpLoginFile, flags, env)
  const setting = file === undefined ? relaySettings.httpLogin : relaySettings.httpLoginFile
  const text = file === undefined ? given('httpLogin', relaySettings.httpLogin, {}, env) : readLogin(file)
  if (text === undefined) return undefined
  const [, user, password] = /^([^:\r\n]+):([^\r\n]+)\r?\n?$/.exec(text) ?? []
  if (user === undefined || password === undefined) throw wrong(setting, 'must hold user:password, on one line')
  return { user, password }
}

function readLogin(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    throw wrong(relaySettings.httpLoginFile, `cannot be read (${(error as NodeJS.ErrnoException).code})`)
  }
}

/** Checks the ranges here too: the relay's own error knows neither flag nor variable. */
function checkSettings(settings: RelayOptions): void {
  try {
    checked(settings)
  } catch (error) {
    if (!isOutboxError(error) || !error.field || !(error.field in relaySettings)) throw error
    const what = error.message.slice(0, error.message.indexOf(` ${error.remedy}`)).replace(/\.$/, '')
    throw wrong(relaySettings[error.field as keyof typeof relaySettings], `is refused. ${what}`)
  }
}

/** Reads `hold,audit_log=skip`: a way for all topics, and others for single ones. */
function onDeadConfig(text: string | undefined): RelayOptions['onDead'] {
  if (text === undefined) return undefined
  const ways: Record<string, OnDead> = {}
  for (const part of text.split(',').map((part) => part.trim())) {
    const [, topic = '*', way] = /^(?:([\w.-]{1,249})=)?(hold|skip)$/.exec(part) ?? []
    if (way === undefined)
      throw wrong(relaySettings.onDead, 'must be hold or skip, or <topic>=hold or <topic>=skip, separated by commas')
    ways[topic] = way as OnDead
  }
  return ways
}

function transportConfig(name: string | undefined): TransportName | undefined {
  if (name === undefined || (transportNames as readonly string[]).includes(name)) return name as TransportName | undefined
  throw wrong(relaySettings.transport, `must be one of ${transportNames.join(', ')}`)
}

function kafkaConfig(
  flags: Flags,
  env: Environment,
  read: (name: keyof typeof relaySettings) => string | undefined,
): KafkajsTransportOptions {
  const brokers = required('kafkaBrokers', relaySettings.kafkaBrokers, flags, env)
  const clientId = read('kafkaClientId')
  const list = brokers.split(',').map((broker) => broker.trim())
  // The transport would quote it: whoever took it for a URL has a password in it.
  if (!list.every((broker) => /^[^\s:@/]+:\d+$/.test(broker))) {
    throw wrong(relaySettings.kafkaBrokers, 'must be a list of host:port, separated by commas')
  }
  const isSet = (name: 'kafkaSsl' | 'kafkaSaslInsecure') => {
    const text = flags[name] === true ? 'true' : (read(name) ?? 'false')
    if (text !== 'true' && text !== 'false') throw wrong(relaySettings[name], 'must be true or false')
    return text === 'true'
  }
  const sasl = saslConfig(read('kafkaSaslMechanism'), read('kafkaSaslUsername'), read('kafkaSaslPassword'))
  return {
    brokers: list,
    ...(clientId === undefined ? {} : { clientId }),
    ...(isSet('kafkaSsl') ? { ssl: true } : {}),
    ...(isSet('kafkaSaslInsecure') ? { saslInsecure: true } : {}),
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
