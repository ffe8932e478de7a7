import { destinationOf } from '../enqueue/prisma8-destinations.ts'
import { transactionOf } from '../enqueue/scope.ts'
import { statement } from '../prisma/statement.ts'
import { databaseTransaction, transactionOver } from '../prisma/transaction-id.ts'
import { within } from '../running/within.ts'
import { handlerTimeout, isAnswer, lost } from './failure.ts'
import type { GuardedAnswer, SqlClient } from './statements.ts'

// How the inbox uses Prisma's transactions. Keeps rule 23 of docs/protocol-application.md: a write belongs to its transaction or does not happen.

/** Milliseconds to wait for a connection of Prisma's pool: two seconds, its default, are little if handlers are slow. */
const maxWaitMs = 5_000

/** The part of a Prisma client that the inbox needs. */
export interface PrismaLike extends SqlClient {
  $transaction<R>(callback: (tx: SqlClient) => Promise<R>, options: { timeout: number; maxWait: number }): Promise<R>
}

/** A transaction that ends `timeout` milliseconds after it began, even if its callback does not. Rejects as {@link lost} says. */
export async function inTransactionFor<R>(
  prisma: PrismaLike,
  timeout: number,
  callback: (tx: SqlClient) => Promise<R>,
): Promise<R> {
  let returned = false
  const run = prisma.$transaction(
    async (tx) => {
      const result = await callback(tx)
      returned = true
      return result
    },
    { timeout, maxWait: maxWaitMs },
  )
  try {
    return await within(run, timeout + maxWaitMs, handlerTimeout)
  } catch (error) {
    // Only the COMMIT was left to fail.
    throw returned ? lost(error) : error
  }
}

/** PostgreSQL's id of the transaction; asked once for each. */
export const idOf = (tx: SqlClient): Promise<string> =>
  databaseTransaction(tx, destinationOf(tx)?.transaction ?? transactionOf(tx))

/** Runs a guarded write of `inboxStatements` and returns the number of rows. Throws TRANSACTION_OVER: never mistaken for 0 rows. */
export async function writeIn(tx: SqlClient, statement: TemplateStringsArray, ...values: unknown[]): Promise<number> {
  const xid = await idOf(tx)
  const [answer] = await tx.$queryRaw<GuardedAnswer[]>(statement, xid, ...values)
  if (!answer!.mine) throw over()
  return answer!.rows
}

/** The refusal of a write that came after the end of its transaction. */
export const over = () => transactionOver('the inbox was written')

/** Runs statements of the inbox itself: an error that tells nothing is the connection's, not a handler's. */
export async function ownStatements<R>(work: () => Promise<R>): Promise<R> {
  try {
    return await work()
  } catch (error) {
    throw lost(error)
  }
}

/** Whether the connection of a transaction answers. A refused statement is an answer. */
export async function answersIn(tx: SqlClient): Promise<boolean> {
  try {
    await within(tx.$queryRaw(statement('SELECT')), maxWaitMs, handlerTimeout)
    return true
  } catch (error) {
    return isAnswer(error)
  }
}
