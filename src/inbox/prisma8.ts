import { withOutbox } from '../enqueue/prisma8.ts'
import { destinationOf, runnerFor } from '../enqueue/prisma8-destinations.ts'
import { inTransaction } from '../prisma/client-internals.ts'
import { isPrisma8Client, type Prisma8Client } from '../prisma/prisma8.ts'
import { type SqlRunner, statement } from '../prisma/statement.ts'
import { within } from '../running/within.ts'
import { handlerTimeout } from './failure.ts'
import type { SqlClient } from './statements.ts'
import type { PrismaLike } from './transaction.ts'

// A client of Prisma 8 by the three methods that the inbox and the projections use of Prisma 6 and 7. Called where they check their options.
// Keeps rule 23 of docs/protocol-application.md.

/** Milliseconds that the server waits longer than the client, which ends a transaction without ending its connection. */
const graceMs = 1_000

/** A transaction as the inbox uses it, whatever its version of Prisma; undefined: it is none, or Prisma 8's of a client without the outbox. */
export function statementsIn(tx: object): SqlClient | undefined {
  const to = destinationOf(tx)
  if (to) return to.transaction && Object.create(tx, methodsOf(to.db))
  return inTransaction(tx) && '$queryRaw' in tx ? (tx as SqlClient) : undefined
}

/** The client as the inbox uses it, whatever its version of Prisma; undefined: it is none. */
export function prismaLike(client: unknown): PrismaLike | undefined {
  if (typeof (client as Partial<PrismaLike> | undefined)?.$transaction === 'function') return client as PrismaLike
  return isPrisma8Client(client) ? adapted(client) : undefined
}

function adapted(client: Prisma8Client): PrismaLike {
  // Without the wrapper, statements that a handler does not await would outlive its transaction.
  const wrapped: Prisma8Client = destinationOf(client) ? client : withOutbox(client, { wake: false })
  const $transaction: PrismaLike['$transaction'] = async (callback, { timeout }) => {
    try {
      return await wrapped.transaction((tx: object) => bounded(tx, timeout, callback))
    } catch (error) {
      throw failureOf(error)
    }
  }
  return Object.create(wrapped, { ...methodsOf(runnerFor(wrapped)!), $transaction: { value: $transaction } })
}

/**
 * Runs the callback no longer than `timeout` milliseconds. Prisma 8 has no timeout of transactions. When it is over, the wrapper waits for the
 * statements under way, refuses later ones and rolls back. The server ends what this process cannot: a statement that runs on, and the
 * transaction of a process that stands still.
 */
async function bounded<R>(tx: object, timeout: number, callback: (tx: SqlClient) => Promise<R>): Promise<R> {
  const inside = statementsIn(tx)!
  await inside.$executeRaw(bounds, timeout, timeout + graceMs, timeout + graceMs)
  return within(callback(inside), timeout, handlerTimeout)
}

const methodsOf = ({ $executeRaw, $queryRaw }: SqlRunner) => ({
  $executeRaw: { value: $executeRaw },
  $queryRaw: { value: $queryRaw },
})

/** Milliseconds. Sets the limit for this transaction, unless a shorter one is set; the setting may be unknown to an older server. */
const bound = (setting: string) => `CASE WHEN pg_catalog.current_setting('${setting}', true) IS NOT NULL THEN
  pg_catalog.set_config('${setting}', (extract(epoch FROM least(nullif(pg_catalog.current_setting('${setting}', true)::pg_catalog.interval, '0'),
    ?::pg_catalog.float8 * pg_catalog.make_interval(secs => 0.001))) * 1000)::pg_catalog.int8::pg_catalog.text, true) END`

/** Milliseconds for a statement, for a pause between two, and for all of it, which PostgreSQL 17 and newer can limit. */
const bounds = statement(
  `SELECT ${['statement_timeout', 'idle_in_transaction_session_timeout', 'transaction_timeout'].map(bound).join(', ')}`,
)

/** What failed in a transaction: where COMMIT or ROLLBACK fails, Prisma 8 has it as the cause of an error of its own. */
function failureOf(error: unknown): unknown {
  const { code, cause } = (error ?? {}) as { code?: unknown; cause?: unknown }
  return code === 'RUNTIME.TRANSACTION_COMMIT_FAILED' || code === 'RUNTIME.TRANSACTION_ROLLBACK_FAILED' ? (cause ?? error) : error
}
