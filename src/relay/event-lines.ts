import type { EventLines, Level } from '../running/console-lines.ts'
import type { RelayEvent, RelayEvents } from './telemetry.ts'

// How the events of a relay are written, to a log or to the console.

/** How loud each event is. */
const levels: Record<RelayEvent, Level> = {
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
  batches_adopted: 'info',
  batch_in_doubt: 'error',
  cluster_changed: 'warn',
  standing_by: 'warn',
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
  outboxes_without_relay: 'warn',
  sampled: 'trace',
  sample_failed: 'warn',
  http_refused: 'warn',
}

/** Events that may come with every row, topic or connection: so many lines a minute, with the number of those left out. */
const linesPerMinute: Partial<Record<RelayEvent, number>> = {
  wrong_bucket: 1,
  blocked: 1,
  request_failed: 1,
  sample_failed: 1,
  http_refused: 1,
  topic_paused: 20,
  topic_resumed: 20,
  partitions_changed: 20,
  sequence_lost: 20,
  batch_in_doubt: 20,
  cluster_changed: 20,
  topics_missing: 1,
  rows_kept: 1,
}

/**
 * Troubles of the database by which nothing is wrong, with their level: it closed an idle connection, which is made again at once, and
 * somebody has locked a table, for a migration for example, which is waited for.
 */
const mildTrouble: Readonly<Record<string, Level>> = { '57P05': 'info', '55P03': 'warn' }

const levelOf = (event: RelayEvent, fields: object): Level =>
  (event === 'database_trouble' ? mildTrouble[(fields as RelayEvents['database_trouble']).code] : undefined) ?? levels[event]

/** Refused connections must not hide a wrong login: each reason has lines of its own. */
const kindOf = (event: RelayEvent, fields: object): string =>
  event === 'http_refused' && 'reason' in fields ? String(fields.reason) : event

/**
 * Lists are shown by what matters of them, buckets by their number, ages by the highest, traces not at all: 64 or 250 numbers tell nobody
 * anything.
 */
function fieldsOf(event: RelayEvent, fields: object): object {
  const { buckets, agesMs, traces: _, ...rest } = fields as { buckets?: number[]; agesMs?: number[]; traces?: string[] }
  if (agesMs !== undefined) return { ...rest, oldestMs: Math.max(...agesMs) }
  return buckets === undefined
    ? rest
    : { buckets: event === 'leases_lost' || event === 'relays_dying' ? buckets.join(' ') : buckets.length, ...rest }
}

/** See {@link EventLines}. */
export const relayLines = { levelOf, linesPerMinute, kindOf, fieldsOf } satisfies EventLines<RelayEvents>
