import { OutboxError } from '../message/errors.ts'

// Raw SQL through a Prisma client: how a statement is written, and what its failure means. Used by enqueue, inbox and testing.

export { quote } from '../message/tables.ts'

/** What can ask the database: a client inside a transaction. */
export interface SqlReader {
  $queryRaw<T = unknown>(query: TemplateStringsArray, ...values: unknown[]): PromiseLike<T>
}

/** What can run a raw statement: a Prisma client inside or outside of a transaction. */
export interface SqlRunner extends SqlReader {
  $executeRaw(query: TemplateStringsArray, ...values: unknown[]): PromiseLike<number>
}

/** Names and types of the columns that a statement answers with. Prisma 8 decodes no others; Prisma 6 and 7 need none. */
export type Columns = Readonly<Record<string, 'text' | 'bool' | 'int4' | 'bytea' | 'jsonb'>>

/**
 * A statement as a tagged template gives it, since names cannot be parameters; each `?` outside a quoted name stands for a value.
 *
 * @param columns What it answers with, if it runs in Prisma 8 too.
 */
export function statement(text: string, columns?: Columns): TemplateStringsArray {
  const strings = text.split(/\?(?=[^"]*(?:"[^"]*"[^"]*)*$)/)
  return Object.assign(strings, { raw: strings }, columns && { columns })
}

/** Adds a remedy to missing tables and missing rights; every other error is returned unchanged, so that retries on its code still work. */
export function explain(
  error: unknown,
  { where, migration, grant }: { where: string; migration: string; grant: string },
): unknown {
  switch (sqlState(error)) {
    case '42P01':
    case '42703':
    case '3F000': {
      const remedy = `Apply the ${migration} migration to this database, or set the option schema.`
      return new OutboxError('TABLES_MISSING', `The table ${where} is not there, or lacks a column.`, { remedy, cause: error })
    }
    case '42501':
      return new OutboxError('MISSING_RIGHTS', `The database role may not write to ${where}.`, { remedy: grant, cause: error })
    default:
      return error
  }
}

/**
 * SQLSTATE of a failed raw statement: Prisma 8 has it as `sqlState`, Prisma 7 in the cause of its driver adapter error, Prisma 6 in
 * `meta.code`.
 */
export function sqlState(error: unknown): unknown {
  type Meta = { code?: unknown; driverAdapterError?: { cause?: { originalCode?: unknown; code?: unknown } } }
  const { meta, sqlState } = (error ?? {}) as { meta?: Meta; sqlState?: unknown }
  return meta?.driverAdapterError?.cause?.originalCode ?? meta?.code ?? sqlState
}
