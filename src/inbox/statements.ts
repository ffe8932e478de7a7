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

const parkedColumns = '"topic", "partition", "offset"::text, "message_id"::text, "type", "key", "value", "headers"'

const write = (schema: string) => ({
  /**
   * consumer, id. One row: the caller is the first, and every other copy waits here until its transaction has ended. None: another was.
   */
  claim: statement(`INSERT INTO ${schema}"inbox" ("consumer", "message_id") VALUES (?::text, ?::uuid) ON CONFLICT DO NOTHING`),

  /**
   * consumer, id, consumer, topic, key. As claim; the row says whether a message of that key is parked, behind which this one belongs.
   * KEY SHARE keeps a parked row from being deleted before this transaction ends: whoever redrives the key then looks once more and finds
   * what was put behind. It does not wait for the handler of a redrive, only for the end of its transaction after the row was deleted.
   */
  claimOne: statement(`INSERT INTO ${schema}"inbox" ("consumer", "message_id") VALUES (?::text, ?::uuid) ON CONFLICT DO NOTHING
    RETURNING (SELECT true FROM ${schema}"inbox_parked" p
      WHERE p."consumer" = ?::text AND p."topic" = ?::text AND p."key" = ?::bytea LIMIT 1 FOR KEY SHARE) AS held`),

  /**
   * ids, keys in base64, consumer, consumer, topic. As claimOne for the messages of a batch: a row for each that is claimed. Sorted, so that
   * two members with the same messages cannot wait for each other in a circle.
   */
  claimMany: statement(`WITH arrived AS MATERIALIZED (
      SELECT m.id, decode(m.key, 'base64') AS key FROM unnest(?::uuid[], ?::text[]) AS m (id, key)
    ), claimed AS (
      INSERT INTO ${schema}"inbox" ("consumer", "message_id") SELECT ?::text, id FROM arrived ORDER BY id
      ON CONFLICT DO NOTHING RETURNING "message_id"
    ), held AS MATERIALIZED (
      SELECT k.key FROM (SELECT DISTINCT key FROM arrived WHERE key IS NOT NULL) k, LATERAL (
        SELECT true FROM ${schema}"inbox_parked" p
        WHERE p."consumer" = ?::text AND p."topic" = ?::text AND p."key" = k.key LIMIT 1 FOR KEY SHARE) p
    )
    SELECT c."message_id"::text AS id, EXISTS (SELECT FROM arrived a JOIN held h ON h.key = a.key WHERE a.id = c."message_id") AS held
    FROM claimed c`),

  /**
   * Nothing. Fails where an earlier statement of the transaction did and the handler caught its error: PostgreSQL then turns the COMMIT
   * into a ROLLBACK, and Prisma tells nobody.
   */
  alive: statement('SELECT 1'),

  /** consumer, topic, partition, offset, id, type, key, value, headers, reason, error, attempts. Puts a record aside; twice is once. */
  park: statement(`INSERT INTO ${schema}"inbox_parked" ("consumer", "topic", "partition", "offset", "message_id", "type", "key", "value",
      "headers", "reason", "error", "attempts")
    VALUES (?::text, ?::text, ?::int, ?::bigint, ?::uuid, ?::text, ?::bytea, ?::bytea, ?::jsonb, ?::text, ?::text, ?::int)
    ON CONFLICT DO NOTHING`),

  /** consumer, rows. Parked messages that an operator has a wish for, oldest first. */
  wishes: statement(`SELECT ${parkedColumns}, "wish", "wished_by" AS by FROM ${schema}"inbox_parked"
    WHERE "consumer" = ?::text AND "wish" IS NOT NULL ORDER BY "topic", "partition", "offset" LIMIT ?::int`),

  /**
   * consumer, topic, key. The first parked message of a key, for whoever applies it. NOWAIT: another member has it in hand. Weaker than
   * FOR UPDATE, so that later messages need not wait for the handler to be put behind it.
   */
  head: statement(`SELECT ${parkedColumns}, "reason" FROM ${schema}"inbox_parked"
    WHERE "consumer" = ?::text AND "topic" = ?::text AND "key" = ?::bytea
    ORDER BY "partition", "offset" LIMIT 1 FOR NO KEY UPDATE NOWAIT`),

  /** consumer, topic, partition, offset. As head, for a message without a key. */
  single: statement(`SELECT ${parkedColumns}, "reason" FROM ${schema}"inbox_parked"
    WHERE "consumer" = ?::text AND "topic" = ?::text AND "partition" = ?::int AND "offset" = ?::bigint FOR NO KEY UPDATE NOWAIT`),

  /**
   * consumer, topic, partition, offset, consumer, id. A parked message was applied. Its row in the inbox begins a new life: copies of it are
   * known for the whole retention from now on. One row, else somebody else was quicker.
   */
  unpark: statement(`WITH gone AS (
      DELETE FROM ${schema}"inbox_parked" WHERE "consumer" = ?::text AND "topic" = ?::text AND "partition" = ?::int AND "offset" = ?::bigint
      RETURNING true
    )
    INSERT INTO ${schema}"inbox" ("consumer", "message_id") SELECT ?::text, ?::uuid FROM gone
    ON CONFLICT ("consumer", "message_id") DO UPDATE SET "processed_at" = clock_timestamp()`),

  /** consumer, topic, partition, offset. Drops a parked message by the wish of an operator. Its row in the inbox stays: no copy is applied. */
  discard: statement(`DELETE FROM ${schema}"inbox_parked"
    WHERE "consumer" = ?::text AND "topic" = ?::text AND "partition" = ?::int AND "offset" = ?::bigint AND "wish" = 'discard'`),

  /** reason, error, consumer, topic, partition, offset. A redriven message failed again. */
  failedAgain: statement(`UPDATE ${schema}"inbox_parked" SET "reason" = ?::text, "error" = ?::text, "attempts" = "attempts" + 1,
      "wish" = NULL, "wished_by" = NULL
    WHERE "consumer" = ?::text AND "topic" = ?::text AND "partition" = ?::int AND "offset" = ?::bigint`),

  /** consumer, topic, key. Answers the wishes for those behind it: they stay. */
  unwish: statement(`UPDATE ${schema}"inbox_parked" SET "wish" = NULL, "wished_by" = NULL
    WHERE "consumer" = ?::text AND "topic" = ?::text AND "key" = ?::bytea AND "wish" IS NOT NULL`),

  /** Nothing. Whether the tables are there. */
  look: statement(`SELECT FROM ${schema}"inbox", ${schema}"inbox_parked" LIMIT 0`),

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
