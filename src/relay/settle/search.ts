import { isProgrammingError } from '../../running/programming-error.ts'
import { clocksMs } from '../../store/store.ts'
import type { LogSearch } from '../../transport/transport.ts'
import type { RelayContext } from '../context.ts'
import { tellBug } from '../publish/bug.ts'
import type { NumberedBatch } from './settlement.ts'

/**
 * Whether the batch is in the log, by the message ids of its rows; undefined: nobody can tell. A batch is in the log as a whole or not at all, so
 * some of its rows without the others are no answer.
 * Keeps rule 28 of docs/protocol-exactly-once.md.
 */
export async function findBatch(context: RelayContext, batch: NumberedBatch): Promise<boolean | undefined> {
  const { topic, partition, rows, recordedAt } = batch
  const messageIds = rows.map(({ messageId }) => messageId)
  const found = await foundIn(context, { topic, partition, messageIds, sinceMs: recordedAt - clocksMs })
  if (found === 0) return false
  if (found === messageIds.length) return true
  context.telemetry.emit('batch_in_doubt', { topic, partition, records: rows.length, found: found ?? null })
  return undefined
}

/** How many of the records are in the log; undefined: it cannot be read. */
async function foundIn({ search, telemetry }: RelayContext, what: LogSearch): Promise<number | undefined> {
  try {
    return await search?.(what)
  } catch (error) {
    if (isProgrammingError(error)) tellBug(telemetry, 'search', error)
    return undefined
  }
}
