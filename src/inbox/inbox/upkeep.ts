import { runnerFor } from '../../enqueue/prisma8-destinations.ts'
import type { TableSet } from '../../message/tables.ts'
import type { Prisma8Client } from '../../prisma/prisma8.ts'
import type { Clock } from '../../running/clock.ts'
import type { Emitter } from '../../running/emitter.ts'
import { codeOf, explainInbox, wrongOption } from '../failure.ts'
import { inboxStatements, type SqlClient } from '../statements.ts'
import { type InboxPlace, inboxSet } from '../table-set.ts'
import type { InboxEvents } from '../telemetry.ts'
import { checkConsumer, checkRetention, inboxDefaults, type ResolvedInbox } from './options.ts'
import type { Redriver } from './redriver.ts'

// The work of an inbox beside its messages: requests of operators, and pruning, which is exported for users of `inbox.once` too.

/** Milliseconds between two queries for requests: an operator waits for the answer. */
const requestMs = 1_000

/** Milliseconds between two prunings: one statement that finds nothing, nearly always. */
const pruneMs = 600_000

/** What an upkeep works with. */
export interface UpkeepPorts {
  options: ResolvedInbox
  set: TableSet
  redriver: Redriver
  telemetry: Emitter<InboxEvents>
  clock: Clock
}

/** What a consumer does beside its messages, until `signal` aborts: requests of operators, and pruning. Never rejects. */
export async function keepUp(ports: UpkeepPorts, signal: AbortSignal): Promise<void> {
  const { redriver, telemetry, clock, options, set } = ports
  const { consumer, prisma, retentionDays } = options
  const every = async (what: 'redrive' | 'prune', ms: number, work: () => Promise<void>) => {
    for (let failing = false; !signal.aborted; await clock.wait(ms, signal)) {
      try {
        await work()
        failing = false
      } catch (error) {
        if (!failing) telemetry.emit('upkeep_failed', { consumer, what, code: codeOf(error) })
        failing = true
      }
    }
  }
  await Promise.all([
    every('redrive', requestMs, () => redriver.carryOut(signal)),
    every('prune', pruneMs, async () => {
      const start = clock.now()
      const rows = await prune(prisma, { consumer, retentionDays, schema: set.schema, tablePrefix: set.prefix })
      if (rows > 0) telemetry.emit('inbox_pruned', { consumer, rows, ms: Math.round(clock.now() - start) })
    }),
  ])
}

/** Rows of one DELETE: some ten milliseconds, in which no copy of theirs has to wait. */
const pruneRows = 5_000

const dayMs = 86_400_000

/** What to prune. */
export interface PruneOptions extends InboxPlace {
  /** Whose rows. */
  consumer: string
  /**
   * Rows older than so many days. Not less than the retention of the topics: a copy that comes later is applied again.
   * @default 14
   */
  retentionDays?: number | undefined
}

/**
 * Deletes the rows of messages that no copy can come of any more. `createInbox` calls it. With `inbox.once` alone, call it now and then,
 * outside of a transaction: each portion is one of its own.
 *
 * @returns the number of rows.
 * @throws OutboxError INVALID_OPTION, TABLES_MISSING, MISSING_RIGHTS.
 * @example
 * ```ts
 * await inbox.prune(prisma, { consumer: 'mail', retentionDays: 14 })
 * ```
 */
export async function prune(
  prisma: SqlClient | Prisma8Client,
  { consumer, retentionDays = inboxDefaults.retentionDays, ...place }: PruneOptions,
): Promise<number> {
  checkConsumer(consumer)
  checkRetention(retentionDays)
  const sql = runnerFor(prisma)
  if (!sql) throw wrongOption('prisma', 'a Prisma client')
  const set = inboxSet(prisma, 'inbox', place)
  const { prune } = inboxStatements(set)
  try {
    for (let pruned = 0; ; ) {
      const rows = await sql.$executeRaw(prune, consumer, retentionDays * dayMs, consumer, pruneRows)
      pruned += rows
      if (rows < pruneRows) return pruned
    }
  } catch (error) {
    throw explainInbox(error, set)
  }
}
