import { readFileSync } from 'node:fs'
import { type CreateRelayOptions, type TransportName, transportNames } from '../embed.ts'
import { isOutboxError } from '../message/errors.ts'
import { type LogLevel, logLevels } from '../ops/log.ts'
import type { ServerOptions } from '../ops/server.ts'
import { bootstrapServers } from '../ops/trouble.ts'
import { relaySettings as checked, type RelayOptions } from '../relay/options.ts'
import type { OnDeadLetter } from '../relay/state/on-dead-letter.ts'
import type { KafkajsTransportOptions } from '../transport/kafkajs/kafkajs.ts'
import { type Environment, type Flags, given, isSet, numberOf, required, wrong } from './given.ts'
import { kafkaConfigOf } from './kafka-config.ts'
import { databaseSettings, relaySettings } from './settings.ts'

export type { Environment, Flags } from './given.ts'
export { kafkaConfigOf } from './kafka-config.ts'

const numeric = [
  'leaseMs',
  'requestTimeoutMs',
  'maxInFlight',
  'maxInFlightBytes',
  'batchRecords',
  'batchBytes',
  'maxRowBytes',
  'stopTimeoutMs',
] as const

/** Where the database is. Throws INVALID_OPTION. */
export function databaseConfig(flags: Flags, env: Environment): { databaseUrl: string; schema: string | undefined } {
  return {
    databaseUrl: required('databaseUrl', databaseSettings.databaseUrl, flags, env),
    schema: given('schema', databaseSettings.schema, flags, env),
  }
}

/** Everything that `relay` runs with. Flags win over the environment, and both over defaults. Throws INVALID_OPTION. */
export function relayConfig(
  flags: Flags,
  env: Environment,
): CreateRelayOptions & { transport?: TransportName | undefined; kafka: KafkajsTransportOptions } {
  const read = (name: keyof typeof relaySettings) => given(name, relaySettings[name], flags, env)
  const settings: RelayOptions = {
    name: read('name'),
    keyless: read('keyless') as RelayOptions['keyless'],
    onDeadLetter: onDeadConfig(read('onDeadLetter')),
  }
  for (const name of numeric) settings[name] = numberOf(name, relaySettings[name], flags, env)
  checkSettings(settings)
  const listenUrl = read('listenUrl')
  return {
    ...databaseConfig(flags, env),
    ...settings,
    listenUrl: listenUrl === 'off' || listenUrl === 'false' ? false : listenUrl,
    transport: transportConfig(read('transport')),
    kafka: kafkaConfigOf(flags, env),
  }
}

/** Topics that do not exist are created, with so many partitions; undefined: they are not. Throws INVALID_OPTION. */
export function createTopicsConfig(flags: Flags, env: Environment): { partitions: number | undefined } | undefined {
  const { createTopics, partitions } = relaySettings
  const asked = isSet('createTopics', createTopics, flags, env) ?? false
  const count = numberOf('partitions', partitions, flags, env)
  if (count !== undefined && (count < 1 || count > 10_000)) throw wrong(partitions, 'must be from 1 to 10000')
  if (!asked) {
    if (count !== undefined) throw wrong(partitions, 'is for topics that --create-topics creates')
    return undefined
  }
  if (env.NODE_ENV === 'production') throw wrong(createTopics, 'is for development, and NODE_ENV is production')
  return { partitions: count }
}

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
  if (file !== undefined && given('httpLogin', relaySettings.httpLogin, {}, env) !== undefined) {
    throw wrong(relaySettings.httpLoginFile, 'is given, and OUTBOX_HTTP_LOGIN is given too')
  }
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
function onDeadConfig(text: string | undefined): RelayOptions['onDeadLetter'] {
  if (text === undefined) return undefined
  const ways: Record<string, OnDeadLetter> = {}
  for (const part of text.split(',').map((part) => part.trim())) {
    const [, topic = '*', way] = /^(?:([\w.-]{1,249})=)?(block|skip)$/.exec(part) ?? []
    if (way === undefined)
      throw wrong(relaySettings.onDeadLetter, 'must be block or skip, or <topic>=block or <topic>=skip, separated by commas')
    ways[topic] = way as OnDeadLetter
  }
  return ways
}

function transportConfig(name: string | undefined): TransportName | undefined {
  if (name === undefined || (transportNames as readonly string[]).includes(name)) return name as TransportName | undefined
  throw wrong(relaySettings.transport, `must be one of ${transportNames.join(', ')}`)
}
