import type { RelayContext } from '../context.ts'
import type { NumberedBatch } from './settlement.ts'

/** Clocks of relay, database and brokers may differ by this much, in milliseconds. */
const clocksMs = 3_600_000

/**
 * Whether the batch is in the log, by the message ids of its rows; undefined: nobody can tell. A batch is in the log as a whole or not at all, so
 * some of its rows without the others are no answer.
 * Keeps rule 28 of docs/protocol-exactly-once.md.
 */
export async function findBatch(
  { search, telemetry }: RelayContext,
  { topic, partition, rows, recordedAt }: NumberedBatch,
): Promise<boolean | undefined> {
  const messageIds = rows.map(({ messageId }) => messageId)
  const found = await search?.({ topic, partition, messageIds, sinceMs: recordedAt - clocksMs }).catch(() => undefined)
  if (found === 0) return false
  if (found === messageIds.length) return true
  telemetry.emit('batch_in_doubt', { topic, partition, records: rows.length, found: found ?? null })
  return undefined
}
