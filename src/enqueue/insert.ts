import type { MessageRow } from '../message/message.ts'
import { explain, quote, type SqlRunner, statement } from '../prisma/statement.ts'
import { databaseTransaction, inThatTransaction, transactionOver } from '../prisma/transaction-id.ts'

/** An outbox table by its names in PostgreSQL. */
export interface OutboxTable {
  schema: string
  table: string
}

/** The statements that write messages. All leave `id` and `created_at` to the database, and return nothing, so the role needs INSERT only. */
interface Statements {
  one: TemplateStringsArray
  many: TemplateStringsArray
}

const columns = '"bucket", "message_id", "topic", "type", "key", "value", "headers"'

/**
 * Writes the rows with one statement; their ids ascend in the order of the array. Throws TRANSACTION_OVER, TABLES_MISSING and
 * MISSING_RIGHTS.
 *
 * @param transaction Stands for the transaction in which the rows must be written, or not at all; undefined: they may stand alone.
 * Keeps rule 17 of docs/protocol-application.md.
 */
export async function insertRows(
  db: SqlRunner,
  table: OutboxTable,
  rows: readonly MessageRow[],
  transaction: object | undefined,
): Promise<void> {
  if (rows.length === 0) return
  try {
    const guard = transaction === undefined ? [] : [await databaseTransaction(db, transaction)]
    const { one, many } = statementsFor(table, transaction !== undefined)
    const [only, ...more] = rows
    const written =
      more.length === 0
        ? await db.$executeRaw(one, ...parameters(only!), ...guard)
        : await db.$executeRaw(many, ...columnArrays(rows), ...guard)
    if (transaction !== undefined && written !== rows.length) throw transactionOver('the messages were written')
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

const statements = { guarded: new Map<string, Statements>(), alone: new Map<string, Statements>() }

function statementsFor({ schema, table }: OutboxTable, guarded: boolean): Statements {
  const name = `${quote(schema)}.${quote(table)}`
  const known = guarded ? statements.guarded : statements.alone
  let found = known.get(name)
  if (!found) {
    found = write(`INSERT INTO ${name} (${columns})`, guarded ? ` WHERE ${inThatTransaction}` : '')
    known.set(name, found)
  }
  return found
}

/** Names are qualified: the application owns the search path. */
function write(insert: string, where: string): Statements {
  const bytes = (column: string) => `pg_catalog.decode(${column}, 'base64')`
  const [bucket, id, text, json] = ['smallint', 'pg_catalog.uuid', 'pg_catalog.text', 'pg_catalog.jsonb']
  // As columnArrays() gives them. `unnest` of several arrays cannot be qualified.
  const arrays = [bucket, id, text, text, text, text, json]
  return {
    one: statement(
      `${insert} SELECT ?::${bucket}, ?::${id}, ?::${text}, ?::${text}, ?::pg_catalog.bytea, ?::pg_catalog.bytea, ?::${json}${where}`,
    ),
    // The order of a SELECT without ORDER BY is nobody's promise. With it PostgreSQL draws the ids after the sort.
    many: statement(
      `${insert} SELECT bucket, message_id, topic, type, ${bytes('key')}, ${bytes('value')}, headers
        FROM ROWS FROM (${arrays.map((type) => `pg_catalog.unnest(?::${type}[])`).join(', ')}) WITH ORDINALITY
          AS m (bucket, message_id, topic, type, key, value, headers, place)${where} ORDER BY place`,
    ),
  }
}

const grantInsert = 'Grant INSERT on the table and USAGE on its sequence, as ops/grants.sql does.'
