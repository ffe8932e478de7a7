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
  /** As `many`, after the locks of keys. */
  locking: TemplateStringsArray
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
    const { one, many, locking } = statementsFor(table, transaction !== undefined)
    const [only, ...more] = rows
    const written = rows.some((row) => row.lockKey)
      ? await db.$executeRaw(
          locking,
          ...columnArrays(rows),
          rows.map((row) => row.lockKey),
          ...guard,
        )
      : more.length === 0
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
    found = write(name, guarded ? ` WHERE ${inThatTransaction}` : '')
    known.set(name, found)
  }
  return found
}

/** What stands for topic and key of a table in advisory locks, the same as in the function `outbox_insert` of the migration. */
function lockOf(name: string, key: string): string {
  const table = `'${name.replaceAll("'", "''")}'::pg_catalog.regclass::pg_catalog.oid::pg_catalog.int8`
  const hash = (text: string, seed: string) => `pg_catalog.hashtextextended(${text} COLLATE pg_catalog."C", ${seed})`
  return hash('topic', `COALESCE(${hash(`pg_catalog.encode(${key}, 'hex')`, table)}, ${table})`)
}

/** Names are qualified: the application owns the search path. */
function write(name: string, where: string): Statements {
  const insert = `INSERT INTO ${name} (${columns})`
  const bytes = (column: string) => `pg_catalog.decode(${column}, 'base64')`
  const [bucket, id, text, json] = ['smallint', 'pg_catalog.uuid', 'pg_catalog.text', 'pg_catalog.jsonb']
  // As columnArrays() gives them. `unnest` of several arrays cannot be qualified.
  const arrays = [bucket, id, text, text, text, text, json]
  const from = (types: string[], more = '') =>
    `FROM ROWS FROM (${types.map((type) => `pg_catalog.unnest(?::${type}[])`).join(', ')}) WITH ORDINALITY
          AS m (bucket, message_id, topic, type, key, value, headers, ${more}place)`
  const selected = `SELECT bucket, message_id, topic, type, ${bytes('key')}, ${bytes('value')}, headers`
  return {
    one: statement(
      `${insert} SELECT ?::${bucket}, ?::${id}, ?::${text}, ?::${text}, ?::pg_catalog.bytea, ?::pg_catalog.bytea, ?::${json}${where}`,
    ),
    // The order of a SELECT without ORDER BY is nobody's promise. With it PostgreSQL draws the ids after the sort.
    many: statement(`${insert} ${selected} ${from(arrays)}${where} ORDER BY place`),
    // Every lock is taken before the first id is drawn: no row passes the join without the row of `locked`. In one order in all calls, or two
    // of them would wait for each other. The transaction's end gives the locks back.
    locking: statement(
      `WITH m AS MATERIALIZED (SELECT * ${from([...arrays, 'pg_catalog.bool'], 'locks, ')}${where}),
        locked AS MATERIALIZED (SELECT pg_catalog.count(pg_catalog.pg_advisory_xact_lock(lock))
          FROM (SELECT DISTINCT ${lockOf(name, bytes('key'))} AS lock FROM m WHERE locks ORDER BY lock) AS k)
        ${insert} ${selected} FROM m CROSS JOIN locked ORDER BY place`,
    ),
  }
}

const grantInsert = 'Grant INSERT on the table and USAGE on its sequence, as ops/grants.sql does.'
