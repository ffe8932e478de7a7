import { OutboxError } from '../message/errors.ts'
import { schemaOfTable } from '../prisma/client-internals.ts'
import { checkConsumer, explainInbox } from './once.ts'
import { inboxStatements, type SqlClient } from './statements.ts'

/** Days for which a copy is known again: longer than Kafka keeps a record by default, and the offsets of an empty group (7 both). */
export const defaultRetentionDays = 14

/** Rows of one DELETE: some ten milliseconds, in which no copy of theirs has to wait. */
const pruneRows = 5_000

const dayMs = 86_400_000

/** What to prune. */
export interface PruneOptions {
  /** Whose rows. */
  consumer: string
  /**
   * Rows older than so many days. Not less than the retention of the topics: a copy that comes later is applied again.
   * @default 14
   */
  retentionDays?: number | undefined
  /** As in {@link OnceOptions}. */
  schema?: string | undefined
}

/**
 * Deletes the rows of messages that no copy can come of any more, and gives their number. `createInbox` does it by itself; who uses
 * `inbox.once` alone calls it now and then, outside of a transaction: each portion is one of its own.
 *
 * Throws INVALID_OPTION, TABLES_MISSING and MISSING_RIGHTS.
 */
export async function prune(
  prisma: SqlClient,
  { consumer, retentionDays = defaultRetentionDays, schema = schemaOfTable(prisma, 'inbox') }: PruneOptions,
): Promise<number> {
  checkConsumer(consumer)
  checkRetention(retentionDays)
  const { prune } = inboxStatements(schema)
  try {
    for (let pruned = 0; ; ) {
      const rows = await prisma.$executeRaw(prune, consumer, retentionDays * dayMs, consumer, pruneRows)
      pruned += rows
      if (rows < pruneRows) return pruned
    }
  } catch (error) {
    throw explainInbox(error, schema)
  }
}

/** Throws INVALID_OPTION. */
export function checkRetention(days: unknown): void {
  if (typeof days === 'number' && days > 0 && days <= 36_500) return
  const remedy = 'Give a number of days above 0, and not less than the topics keep a record.'
  throw new OutboxError('INVALID_OPTION', 'retentionDays is wrong.', { field: 'retentionDays', remedy })
}
