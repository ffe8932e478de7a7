import { type DestinationStream, type Logger, pino } from 'pino'
import type { RelayEvent, RelayEventSource, RelayEvents } from '../relay/telemetry.ts'
import type { Listener } from '../running/emitter.ts'
import { inOneLine, visibleJson } from './format.ts'
import { bootstrapServers, told } from './trouble.ts'

/** Levels of the log, from the most to the least telling. */
export const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const

/** One of {@link logLevels}. */
export type LogLevel = (typeof logLevels)[number]

/** How loud each event is. */
const levelOf: Record<RelayEvent, 'trace' | 'debug' | 'info' | 'warn' | 'error'> = {
  started: 'info',
  stopped: 'info',
  heartbeat: 'trace',
  database_trouble: 'error',
  database_recovered: 'info',
  kafka_trouble: 'error',
  kafka_recovered: 'info',
  leases_taken: 'info',
  leases_released: 'info',
  leases_lost: 'warn',
  gave_up: 'warn',
  relays_dying: 'error',
  fetched: 'trace',
  published: 'debug',
  publish_failed: 'debug',
  sequence_lost: 'warn',
  sequences_unavailable: 'warn',
  internal_error: 'error',
  rows_locked: 'warn',
  rows_free: 'info',
  rows_kept: 'error',
  rows_deleted: 'info',
  settled: 'trace',
  dead_lettered: 'error',
  dead_letter_failed: 'error',
  blocked: 'warn',
  redriven: 'info',
  discarded: 'warn',
  request_failed: 'error',
  topic_paused: 'error',
  topic_resumed: 'info',
  topics_missing: 'error',
  topics_found: 'info',
  partitions_changed: 'warn',
  ids_restarted: 'warn',
  row_found_below_position: 'error',
  wrong_bucket: 'warn',
  sampled: 'trace',
  sample_failed: 'warn',
  http_refused: 'warn',
}

/** Events that may come with every row, topic or connection: so many lines a minute, with the number of those left out. */
const throttled: Partial<Record<RelayEvent, number>> = {
  wrong_bucket: 1,
  blocked: 1,
  request_failed: 1,
  sample_failed: 1,
  http_refused: 1,
  topic_paused: 20,
  topic_resumed: 20,
  partitions_changed: 20,
  sequence_lost: 20,
  topics_missing: 1,
  rows_kept: 1,
}
const throttleMs = 60_000

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
  const quiet: Quiet = new Map()
  return (event, fields) => {
    const level = levelOf[event]
    // Most events are told at levels that nobody turns on; their fields need not be made.
    if (!logger.isLevelEnabled(level)) return
    const lines = throttled[event]
    const left = lines === undefined ? 0 : leftOut(kindOf(event, fields), { quiet, lines, now: now() })
    if (left === undefined) return
    logger[level](
      { event, ...fieldsOf(event, fields), ...remedyOf(event, fields, servers), ...(left > 0 ? { leftOut: left } : {}) },
      event.replaceAll('_', ' '),
    )
  }
}

/** What helps against a paused topic. */
function remedyOf<E extends RelayEvent>(
  event: E,
  fields: RelayEvents[E],
  servers: string,
): { remedy?: string; command?: string } {
  if (event !== 'topic_paused') return {}
  const { topic, code } = fields as RelayEvents['topic_paused']
  const { remedy, command } = told({ topic, partition: null, code }, servers)
  return command === undefined ? { remedy } : { remedy, command }
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

/** Kinds of events that were told lately, how often, and how many were left out since. */
type Quiet = Map<string, { since: number; told: number; left: number }>

/** Refused connections must not hide a wrong login: each reason has lines of its own. */
const kindOf = (event: RelayEvent, fields: object): string =>
  event === 'http_refused' && 'reason' in fields ? String(fields.reason) : event

/** How many of that kind were left out before this one; undefined when this one is to be left out too. */
function leftOut(kind: string, { quiet, lines, now }: { quiet: Quiet; lines: number; now: number }): number | undefined {
  const before = quiet.get(kind)
  if (!before || now - before.since >= throttleMs) {
    quiet.set(kind, { since: now, told: 1, left: 0 })
    return before?.left ?? 0
  }
  if (before.told < lines) {
    before.told++
    return 0
  }
  before.left++
  return undefined
}

/**
 * Lists are shown by what matters of them, buckets by their number, ages by the highest, traces not at all: 64 or 250 numbers tell nobody
 * anything.
 */
function fieldsOf<E extends RelayEvent>(event: E, fields: RelayEvents[E]): Record<string, unknown> {
  type Lists = { buckets?: number[]; agesMs?: number[]; traces?: string[] }
  const { buckets, agesMs, traces: _, ...rest } = fields as RelayEvents[E] & Lists
  if (agesMs !== undefined) return { ...rest, oldestMs: Math.max(...agesMs) }
  return buckets === undefined
    ? rest
    : { buckets: event === 'leases_lost' || event === 'relays_dying' ? buckets.join(' ') : buckets.length, ...rest }
}

function readable(line: string): string {
  const { time, level, msg, event: _, settings: __, ...fields } = JSON.parse(line) as Record<string, unknown>
  const rest = Object.entries(fields).map(
    ([name, value]) => `${name}=${typeof value === 'object' ? JSON.stringify(value) : value}`,
  )
  return `${inOneLine(`${String(time).slice(11, 19)} ${String(level).padEnd(5)} ${msg}  ${rest.join(' ')}`)}\n`
}
