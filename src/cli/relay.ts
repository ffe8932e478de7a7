import { Command } from 'commander'
import type { Logger } from 'pino'
import { createRelay, openTransport, type Relay } from '../embed.ts'
import { createLogger, relayLog } from '../ops/log.ts'
import { flushTraces, relayTraces } from '../ops/traces.ts'
import { isLoopback } from '../running/loopback.ts'
import { encryptionOf } from '../store/postgres/encryption.ts'
import { remoteBrokers, tellsSecret } from '../transport/brokers.ts'
import { isOfKafkaClient } from '../transport/guarded-socket.ts'
import { creatingTopics } from '../transport/kafkajs/create-topics.ts'
import type { KafkaTls } from '../transport/tls-files.ts'
import { createTopicsConfig, type Environment, type Flags, listenConfig, logLevelConfig, relayConfig } from './config.ts'
import { budgetOf, duration, tellDrained } from './drained.ts'
import { type EndingSignal, endedBy, endingSignals, exitCodes } from './exit-codes.ts'
import { ignoredVariables } from './given.ts'
import { prismaHelp } from './help.ts'
import { printError } from './print.ts'
import { tellPublished } from './published.ts'
import { addRelayFlags } from './settings.ts'
import { watched } from './watched.ts'

/** A second signal within so many milliseconds is an echo of the first: npm passes on what the terminal has sent to both. */
const echoMs = 500

/** Most that the last spans may take at the end: together with stopTimeoutMs less than an orchestrator waits. */
const flushMs = 2_000

const withoutLogin =
  'Everybody who reaches this address can read /metrics and the overview, with the names of topics. Set OUTBOX_HTTP_LOGIN_FILE, or listen on 127.0.0.1.'

const clearDatabase =
  'The connection to the database has no TLS: others can read rows and password. Add sslmode=verify-full to the URL.'
const uncheckedDatabase =
  'The certificate of the database is not checked: another server can answer. Use sslmode=verify-full in the URL.'
const clearLogin = 'The Kafka login is sent in clear text (KAFKA_SASL_INSECURE). Set KAFKA_SSL=true.'

/** The command `relay`. */
export function relayCommand(): Command {
  const command = new Command('relay')
    .description('Publish the messages of the outbox to Kafka, until a signal stops it')
    .option('--drain', 'Publish what is there, then end: exit code 0, or 3 if messages had to stay')
    .option('--budget <duration>', 'Time for --drain, such as 50s or 5m: what is left then waits for the next one', duration)
  addRelayFlags(command).action(async (flags: Flags) => {
    process.exitCode = await runRelay(flags, process.env)
    await flushTraces(flushMs)
  })
  return prismaHelp(command, [
    ['Everything from the environment', ''],
    ['Empty the outbox once, for example at the end of a test', '--drain'],
    ['From cron, once a minute', '--drain --budget 50s'],
    ['In development: a topic that does not exist is created', '--create-topics --partitions 3'],
    ['A short lease: the buckets of a relay that died are taken over after 3 s', '--lease-ms 3000'],
  ])
}

/** Runs a relay until a signal or the end of the drain; gives the exit code. */
async function runRelay(flags: Flags, env: Environment): Promise<number> {
  const budgetMs = budgetOf(flags)
  const config = relayConfig(flags, env, budgetMs)
  const listen = listenConfig(flags, env)
  const terminal = Boolean(process.stdout.isTTY)
  const logger = createLogger(logLevelConfig(flags, env), terminal)
  const create = createTopicsConfig(flags, env)
  const opened = openTransport(config.transport ?? 'kafkajs', config.kafka)
  const transport = create ? creatingTopics(opened, config.kafka, create.partitions) : opened
  const relay = createRelay({ ...config, transport })
  endOnErrors(logger)
  relayLog(relay, { logger, brokers: config.kafka.brokers })
  if (terminal) tellPublished(relay, logger)
  relayTraces(relay)
  logger.info({ event: 'configuration', ...masked(config) }, 'configuration')
  warnOfClearText(config, logger)
  const variables = ignoredVariables(env)
  if (variables.length > 0) logger.warn({ event: 'variables_ignored', variables }, 'variables are no settings, and ignored')
  if (listen) {
    const url = await watched(relay, transport, config, listen)
    logger.info({ event: 'listening', url, login: listen.login !== undefined }, 'listening')
    if (!listen.login && !isLoopback(listen.host)) logger.warn({ event: 'listening_without_login', url }, withoutLogin)
  }
  const { asked, ended } = stopOnSignals(relay, logger)
  if (flags.drain === true) {
    const report = await Promise.race([asked, relay.drain({ budgetMs })])
    if (report) {
      const { published, waiting, blocked, endedBy } = report
      logger.info({ event: 'drained', published, waiting, blocked, endedBy }, 'drained')
      return tellDrained(report, budgetMs !== undefined)
    }
    printError('Not everything may be published: a signal broke the drain off.')
    return Math.max(await ended, exitCodes.left)
  }
  await relay.start()
  return ended
}

