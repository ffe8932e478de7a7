import { quote, statement } from '../enqueue/insert.ts'
import { inThatTransaction } from '../enqueue/transaction-id.ts'

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

/** To be sorted by the names of the table: `offset` alone is the text of the answer, and text sorts 10 before 9. */
const parkedColumns = '"topic", "partition", "offset"::text, "message_id"::text, "type", "key", "value", "headers"'

const write = (schema: string) => ({
  /**
   * consumer, id. One row: the caller is the first, and every other copy waits here until its transaction has ended. None: another was.
   */
  claim: statement(`INSERT INTO ${schema}"inbox" ("consumer", "message_id") VALUES (?::text, ?::uuid) ON CONFLICT DO NOTHING`),

  /**
   * consumer, id. As claim, where it is the last statement of a transaction and another's row may end it: unique_violation. It waits for
   * another copy just so, and takes about a fifth less time, since PostgreSQL need not be ready to go on.
   */
  claimLast: statement(`INSERT INTO ${schema}"inbox" ("consumer", "message_id") VALUES (?::text, ?::uuid)`),

  /**
   * consumer, topic, ids, keys in base64. What is known of messages of one partition, in their order, before they are handled.
   * `known`: applied or parked before; only a hint, the claims decide. `held`: a message of its key is parked. That needs no second look
   * with the claim: an earlier message of the key that somebody else parks meanwhile was not known here, so its claim fails first, and
   * everything is looked up again.
   */
  look: statement(`SELECT
      EXISTS (SELECT FROM ${schema}"inbox" i WHERE i."consumer" = m.consumer AND i."message_id" = m.id) AS known,
      EXISTS (SELECT FROM ${schema}"inbox_parked" p
        WHERE p."consumer" = m.consumer AND p."topic" = m.topic AND p."key" = decode(m.key, 'base64')) AS held
    FROM (SELECT ?::text AS consumer, ?::text AS topic, id, key, place
      FROM unnest(?::uuid[], ?::text[]) WITH ORDINALITY AS u (id, key, place)) m
    ORDER BY m.place`),

  /**
   * consumer, ids. As claim for a batch: a row for each that is claimed. Sorted, so that two members with the same messages cannot wait for
   * each other in a circle.
   */
  claimAll: statement(`INSERT INTO ${schema}"inbox" ("consumer", "message_id") SELECT ?::text, id FROM unnest(?::uuid[]) AS m (id)
    ORDER BY id ON CONFLICT DO NOTHING`),

  /**
   * consumer, topic, key, consumer, id. As claim, for a message that goes behind a parked one of its key; no row also where there is none
   * any more. KEY SHARE keeps the parked row from being deleted before this transaction ends: whoever redrives the key then looks once more
   * and finds what was put behind. It does not wait for the handler of a redrive, only for the end of its transaction after the row was
   * deleted.
   */
  claimBehind: statement(`WITH held AS MATERIALIZED (SELECT FROM ${schema}"inbox_parked" p
      WHERE p."consumer" = ?::text AND p."topic" = ?::text AND p."key" = ?::bytea LIMIT 1 FOR KEY SHARE)
    INSERT INTO ${schema}"inbox" ("consumer", "message_id") SELECT ?::text, ?::uuid FROM held ON CONFLICT DO NOTHING`),

  /** consumer, topic, partition, offset, id, type, key, value, headers, reason, error, attempts. Puts a record aside; twice is once. */
  park: statement(`INSERT INTO ${schema}"inbox_parked" ("consumer", "topic", "partition", "offset", "message_id", "type", "key", "value",
      "headers", "reason", "error", "attempts")
    VALUES (?::text, ?::text, ?::int, ?::bigint, ?::uuid, ?::text, ?::bytea, ?::bytea, ?::jsonb, ?::text, ?::text, ?::int)
    ON CONFLICT DO NOTHING`),

  /** consumer, rows. Parked messages that an operator has a wish for, oldest first. */
  wishes: statement(`SELECT ${parkedColumns}, "wish", "wished_by" AS by FROM ${schema}"inbox_parked" p
    WHERE "consumer" = ?::text AND "wish" IS NOT NULL ORDER BY p."topic", p."partition", p."offset" LIMIT ?::int`),

  /**
   * consumer, topic, key. The first parked message of a key, for whoever applies it. NOWAIT: another member has it in hand. Weaker than
   * FOR UPDATE, so that later messages need not wait for the handler to be put behind it.
   */
  head: statement(`SELECT ${parkedColumns}, "reason", "wish", "wished_by" AS by FROM ${schema}"inbox_parked" p
    WHERE "consumer" = ?::text AND "topic" = ?::text AND "key" = ?::bytea
    ORDER BY p."partition", p."offset" LIMIT 1 FOR NO KEY UPDATE NOWAIT`),

  /** consumer, topic, partition, offset. As head, for a message without a key. */
  single: statement(`SELECT ${parkedColumns}, "reason", "wish", "wished_by" AS by FROM ${schema}"inbox_parked"
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

  /**
   * by, consumer, topic, key, always. The wish for a message that is gone goes on to the next of its key, in the same transaction: else nobody
   * would take care of those behind it after a member that died in the middle. `always`: also to one with a failure of its own. A wish on any
   * message of the key will do, so a row that an operator is writing to is passed by.
   */
  passOn: statement(`UPDATE ${schema}"inbox_parked" p SET "wish" = 'redrive', "wished_by" = ?::text
    FROM (SELECT n."consumer", n."topic", n."partition", n."offset" FROM ${schema}"inbox_parked" n
      WHERE n."consumer" = ?::text AND n."topic" = ?::text AND n."key" = ?::bytea
      ORDER BY n."partition", n."offset" LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED) next
    WHERE (p."consumer", p."topic", p."partition", p."offset") = (next."consumer", next."topic", next."partition", next."offset")
      AND p."wish" IS NULL AND (p."reason" IS NULL OR ?::boolean)`),

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

  /** name. How far a projection has come in each partition, and of which topic by Kafka's id. */
  places: statement(
    `SELECT "topic", "partition", "next_offset"::text AS next, "topic_id" AS "topicId" FROM ${schema}"inbox_projection" WHERE "name" = ?::text`,
  ),

  /**
   * name, topic, partition. The first offset that is not applied, and the id of the transaction for `move`; locks the row, and makes it where
   * there is none. It may arrive late, in another transaction: it changes nothing there, and `move` is not called then.
   */
  place: statement(`INSERT INTO ${schema}"inbox_projection" AS p ("name", "topic", "partition", "next_offset")
    VALUES (?::text, ?::text, ?::int, 0) ON CONFLICT ("name", "topic", "partition") DO UPDATE SET "next_offset" = p."next_offset"
    RETURNING p."next_offset"::text AS next, pg_catalog.pg_current_xact_id()::text AS xid`),

  /** offset, topic id, name, topic, partition, transaction id. Moves the place on; no row in another transaction than that of `place`. */
  move: statement(`UPDATE ${schema}"inbox_projection"
    SET "next_offset" = ?::bigint, "topic_id" = coalesce(?::text, "topic_id"), "moved_at" = clock_timestamp()
    WHERE "name" = ?::text AND "topic" = ?::text AND "partition" = ?::int AND ${inThatTransaction}`),

  /** Nothing. Whether the tables are there. */
  ready: statement(`SELECT FROM ${schema}"inbox", ${schema}"inbox_parked" LIMIT 0`),

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
