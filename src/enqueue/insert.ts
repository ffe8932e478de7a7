import { OutboxError } from '../message/errors.ts'
import type { MessageRow } from '../message/message.ts'

/** What can run an INSERT: a Prisma client inside or outside of a transaction. */
export interface SqlRunner {
  $executeRaw(query: TemplateStringsArray, ...values: unknown[]): PromiseLike<number>
}

/** An outbox table by its names in PostgreSQL. */
export interface OutboxTable {
  schema: string
  table: string
}

/** The two statements that write messages; both leave `id` and `created_at` to the database, and return nothing: INSERT is right enough. */
interface Statements {
  one: TemplateStringsArray
  many: TemplateStringsArray
}

const columns = '"bucket", "message_id", "topic", "type", "key", "value", "headers"'
const statements = new Map<string, Statements>()

/** Writes the rows with one statement; their ids ascend in the order of the array. */
export async function insertRows(db: SqlRunner, table: OutboxTable, rows: readonly MessageRow[]): Promise<void> {
  const { one, many } = statementsFor(table)
  try {
    if (rows.length === 1) await db.$executeRaw(one, ...parameters(rows[0]!))
    else if (rows.length > 1) await db.$executeRaw(many, ...columnArrays(rows))
  } catch (error) {
    throw explain(error, { where: `${table.schema}.${table.table}`, migration: 'outbox', grant: grantInsert })
  }
}

const parameters = (row: MessageRow) => [row.bucket, row.messageId, row.topic, row.type, row.key, row.value, row.headers]

/** One array a column. Bytes travel as base64: Prisma takes the type of an array from its first item and would mangle bytea[]. */
function columnArrays(rows: readonly MessageRow[]): unknown[] {
  const base64 = (bytes: Uint8Array | null) => (bytes === null ? null : Buffer.from(bytes).toString('base64'))
  return [
    rows.map((row) => row.bucket),
    rows.map((row) => row.messageId),
    rows.map((row) => row.topic),
    rows.map((row) => row.type),
    rows.map((row) => base64(row.key)),
    rows.map((row) => base64(row.value)),
    rows.map((row) => row.headers),
  ]
}

function statementsFor({ schema, table }: OutboxTable): Statements {
  const name = `${quote(schema)}.${quote(table)}`
  let found = statements.get(name)
  if (!found) {
    const insert = `INSERT INTO ${name} (${columns})`
    const select = `${insert} SELECT bucket, message_id, topic, type, decode(key, 'base64'), decode(value, 'base64'), headers`
    // The order of a SELECT without ORDER BY is nobody's promise. With it PostgreSQL draws the ids after the sort.
    const inOrder = 'WITH ORDINALITY AS m (bucket, message_id, topic, type, key, value, headers, place) ORDER BY place'
    found = {
      one: template(`${insert} VALUES (`, ['smallint', 'uuid', 'text', 'text', 'bytea', 'bytea', 'jsonb'], ')'),
      many: template(
        `${select} FROM unnest(`,
        ['smallint[]', 'uuid[]', 'text[]', 'text[]', 'text[]', 'text[]', 'jsonb[]'],
        `) ${inOrder}`,
      ),
    }
    statements.set(name, found)
  }
  return found
}

/** A name as SQL has it. */
export const quote = (name: string) => `"${name.replaceAll('"', '""')}"`

/** A statement with a parameter before each of the casts, as a tagged template would give it: names cannot be parameters. */
function template(before: string, casts: string[], after: string): TemplateStringsArray {
  const strings = [before, ...casts.map((cast, i) => `::${cast}${i < casts.length - 1 ? ', ' : after}`)]
  return Object.assign(strings, { raw: strings })
}

const grantInsert = 'Grant INSERT on the table and USAGE on its sequence, as ops/grants.sql does.'

/** Two failures have a remedy that Prisma's message does not tell; every other stays as it is, for whoever retries on its code. */
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

/** SQLSTATE of a failed raw statement: Prisma 7 has it in the cause of its driver adapter error, Prisma 6 in `meta.code`. */
export function sqlState(error: unknown): unknown {
  type Meta = { code?: unknown; driverAdapterError?: { cause?: { originalCode?: unknown; code?: unknown } } }
  const meta = (error as { meta?: Meta } | null)?.meta
  return meta?.driverAdapterError?.cause?.originalCode ?? meta?.code
}
