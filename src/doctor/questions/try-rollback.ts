import { randomUUID } from 'node:crypto'
import { enqueue } from '../../enqueue/extension.ts'
import type { TransactionClient } from '../../enqueue/types.ts'
import { isOutboxError } from '../../message/errors.ts'
import { encodeMessage, type Message } from '../../message/message.ts'
import { type TableSet, tableNames } from '../../message/tables.ts'
import { modelsOf } from '../../prisma/client-internals.ts'
import { within } from '../../running/within.ts'

/** A client of Prisma 6 or 7, with whatever it was extended. */
export interface PrismaClient7 {
  $transaction(callback: (tx: Transaction7) => Promise<never>): Promise<unknown>
  $disconnect(): Promise<unknown>
}

type Transaction7 = TransactionClient & { $queryRawUnsafe<T>(sql: string): PromiseLike<T> } & {
  [model: string]: { createMany(args: { data: object[] }): PromiseLike<unknown> }
}

/** A row of the outbox, by its columns. */
export type TriedRow = { bucket: number; message_id: string; topic: string; value: Uint8Array | null }

/** A client whose transactions are tried, as its version of Prisma has it. */
export interface TriedClient {
  /** The way of an application's own writes. */
  way: 'a model' | 'a statement'
  transaction(callback: (tx: object) => Promise<never>): Promise<unknown>
  /** Gives the column `place` of the answer. */
  place(tx: object, sql: string): Promise<string | undefined>
  enqueue(tx: object, message: Message, set: TableSet): Promise<unknown>
  /** Writes the row in its own way. */
  write(tx: object, row: TriedRow, set: TableSet): Promise<unknown>
  close(): Promise<unknown>
}

/** What came of two messages that were written in a transaction which then failed on purpose. */
export interface RollbackTrial {
  /** Bucket of both. */
  bucket: number
  /** Id of the message that `enqueue` wrote, and of the one that was written in the application's way. */
  ids: { enqueue: string; own: string }
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

/** A client of Prisma 6 or 7: its own way is the model of the outbox. */
export function tried7(client: PrismaClient7): TriedClient {
  const outboxModel = (tx: object, { prefix }: TableSet) =>
    modelsOf(tx)?.find(({ table }) => table === prefix + tableNames.outbox)
  return {
    way: 'a model',
    transaction: (callback) => client.$transaction(callback),
    place: async (tx, sql) => (await (tx as Transaction7).$queryRawUnsafe<{ place: string }[]>(sql))[0]?.place,
    enqueue: (tx, message, set) => {
      const model = outboxModel(tx, set)?.property
      return enqueue(tx as Transaction7, message, { model, schema: set.schema, tablePrefix: set.prefix })
    },
    async write(tx, row, set) {
      const model = outboxModel(tx, set)!
      const data = Object.fromEntries(Object.entries(row).map(([column, given]) => [model.fields[column] ?? column, given]))
      // Without an id of the database's in return: a role with INSERT alone can do it.
      await (tx as Transaction7)[model.property]!.createMany({ data: [data] })
    },
    close: () => client.$disconnect(),
  }
}

/**
 * Writes into the outbox in both ways that an application's transaction has, by `enqueue` and as it writes its own rows, and throws. Query
 * extensions stand in the way of the one or the other: whether all is gone is to be looked for on another connection. Closes the client.
 *
 * @param set Tables of the outbox.
 * @param whereSql One statement, which gives the place of the outbox as the column `place`.
 */
export async function tryRollback(client: TriedClient, set: TableSet, whereSql: string): Promise<RollbackTrial> {
  const ids = { enqueue: randomUUID(), own: randomUUID() }
  const message = (id: string) => ({ id, topic, payload: 'Written by "doctor --client", to be rolled back.' })
  const { bucket, value } = encodeMessage(message(ids.own))
  let place: string | undefined
  let wrote = false
  let refused = false
  const callback = async (tx: object): Promise<never> => {
    place = await client.place(tx, whereSql)
    await client.enqueue(tx, message(ids.enqueue), set).catch((error: unknown) => {
      if (!isOutboxError(error, 'OUTBOX_TRANSACTION_OVER')) throw error
      refused = true
    })
    await client.write(tx, { bucket, message_id: ids.own, topic, value }, set)
    wrote = true
    throw new Error('Rolled back on purpose.')
  }
  let trouble: unknown
  try {
    await within(client.transaction(callback), timeoutMs, noEnd)
  } catch (error) {
    if (!wrote) trouble = error
  }
  await within(client.close(), timeoutMs, noEnd).catch(() => {})
  return { bucket, ids, place, refused, trouble }
}
