import { AssertionError } from 'node:assert'
import { inspect } from 'node:util'
import { outboxTable as outboxTable7 } from '../enqueue/extension.ts'
import type { OutboxTable } from '../enqueue/insert.ts'
import { noTransaction, outboxTable as outboxTable8 } from '../enqueue/prisma8.ts'
import { runnerFor } from '../enqueue/prisma8-destinations.ts'
import type { AnyTransaction } from '../enqueue/prisma8-types.ts'
import { encodeKey, type MessageKey } from '../message/key.ts'
import { pathTo } from '../message/payload.ts'
import type { Prisma8Client } from '../prisma/prisma8.ts'
import { quote, type SqlReader, statement } from '../prisma/statement.ts'
import { difference, type Path } from './difference.ts'
import { type OutboxMessage, tell } from './told.ts'

/** A Prisma client, or the client of a transaction, whose messages are also seen before its commit. Of Prisma 8 it has the outbox. */
export type TestClient = SqlReader | Prisma8Client | AnyTransaction

/** Where the messages are. */
export interface EnqueuedOptions {
  /** As the option of `outbox()`, which Prisma 8 does not have. @default 'outbox' */
  model?: string | undefined
  /** As the option of `outbox()`. @default as there */
  schema?: string | undefined
  /** As the option of `outbox()`. @default as there */
  tablePrefix?: string | undefined
}

/** What a message must have; what is left out may be anything. */
export interface ExpectedMessage {
  topic?: string
  key?: MessageKey
  type?: string
  id?: string
  /** An object may lack properties of the payload's, at every depth; an array is compared item by item. */
  payload?: unknown
  /** The message may have others. */
  headers?: Record<string, string>
}

type Row = {
  id: string
  topic: string
  type: string | null
  key: Uint8Array | null
  value: Uint8Array | null
  headers: Record<string, string> | null
}

/**
 * Messages that wait in the outbox, in the order in which they were enqueued; those of one topic, or of all.
 *
 * @example
 * ```ts
 * const [message] = await enqueued(prisma, 'order_placed')
 * ```
 */
export async function enqueued(db: TestClient, topic?: string, options: EnqueuedOptions = {}): Promise<OutboxMessage[]> {
  const sql = runnerFor(db)
  if (!sql) throw noTransaction('enqueued')
  const table = '$queryRaw' in db ? outboxTable7(db, options) : outboxTable8(db, options)
  const rows = await sql.$queryRaw<Row[]>(waiting(table), topic ?? null)
  return rows.map((row) => tell({ ...row, headers: row.headers ?? {} }))
}

/**
 * Gives the first waiting message that has everything that is expected. Throws an AssertionError, which names what is there instead and
 * where it differs: with payloads, which belong to a test.
 *
 * @example await expectEnqueued(prisma, { topic: 'order_placed', key: order.id, payload: { total: 1990 } })
 */
export async function expectEnqueued(
  db: TestClient,
  expected: ExpectedMessage,
  options: EnqueuedOptions = {},
): Promise<OutboxMessage> {
  const wanted = normal(expected)
  const all = await enqueued(db, undefined, options)
  const found = all.find((message) => difference(wanted, message, 'partly') === undefined)
  if (found) return found
  const message = `No message is waiting that fits ${show(wanted)}.${all.length === 0 ? ' None is waiting at all.' : ''}`
  const nearest = all
    .slice(0, 10)
    .map((message) => `\n  - ${place(difference(wanted, message, 'partly')!)} differs in ${show(message)}`)
  throw new AssertionError({ message: message + nearest.join(''), actual: all, expected: wanted, operator: 'expectEnqueued' })
}

/** As a message is told: what JSON makes of the payload, the key as text. */
function normal({ key, payload, ...rest }: ExpectedMessage): Record<string, unknown> {
  const bytes = key === undefined ? undefined : encodeKey(key, 'key')
  return {
    ...rest,
    ...(bytes === undefined ? {} : { key: bytes && Buffer.from(bytes).toString() }),
    ...(payload === undefined ? {} : { payload: payload instanceof Uint8Array ? payload : JSON.parse(JSON.stringify(payload)) }),
  }
}

/** `payload.lines[0].total` */
const place = ([name, ...rest]: Path) => pathTo(String(name), rest)

const show = (value: unknown) => inspect(value, { depth: 6, breakLength: Number.POSITIVE_INFINITY })

/** topic, or null for all. What waits, in the order of the ids. Names are qualified: the application owns the search path. */
const waiting = ({ schema, table }: OutboxTable): TemplateStringsArray =>
  statement(
    `SELECT "message_id"::pg_catalog.text AS "id", "topic", "type", "key", "value", "headers"
    FROM ${quote(schema)}.${quote(table)} AS o WHERE "topic" OPERATOR(pg_catalog.=) coalesce(?::pg_catalog.text, "topic") ORDER BY o."id"`,
    { id: 'text', topic: 'text', type: 'text', key: 'bytea', value: 'bytea', headers: 'jsonb' },
  )
