import { randomUUID } from 'node:crypto'
import { enqueue } from '../../enqueue/extension.ts'
import type { TransactionClient } from '../../enqueue/types.ts'
import { isOutboxError } from '../../message/errors.ts'
import { encodeMessage } from '../../message/message.ts'
import { type TableSet, tableNames } from '../../message/tables.ts'
import { modelsOf } from '../../prisma/client-internals.ts'
import { within } from '../../running/within.ts'

/** A Prisma client, with whatever it was extended. */
export interface TriedClient {
  $transaction(callback: (tx: TriedTransaction) => Promise<never>): Promise<unknown>
  $disconnect(): Promise<unknown>
}

type TriedTransaction = TransactionClient & { $queryRawUnsafe<T>(sql: string): PromiseLike<T> } & {
  [model: string]: { createMany(args: { data: object[] }): PromiseLike<unknown> }
}

/** What came of two messages that were written in a transaction which then failed on purpose. */
export interface RollbackTrial {
  /** Bucket of both. */
  bucket: number
  /** Id of the message that `enqueue` wrote, and of the one that the outbox model wrote. */
  ids: { enqueue: string; model: string }
  /** What the database answered to the question where it is; undefined: it was not come to that. */
  place: string | undefined
  /** Whether the guard refused the enqueue: its statements do not reach the transaction. */
  refused: boolean
  /** Why not both could be written; undefined: they were, but for a refused enqueue. */
  trouble: unknown
}

/**
 * A topic that nobody has: a message of the trial that stays, and that a relay finds before it is taken out again, goes nowhere. The name
 * tells anyone who sees it in the log of the relay where it comes from.
 */
const topic = 'outbox-rollback-trial'

/** Milliseconds for all of it. Among the extensions that break transactions are some under which a transaction never ends. */
const timeoutMs = 10_000

const noEnd = (limitMs: number) => new Error(`no end within ${limitMs / 1000} s`)

/**
 * Writes into the outbox in both ways that an application's transaction has, by a raw statement and by a model, and throws. Query
 * extensions stand in the way of the one or the other: whether all is gone is to be looked for on another connection. Disconnects the client.
 *
 * @param set Tables of the outbox.
 * @param whereSql One statement, which gives the place of the outbox as the column `place`.
 */
export async function tryRollback(client: TriedClient, set: TableSet, whereSql: string): Promise<RollbackTrial> {
  const ids = { enqueue: randomUUID(), model: randomUUID() }
  const message = (id: string) => ({ id, topic, payload: 'Written by "doctor --client", to be rolled back.' })
  const { bucket, value } = encodeMessage(message(ids.model))
  let place: string | undefined
  let wrote = false
  let refused = false
  const callback = async (tx: TriedTransaction): Promise<never> => {
    place = (await tx.$queryRawUnsafe<{ place: string }[]>(whereSql))[0]?.place
    const model = modelsOf(tx)?.find(({ table }) => table === set.prefix + tableNames.outbox)
    const where = { model: model?.property, schema: set.schema, tablePrefix: set.prefix }
    await enqueue(tx, message(ids.enqueue), where).catch((error: unknown) => {
      if (!isOutboxError(error, 'OUTBOX_TRANSACTION_OVER')) throw error
      refused = true
    })
    const row = { bucket, message_id: ids.model, topic, value }
    const named = Object.entries(row).map(([column, given]) => [model?.fields[column] ?? column, given])
    // Without an id of the database's in return: a role with INSERT alone can do it.
    await tx[model!.property]!.createMany({ data: [Object.fromEntries(named)] })
    wrote = true
    throw new Error('Rolled back on purpose.')
  }
  let trouble: unknown
  try {
    await within(client.$transaction(callback), timeoutMs, noEnd)
  } catch (error) {
    if (!wrote) trouble = error
  }
  await within(client.$disconnect(), timeoutMs, noEnd).catch(() => {})
  return { bucket, ids, place, refused, trouble }
}
