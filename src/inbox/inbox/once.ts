import { noTransaction } from '../../enqueue/prisma8.ts'
import type { AnyTransaction } from '../../enqueue/prisma8-types.ts'
import type { TransactionClient } from '../../enqueue/types.ts'
import { OutboxError } from '../../message/errors.ts'
import { checkId } from '../../message/id.ts'
import type { TableSet } from '../../message/tables.ts'
import type { SqlRunner } from '../../prisma/statement.ts'
import { explainInbox } from '../failure.ts'
import { statementsIn } from '../prisma8.ts'
import { inboxStatements } from '../statements.ts'
import { type InboxPlace, inboxSet } from '../table-set.ts'
import { writeIn } from '../transaction.ts'
import { checkConsumer } from './options.ts'

/** Which message, and for whom. */
export interface OnceOptions extends InboxPlace {
  /** Name of the consumer: each applies a message once. It stays the same over all deployments. */
  consumer: string
  /** Id of the message: its Kafka header `id`. */
  id: string
}

/** What became of a message: the first copy has the result of what was done, every other had no effect. */
export type Once<R> = { first: true; result: R } | { first: false }

/**
 * Does `fn` for the first copy of a message and for no other: the row in the inbox commits or rolls back with what `fn` writes through
 * `tx`. A copy that comes meanwhile waits until this transaction has ended. Let an error of `fn` end the transaction: one that is caught
 * and committed counts as done.
 *
 * @throws OutboxError OUTSIDE_TRANSACTION, TRANSACTION_OVER, INVALID_ID, INVALID_OPTION, TABLES_MISSING, MISSING_RIGHTS.
 * @example
 * ```ts
 * await prisma.$transaction((tx) => inbox.once(tx, { consumer: 'mail', id }, () => tx.letter.create({ data })))
 * ```
 */
export async function once<R>(tx: AnyTransaction, options: OnceOptions, fn: () => R | PromiseLike<R>): Promise<Once<R>>
export async function once<R>(tx: TransactionClient, options: OnceOptions, fn: () => R | Promise<R>): Promise<Once<R>>
export async function once<R>(tx: object, options: OnceOptions, fn: () => R | PromiseLike<R>): Promise<Once<R>> {
  const db = statementsIn(tx)
  if (!db) throw outsideTransaction(tx)
  checkConsumer(options.consumer)
  const id = checkId(options.id, 'id')
  if (!(await claim(db, options.consumer, id, inboxSet(tx, 'inbox', options)))) return { first: false }
  return { first: true, result: await fn() }
}

function outsideTransaction(client: object): OutboxError {
  if (!('$transaction' in client)) return noTransaction('inbox.once')
  const remedy = 'Use $transaction(async (tx) => { await inbox.once(tx, …) }).'
  return new OutboxError('OUTSIDE_TRANSACTION', 'inbox.once was called outside of a transaction.', { remedy })
}

async function claim(tx: SqlRunner, consumer: string, id: string, set: TableSet): Promise<boolean> {
  try {
    return (await writeIn(tx, inboxStatements(set).claim, consumer, id)) === 1
  } catch (error) {
    throw explainInbox(error, set)
  }
}
