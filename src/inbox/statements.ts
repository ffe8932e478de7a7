import { quote } from '../enqueue/insert.ts'

/** A statement as a tagged template gives it: names cannot be parameters. */
export type Statement = TemplateStringsArray

/** `?` stands for a value. */
function statement(text: string): Statement {
  const strings = text.split('?')
  return Object.assign(strings, { raw: strings })
}

/** What can run the statements: a Prisma client inside or outside of a transaction. */
export interface SqlClient {
  $executeRaw(query: TemplateStringsArray, ...values: unknown[]): PromiseLike<number>
  $queryRaw<T = unknown>(query: TemplateStringsArray, ...values: unknown[]): PromiseLike<T>
}

/** Every statement of the inbox, by the PostgreSQL schema of its tables. */
export type InboxStatements = ReturnType<typeof write>

const written = new Map<string, InboxStatements>()

/** The statements for tables in that schema. */
export function inboxStatements(schema: string): InboxStatements {
  let found = written.get(schema)
  if (!found) {
    found = write(`${quote(schema)}.`)
    written.set(schema, found)
  }
  return found
}

const write = (schema: string) => ({
  /**
   * consumer, id. One row: the caller is the first, and every other copy waits here until its transaction has ended. None: another was.
   */
  claim: statement(`INSERT INTO ${schema}"inbox" ("consumer", "message_id") VALUES (?::text, ?::uuid) ON CONFLICT DO NOTHING`),

  /**
   * consumer, milliseconds, consumer, rows. Deletes what is older; not what is still parked, or a late copy of it would be applied before
   * it is redriven. By ctid, so that one pass reads as many rows as it deletes.
   */
  prune: statement(`DELETE FROM ${schema}"inbox" WHERE ctid = ANY (ARRAY(
    SELECT i.ctid FROM ${schema}"inbox" i
    WHERE i."consumer" = ?::text AND i."processed_at" < clock_timestamp() - ?::float8 * interval '1 millisecond'
      AND NOT EXISTS (SELECT FROM ${schema}"inbox_parked" p WHERE p."consumer" = ?::text AND p."message_id" = i."message_id")
    ORDER BY i."processed_at" LIMIT ?::int))`),
})
