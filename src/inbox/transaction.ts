import { within } from '../running/within.ts'
import { handlerTimeout } from './failure.ts'
import type { SqlClient } from './statements.ts'

/** Milliseconds to wait for a connection of Prisma's pool: two seconds, its default, are little where handlers are slow. */
const maxWaitMs = 5_000

/** What the inbox needs of a Prisma client. */
export interface PrismaLike extends SqlClient {
  $transaction<R>(callback: (tx: SqlClient) => Promise<R>, options: { timeout: number; maxWait: number }): Promise<R>
}

/** A transaction that ends `timeout` milliseconds after it began, also where its callback does not. */
export function inTransactionFor<R>(prisma: PrismaLike, timeout: number, callback: (tx: SqlClient) => Promise<R>): Promise<R> {
  return within(prisma.$transaction(callback, { timeout, maxWait: maxWaitMs }), timeout + maxWaitMs, handlerTimeout)
}