/** A line for each way on which others could read along. */
function warnOfClearText({ databaseUrl, listenUrl, kafka }: ReturnType<typeof relayConfig>, logger: Logger): void {
  for (const url of new Set([databaseUrl, listenUrl || databaseUrl])) {
    const { local, tls, verified } = encryptionOf(url)
    const fields = { event: 'database_clear_text', database: maskedUrl(url) }
    if (!local && !(tls && verified)) logger.warn(fields, tls ? uncheckedDatabase : clearDatabase)
  }
  if (tellsSecret(kafka)) logger.warn({ event: 'kafka_clear_text', brokers: remoteBrokers(kafka.brokers) }, clearLogin)
}

/**
 * An error that nobody handles leaves the relay in a state that nobody knows: the leases run out, and a new start is sound. One of a Kafka
 * client leaves that client in such a state: its requests have deadlines of the transport's own, which then throws the client away.
 */
function endOnErrors(logger: Logger): void {
  process.on('uncaughtException', (error) => {
    if (isOfKafkaClient(error)) {
      logger.error({ event: 'kafka_client_error', error: error.stack }, 'kafka client error')
      return
    }
    logger.fatal({ event: 'crashed', error: error.stack ?? String(error) }, 'crashed')
    process.exit(exitCodes.failed)
  })
  // Nobody reads the log any more: no reason to leave the messages lying.
  for (const out of [process.stdout, process.stderr]) out.on('error', () => {})
}

/**
 * Stops the relay on SIGTERM, SIGINT and, when its terminal is closed, SIGHUP; a second signal ends the process at once. `ended` is the exit
 * code when the relay has ended, also on its own after a bug.
 */
function stopOnSignals(relay: Relay, logger: Logger): { asked: Promise<void>; ended: Promise<number> } {
  const ended = new Promise<number>((resolve) => {
    relay.on('stopped', ({ clean }) => resolve(clean ? exitCodes.done : exitCodes.failed))
  })
  const asked = new Promise<void>((resolve) => {
    let first: number | undefined
    const stop = (signal: EndingSignal) => {
      if (first === undefined) {
        first = performance.now()
        logger.info({ event: 'stopping', signal }, 'stopping')
        resolve()
      } else if (performance.now() - first >= echoMs) {
        process.exit(endedBy[signal])
      }
    }
    for (const signal of endingSignals) process.on(signal, stop)
  })
  void asked.then(() => relay.stop())
  return { asked, ended }
}

/** What the relay runs with, for the log: addresses without passwords, logins without secrets. */
function masked(config: ReturnType<typeof relayConfig>): Record<string, unknown> {
  const { databaseUrl, listenUrl, transport = 'kafkajs', kafka, schema, tablePrefix } = config
  const { sasl, ssl, ...rest } = kafka
  const { passphrase: _, ...files } = (ssl === true ? {} : (ssl ?? {})) as KafkaTls
  return {
    database: maskedUrl(databaseUrl),
    ...(typeof listenUrl === 'string' ? { listen: maskedUrl(listenUrl) } : listenUrl === false ? { listen: 'off' } : {}),
    ...(schema === undefined ? {} : { schema }),
    ...(tablePrefix === undefined ? {} : { tablePrefix }),
    transport,
    kafka: {
      ...rest,
      ...(ssl ? { ssl: true, ...files } : {}),
      ...(sasl === undefined ? {} : { sasl: (sasl as { mechanism: string }).mechanism }),
    },
  }
}

/** Host, port and database: user names and parameters may be secrets too. */
function maskedUrl(text: string): string {
  const url = new URL(text)
  return `${url.protocol}//${url.host}${url.pathname}`
}
