import { Command } from 'commander'
import type { Logger } from 'pino'
import { createRelay, type DrainReport, type Relay } from '../embed.ts'
import { OutboxError } from '../message/errors.ts'
import { createLogger, type LogLevel, logEvents, logLevels } from '../ops/log.ts'
import { addRelayFlags, type Environment, type Flags, relayConfig } from './config.ts'
import { exitCodes } from './exit-codes.ts'
import { prismaHelp } from './help.ts'

/** The command `relay`. */
export function relayCommand(): Command {
  const command = new Command('relay')
    .description('Publish the messages of the outbox to Kafka, until it is told to stop')
    .option('--drain', 'Publish what is there, then end: exit code 0, or 3 where messages had to stay')
    .option('--log-level <level>', `${logLevels.join(', ')} (default: info) [LOG_LEVEL]`)
  addRelayFlags(command).action(async (flags: Flags) => {
    process.exitCode = await runRelay(flags, process.env)
  })
  return prismaHelp(command, [
    ['Everything from the environment', ''],
    ['Empty the outbox once, for example at the end of a test', '--drain'],
    ['A short lease: the buckets of a relay that died are taken over after 3 s', '--lease-ms 3000'],
  ])
}

/** Runs a relay until a signal or the end of the drain; gives the exit code. */
async function runRelay(flags: Flags, env: Environment): Promise<number> {
  const config = relayConfig(flags, env)
  const logger = createLogger(logLevel(flags, env), Boolean(process.stdout.isTTY))
  const relay = createRelay(config)
  relay.telemetry.subscribe(logEvents(logger))
  logger.info({ event: 'configuration', ...masked(config) }, 'configuration')
  const stopped = stopOnSignals(relay, logger)
  if (flags.drain === true) return drained(await relay.drain())
  await relay.start()
  return stopped
}

function logLevel(flags: Flags, env: Environment): LogLevel {
  const level = (flags.logLevel ?? env.LOG_LEVEL ?? 'info') as LogLevel
  if (logLevels.includes(level)) return level
  throw new OutboxError('INVALID_OPTION', '--log-level (LOG_LEVEL) is not a level.', {
    field: 'LOG_LEVEL',
    remedy: `Choose one of ${logLevels.join(', ')}.`,
  })
}

/** Stops the relay on SIGTERM and SIGINT; resolves with the exit code. A second signal ends the process at once. */
function stopOnSignals(relay: Relay, logger: Logger): Promise<number> {
  return new Promise((resolve) => {
    let clean = false
    let asked = false
    relay.telemetry.subscribe((event, fields) => {
      if (event === 'stopped') clean = (fields as { clean: boolean }).clean
    })
    const stop = (signal: NodeJS.Signals) => {
      if (asked) process.exit(signal === 'SIGINT' ? exitCodes.interrupted : exitCodes.terminated)
      asked = true
      logger.info({ event: 'stopping', signal }, 'stopping')
      void relay.stop().then(() => resolve(clean ? exitCodes.done : exitCodes.failed))
    }
    process.on('SIGTERM', stop)
    process.on('SIGINT', stop)
  })
}

/** What the relay runs with, for the log: addresses without passwords, logins without secrets. */
function masked(config: ReturnType<typeof relayConfig>): Record<string, unknown> {
  const { databaseUrl, listenUrl, kafka, schema } = config
  const { sasl, ...rest } = kafka
  return {
    database: maskedUrl(databaseUrl),
    ...(typeof listenUrl === 'string' ? { listen: maskedUrl(listenUrl) } : listenUrl === false ? { listen: 'off' } : {}),
    ...(schema === undefined ? {} : { schema }),
    kafka: { ...rest, ...(sasl === undefined ? {} : { sasl: (sasl as { mechanism: string }).mechanism }) },
  }
}

/** Host, port and database: user names and parameters may be secrets too. */
function maskedUrl(text: string): string {
  const url = new URL(text)
  return `${url.protocol}//${url.host}${url.pathname}`
}

function drained(report: DrainReport): number {
  if (report.empty) return exitCodes.done
  const lines = [
    report.left > 0 ? `${report.left >= 1000 ? 'at least ' : ''}${report.left} messages are left in the outbox` : '',
    report.heldKeys > 0
      ? `${report.heldKeys} keys wait behind a dead message: see "list --dead", then "redrive" or "discard"`
      : '',
    report.foreignBuckets > 0 ? `${report.foreignBuckets} buckets belong to other relays` : '',
    ...report.pausedTopics.map(({ topic, code }) => `topic ${topic} takes no messages: ${code}`),
  ]
  process.stderr.write(
    `Not everything could be published:\n${lines
      .filter(Boolean)
      .map((line) => `  - ${line}\n`)
      .join('')}`,
  )
  return exitCodes.left
}
