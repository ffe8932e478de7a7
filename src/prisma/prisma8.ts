import { OutboxError } from '../message/errors.ts'
import type { Columns, SqlReader, SqlRunner } from './statement.ts'

// What the package needs of a client of Prisma 8, and its statements in that client's raw lane. Imports nothing of Prisma: whatever has these
// members is such a client. Used by enqueue/prisma8.ts and by inbox/prisma8.ts.

/** A plan of the raw lane, made by the client and run by its transactions. */
type Plan = unknown

/** The part of a statement in the raw lane that says what it returns. */
interface RawQuery {
  affectedCount(): { build(): Plan }
  returnsRow(columns: Record<string, unknown>): { build(): Plan }
}

/** Runs plans: a transaction, a client's runtime, or a role-bound client. */
export interface Prisma8Executor {
  execute(plan: any): PromiseLike<{ affectedRows: number }>
  query(plan: any): PromiseLike<unknown[]>
}

/** What the outbox needs of a client of Prisma 8; role-bound clients of its Supabase extension have it too. */
export interface Prisma8Client {
  readonly raw: { readonly sql: (strings: TemplateStringsArray, ...values: any[]) => any }
  transaction(callback: (tx: any) => PromiseLike<any>): Promise<any>
  /** Runs a statement outside of transactions; a client that has none does so by its `runtime`. */
  execute?(plan: any): PromiseLike<any>
  runtime?(): any
}

/** Whether the value is a client of Prisma 8 that has transactions and the raw lane. */
export function isPrisma8Client(client: unknown): client is Prisma8Client {
  const { raw, transaction } = (client ?? {}) as Partial<Prisma8Client>
  return typeof transaction === 'function' && typeof raw?.sql === 'function'
}

/** Where statements outside of transactions run. */
export function outsideOf(client: Prisma8Client): Prisma8Executor {
  return client.execute === undefined && client.runtime ? client.runtime() : (client as unknown as Prisma8Executor)
}

/** Runs our statements as Prisma 6 and 7 do, on what `on` returns. The client makes the plans: others refuse those of a stranger. */
export function runnerOf(client: Prisma8Client, on: () => Prisma8Executor): SqlRunner {
  const raw = (strings: TemplateStringsArray, values: unknown[]): RawQuery => client.raw.sql(...rawLane(strings, values))
  return {
    async $executeRaw(strings, ...values) {
      return (await on().execute(raw(strings, values).affectedCount().build())).affectedRows
    },
    $queryRaw: (async (strings, ...values) =>
      on().query(raw(strings, values).returnsRow(rowOf(strings)).build())) as SqlReader['$queryRaw'],
  }
}

const codecs: Readonly<Record<Columns[string], string>> = {
  text: 'pg/text@1',
  bool: 'pg/bool@1',
  int4: 'pg/int4@1',
  bytea: 'pg/bytea@1',
  jsonb: 'pg/jsonb@1',
}

/** The columns of a statement's answer: the raw lane decodes those that are named, and no other. */
function rowOf(strings: TemplateStringsArray): Record<string, unknown> {
  const { columns = {} } = strings as { columns?: Columns }
  return Object.fromEntries(Object.entries(columns).map(([name, type]) => [name, { codecId: codecs[type], nullable: true }]))
}

/** The raw lane takes no NULL and no array: the former becomes part of the text, the latter a string in PostgreSQL's notation. */
function rawLane(strings: TemplateStringsArray, values: readonly unknown[]): [TemplateStringsArray, ...unknown[]] {
  const texts = [strings[0]!]
  const given: unknown[] = []
  for (const [i, value] of values.entries()) {
    const next = strings[i + 1]!
    if (value === null || value === undefined) texts.push(`${texts.pop()}NULL${next}`)
    else {
      texts.push(next)
      given.push(Array.isArray(value) ? arrayText(value) : value)
    }
  }
  return [Object.assign(texts, { raw: texts }), ...given]
}

/** An array as PostgreSQL reads it: each item quoted, so that a string `NULL` stays one. */
function arrayText(items: readonly unknown[]): string {
  const quoted = (item: unknown) => `"${String(item).replace(/["\\]/g, '\\$&')}"`
  return `{${items.map((item) => (item === null || item === undefined ? 'NULL' : quoted(item))).join(',')}}`
}

/** The refusal of a client that is none of Prisma 8, or whose inside has changed. */
export const unknownClient = (what: string): OutboxError =>
  new OutboxError('INVALID_OPTION', what, {
    field: 'client',
    remedy:
      'Pass what postgres() of @prisma/orm-postgres 8 (8.0.0-rc.8 or newer) returns. Prisma 6 and 7: import from "prisma-extension-outbox".',
  })
