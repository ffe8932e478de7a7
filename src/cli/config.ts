import type { CreateRelayOptions, TransportName } from '../embed.ts'
import type { LogLevel } from '../ops/log.ts'
import type { ServerOptions } from '../ops/server.ts'
import { bootstrapServers } from '../ops/trouble.ts'
import { withBudget } from '../relay/drain.ts'
import { type RelayOptions, relayOptions, relaySettings } from '../relay/options.ts'
import type { Place } from '../store/postgres/store.ts'
import type { KafkajsTransportOptions } from '../transport/kafkajs/kafkajs.ts'
import { type Environment, type Flags, given } from './given.ts'
import { kafkaConfigOf } from './kafka-config.ts'
import type { SettingValue } from './settings.ts'

export type { Environment, Flags } from './given.ts'
export { kafkaConfigOf } from './kafka-config.ts'

/** Where the database is. Throws INVALID_OPTION. */
export function databaseConfig(flags: Flags, env: Environment): Place {
  const { read, need } = given(flags, env)
  return { databaseUrl: need('databaseUrl'), schema: read('schema'), tablePrefix: read('tablePrefix') }
}

/** Everything that `relay` runs with; `budgetMs` is a drain's. Flags win over the environment, and both over defaults. Throws INVALID_OPTION. */
export function relayConfig(
  flags: Flags,
  env: Environment,
  budgetMs?: number,
): CreateRelayOptions & { transport?: TransportName | undefined; kafka: KafkajsTransportOptions } {
  const { read, refuse } = given(flags, env)
  const names = Object.keys(relayOptions) as (keyof RelayOptions)[]
  const set: RelayOptions = Object.fromEntries(names.map((name) => [name, read(name)]))
  const options = budgetMs === undefined ? set : { ...set, ...withBudget(set, budgetMs) }
  // Here too, for what one option requires of another: the relay's own error knows neither flag nor variable.
  relaySettings(options, refuse)
  const listenUrl = read('listenUrl')
  const compression = read('compression')
  return {
    ...databaseConfig(flags, env),
    ...options,
    listenUrl: listenUrl === 'off' || listenUrl === 'false' ? false : listenUrl,
    transport: read('transport'),
    kafka: { ...kafkaConfigOf(flags, env), ...(compression === undefined ? {} : { compression }) },
  }
}

/** Topics that do not exist are created, with `partitions`; undefined: they are not. Throws INVALID_OPTION. */
export function createTopicsConfig(flags: Flags, env: Environment): { partitions: number | undefined } | undefined {
  const { read, refuse } = given(flags, env)
  const partitions = read('partitions')
  if (!read('createTopics')) {
    if (partitions !== undefined)
      throw refuse('partitions', 'is for topics that --create-topics creates', 'Remove it, or give --create-topics.')
    return undefined
  }
  if (env.NODE_ENV === 'production') throw refuse('createTopics', 'is for development, and NODE_ENV is production', 'Remove it.')
  return { partitions }
}

/** The brokers as the commands of Kafka's tools name them: those that are given, or a variable for the shell. */
export const serversOf = (flags: Flags, env: Environment): string =>
  bootstrapServers((flags.kafkaBrokers as string | undefined) ?? env.KAFKA_BROKERS)

/** How much the relay logs. Throws INVALID_OPTION. */
export const logLevelConfig = (flags: Flags, env: Environment): LogLevel => given(flags, env).read('logLevel') ?? 'info'

/** Where the relay serves its pages, whom, and which for people. */
export interface ListenConfig extends Pick<ServerOptions, 'host' | 'port' | 'login'> {
  dashboard: SettingValue<'dashboard'>
}

/** Where the relay serves its pages; undefined: nowhere. Throws INVALID_OPTION. */
export function listenConfig(flags: Flags, env: Environment): ListenConfig | undefined {
  const { read } = given(flags, env)
  const address = read('listen')
  return address && { ...address, login: read('httpLogin'), dashboard: read('dashboard') ?? 'on' }
}
