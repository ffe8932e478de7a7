import { type DestinationStream, type Logger, pino } from 'pino'
import { relayLines } from '../relay/event-lines.ts'
import type { RelayEventSource, RelayEvents } from '../relay/telemetry.ts'
import type { Listener } from '../running/emitter.ts'
import { Throttle } from '../running/throttle.ts'
import { inOneLine, visibleJson } from './format.ts'
import { remedyOf } from './remedy-of.ts'
import { bootstrapServers } from './trouble.ts'

/** Levels of the log, from the most to the least telling. */
export const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const

/** One of {@link logLevels}. */
export type LogLevel = (typeof logLevels)[number]

const { levelOf, linesPerMinute, kindOf, fieldsOf } = relayLines

/** A log: JSON lines, or, for a person at a terminal, one short line for each event. */
export function createLogger(level: LogLevel, terminal: boolean, out: NodeJS.WritableStream = process.stdout): Logger {
  const options = {
    level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
  }
  const plain: DestinationStream = { write: (line) => void out.write(terminal ? readable(line) : visibleJson(line)) }
  return pino(options, plain)
}

/** Writes each event of a relay to the log: a handler for `relay.on('*', …)`. `servers`: brokers for the commands that help. */
export function logEvents(
  logger: Logger,
  now: () => number = Date.now,
  servers: string = bootstrapServers(undefined),
): Listener<RelayEvents> {
  const throttle = new Throttle(now)
  return (event, fields) => {
    const level = levelOf(event, fields)
    // Most events are told at levels that nobody turns on; their fields need not be made.
    if (!logger.isLevelEnabled(level)) return
    const lines = linesPerMinute[event]
    const left = lines === undefined ? 0 : throttle.leftOut(kindOf(event, fields), lines)
    if (left === undefined) return
    logger[level](
      { event, ...fieldsOf(event, fields), ...remedyOf(event, fields, servers), ...(left > 0 ? { leftOut: left } : {}) },
      event.replaceAll('_', ' '),
    )
  }
}

/** Settings of {@link relayLog}. */
export interface RelayLogOptions {
  /** A logger of pino. @default JSON lines on standard output, from `info` on */
  logger?: Logger | undefined
  /** Brokers for the commands that help, as `host:port`. @default the variable KAFKA_BROKERS of the shell */
  brokers?: readonly string[] | undefined
}

/**
 * Writes each event of a relay to a log, at the level of its weight; events that may come with every row are limited to a few lines a
 * minute.
 *
 * @returns a function that ends it.
 * @example
 * ```ts
 * relayLog(relay, { brokers: ['kafka-1:9092'] })
 * ```
 */
export function relayLog(relay: RelayEventSource, { logger, brokers }: RelayLogOptions = {}): () => void {
  return relay.on('*', logEvents(logger ?? createLogger('info', false), Date.now, bootstrapServers(brokers)))
}

function readable(line: string): string {
  const { time, level, msg, event: _, settings: __, ...fields } = JSON.parse(line) as Record<string, unknown>
  const rest = Object.entries(fields).map(
    ([name, value]) => `${name}=${typeof value === 'object' ? JSON.stringify(value) : value}`,
  )
  return `${inOneLine(`${String(time).slice(11, 19)} ${String(level).padEnd(5)} ${msg}  ${rest.join(' ')}`)}\n`
}
