import { OutboxError } from '../message/errors.ts'
import { oneForAll } from '../message/one-copy.ts'
import { type SqlReader, statement } from './statement.ts'

// The guard against statements that outlive their transaction. Prisma checks that a transaction is open and dispatches the statement later
// (prisma/orm#29762): one that is held up meanwhile arrives after the ROLLBACK and would commit alone, or in the transaction of another request
// on the same pooled connection. Used by enqueue, inbox and projection, for every write that must not stand alone.

/**
 * The condition under which a guarded statement writes; `?` is the answer of {@link databaseTransaction}. The id is never used again and the
 * same in every savepoint, so it holds in that one transaction only. Names are qualified: the application owns the search path.
 * Keeps rule 17 of docs/protocol-application.md.
 */
export const inThatTransaction = 'pg_catalog.pg_current_xact_id()::pg_catalog.text OPERATOR(pg_catalog.=) ?::pg_catalog.text'

const question = statement('SELECT pg_catalog.pg_current_xact_id()::pg_catalog.text AS "xid"', { xid: 'text' })

/** Ids by the object that stands for a transaction. Written and read here only. */
const known = oneForAll('transaction-ids', () => new WeakMap<object, Promise<string>>())

/**
 * PostgreSQL's id of the transaction in which `tx` runs, asked once for each `transaction`. Await it before the guarded statement is
 * called: Prisma refuses a statement that is called after the end, so the id of another's transaction, which a question that came late
 * has seen, is never used.
 *
 * @param transaction The object that stands for the transaction. @default `tx` itself
 */
export function databaseTransaction(tx: SqlReader, transaction: object = tx): Promise<string> {
  const found = known.get(transaction)
  if (found) return found
  const asked = ask(tx)
  known.set(transaction, asked)
  asked.catch(() => known.delete(transaction))
  return asked
}

async function ask(tx: SqlReader): Promise<string> {
  const rows = await tx.$queryRaw<{ xid: string }[]>(question)
  return rows[0]!.xid
}

/** The refusal of a guarded statement that wrote nothing. `what`: what was to come before the end of the transaction. */
export const transactionOver = (what: string): OutboxError =>
  new OutboxError('TRANSACTION_OVER', `The transaction was over before ${what}.`, {
    remedy:
      'Nothing was written: retry the transaction, with a longer timeout if it timed out. If it happens each time, an extension sends statements out of the transaction: see "doctor --client".',
  })
