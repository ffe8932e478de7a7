import { type TableSet, type Tables, tablesOf } from '../message/tables.ts'
import { type Columns, type SqlRunner, statement } from '../prisma/statement.ts'
import { inThatTransaction } from '../prisma/transaction-id.ts'

// Keeps rules 22 and 23 of docs/protocol-application.md.

/** What can run the statements: a Prisma client inside or outside of a transaction. */
export type SqlClient = SqlRunner

/** Every statement of the inbox, for one set of tables. */
export type InboxStatements = ReturnType<typeof write>

const written = new Map<string, InboxStatements>()

/** The statements for that set of tables. */
export function inboxStatements({ schema, prefix }: TableSet): InboxStatements {
  const tables = tablesOf(schema, prefix)
  let found = written.get(tables.inbox)
  if (!found) {
    found = write(tables)
    written.set(tables.inbox, found)
  }
  return found
}

/** `offset` and `arrival` are longer than a JavaScript number. Order by `p."arrival"`: as text 10 comes before 9. */
const deadLetterColumns = `p."identity"::pg_catalog.text, p."topic", p."partition", p."offset"::pg_catalog.text, p."message_id"::pg_catalog.text, p."type",
  p."key", p."value", p."headers"`

const deadLetterTypes = {
  identity: 'text',
  topic: 'text',
  partition: 'int4',
  offset: 'text',
  message_id: 'text',
  type: 'text',
  key: 'bytea',
  value: 'bytea',
  headers: 'jsonb',
  action: 'text',
  by: 'text',
} as const satisfies Columns

/**
 * A write that happens in the transaction whose id is the first value, or not at all; it answers with a {@link GuardedAnswer}. `write` reads
 * `mine` and has the condition `yes`; `before` is a part of the WITH clause that it reads as well.
 */
const guarded = (write: string, before = '') =>
  statement(
    `WITH mine AS MATERIALIZED (SELECT ${inThatTransaction} AS yes), ${before}written AS (${write} RETURNING true)
    SELECT yes AS mine, (SELECT pg_catalog.count(*) FROM written)::pg_catalog.int4 AS rows FROM mine`,
    { mine: 'bool', rows: 'int4' },
  )

/** What a guarded write answers. */
export interface GuardedAnswer {
  /** False: the transaction was over, and nothing was written. */
  mine: boolean
  /** Rows written. */
  rows: number
}

const now = 'pg_catalog.clock_timestamp()'

/** Bytes of a key that a list gives. */
export const listedKeyBytes = 65_536

/** Lists of consumers and identities as rows: the names of dead-lettered messages. */
const namedRows = 'ROWS FROM (pg_catalog.unnest(?::pg_catalog.text[]), pg_catalog.unnest(?::pg_catalog.uuid[]))'

/** action, author, consumers, identities. An operator's request; `and`: what is written besides the action. */
const request = (inboxDead: string, and: string) =>
  statement(`UPDATE ${inboxDead} p SET "requested_action" = ?::pg_catalog.text${and}
    FROM (SELECT pg_catalog.set_config('outbox.requested_by', ?::pg_catalog.text, true) AS by) author
    WHERE author.by IS NOT NULL AND (p."consumer", p."identity") IN (SELECT consumer, identity FROM ${namedRows} AS n (consumer, identity))`)

/** Names are qualified: the application owns the search path. */
const write = ({ inbox, inboxDead, projection }: Tables) => ({
  /**
   * xid, consumer, id. One row: the caller is the first, and every other copy waits here until its transaction has ended. None: another was.
   */
  claim: guarded(`INSERT INTO ${inbox} ("consumer", "message_id")
    SELECT ?::pg_catalog.text, ?::pg_catalog.uuid FROM mine WHERE yes ON CONFLICT DO NOTHING`),

  /**
   * consumer, id, xid. As claim, where it is the last statement of a transaction and another's row may end it: unique_violation. It waits for
   * another copy just so, and takes about a fifth less time, since PostgreSQL need not be ready to go on. No row: the transaction was over.
   */
  claimLast: statement(`INSERT INTO ${inbox} ("consumer", "message_id")
    SELECT ?::pg_catalog.text, ?::pg_catalog.uuid WHERE ${inThatTransaction}`),

  /**
   * consumer, topic, ids, keys in base64. What is known of messages of one partition, in their order, before they are handled.
   * `known`: applied or dead-lettered before; only a hint, the claims decide. `blocked`: a message of its key is dead-lettered. That needs no second query
   * with the claim: an earlier message of the key that somebody else dead-letters meanwhile was not known here, so its claim fails first, and
   * everything is queried again.
   */
  seen: statement(
    `SELECT
      EXISTS (SELECT FROM ${inbox} i WHERE i."consumer" = m.consumer AND i."message_id" = m.id) AS known,
      EXISTS (SELECT FROM ${inboxDead} p
        WHERE p."consumer" = m.consumer AND p."topic" = m.topic AND p."key" = pg_catalog.decode(m.key, 'base64')) AS blocked
    FROM (SELECT ?::pg_catalog.text AS consumer, ?::pg_catalog.text AS topic, id, key, place
      FROM ROWS FROM (pg_catalog.unnest(?::pg_catalog.uuid[]), pg_catalog.unnest(?::pg_catalog.text[])) WITH ORDINALITY
        AS u (id, key, place)) m
    ORDER BY m.place`,
    { known: 'bool', blocked: 'bool' },
  ),

  /**
   * xid, consumer, ids. As claim for a batch: a row for each that is claimed. Sorted, so that two members with the same messages cannot wait
   * for each other in a circle.
   */
  claimAll: guarded(`INSERT INTO ${inbox} ("consumer", "message_id")
    SELECT ?::pg_catalog.text, m.id FROM mine, pg_catalog.unnest(?::pg_catalog.uuid[]) AS m (id) WHERE yes
    ORDER BY m.id ON CONFLICT DO NOTHING`),

  /**
   * xid, consumer, topic, key, consumer, id. As claim, for a message that goes behind a dead-lettered one of its key; no row also if there is none
   * any more. KEY SHARE keeps the dead-lettered row from being deleted before this transaction ends: the member that redrives the key then queries once more
   * and finds the message that was put behind. It does not wait for the handler of a redrive, only for the end of its transaction after the
   * row was deleted.
   */
  claimBlocked: guarded(
    `INSERT INTO ${inbox} ("consumer", "message_id")
      SELECT ?::pg_catalog.text, ?::pg_catalog.uuid FROM blocked, mine WHERE yes ON CONFLICT DO NOTHING`,
    `blocked AS MATERIALIZED (SELECT FROM ${inboxDead} p
      WHERE p."consumer" = ?::pg_catalog.text AND p."topic" = ?::pg_catalog.text AND p."key" = ?::pg_catalog.bytea
      LIMIT 1 FOR KEY SHARE), `,
  ),

  /**
   * xid, consumer, identity, topic, partition, offset, id, type, key, value, headers, reason, error, attempts. Puts a record aside behind
   * those that were put aside before it. No row: this very record is dead-lettered already.
   */
  deadLetter:
    guarded(`INSERT INTO ${inboxDead} ("consumer", "identity", "topic", "partition", "offset", "message_id", "type", "key",
      "value", "headers", "reason", "error", "attempts")
    SELECT ?::pg_catalog.text, ?::pg_catalog.uuid, ?::pg_catalog.text, ?::pg_catalog.int4, ?::pg_catalog.int8, ?::pg_catalog.uuid,
      ?::pg_catalog.text, ?::pg_catalog.bytea, ?::pg_catalog.bytea, ?::pg_catalog.jsonb, ?::pg_catalog.text, ?::pg_catalog.text,
      ?::pg_catalog.int4
    FROM mine WHERE yes ON CONFLICT ("consumer", "identity") DO NOTHING`),

  /** consumer, rows. Dead-lettered messages that an operator has a request for, oldest first. */
  requests: statement(
    `SELECT ${deadLetterColumns}, p."requested_action" AS action, p."requested_by" AS by FROM ${inboxDead} p
    WHERE p."consumer" = ?::pg_catalog.text AND p."requested_action" IS NOT NULL ORDER BY p."arrival" LIMIT ?::pg_catalog.int4`,
    deadLetterTypes,
  ),

  /**
   * consumer, topic, key. The first dead-lettered message of a key, for the member that applies it. NOWAIT: another member is applying it. Weaker
   * than FOR UPDATE, so that later messages need not wait for the handler to be put behind it.
   */
  head: statement(
    `SELECT ${deadLetterColumns}, p."reason", p."requested_action" AS action, p."requested_by" AS by FROM ${inboxDead} p
    WHERE p."consumer" = ?::pg_catalog.text AND p."topic" = ?::pg_catalog.text AND p."key" = ?::pg_catalog.bytea
    ORDER BY p."arrival" LIMIT 1 FOR NO KEY UPDATE NOWAIT`,
    { ...deadLetterTypes, reason: 'text' },
  ),

  /** consumer, identity. As head, for a message without a key. */
  single: statement(
    `SELECT ${deadLetterColumns}, p."reason", p."requested_action" AS action, p."requested_by" AS by FROM ${inboxDead} p
    WHERE p."consumer" = ?::pg_catalog.text AND p."identity" = ?::pg_catalog.uuid FOR NO KEY UPDATE NOWAIT`,
    { ...deadLetterTypes, reason: 'text' },
  ),

  /**
   * xid, consumer, identity, consumer, id. A dead-lettered message was applied. Its row in the inbox begins a new life: copies of it are known for
   * the whole retention from now on. One row, otherwise another member was quicker.
   */
  remove: guarded(
    `INSERT INTO ${inbox} ("consumer", "message_id") SELECT ?::pg_catalog.text, ?::pg_catalog.uuid FROM gone
      ON CONFLICT ("consumer", "message_id") DO UPDATE SET "processed_at" = ${now}`,
    `gone AS (DELETE FROM ${inboxDead} p USING mine
      WHERE yes AND p."consumer" = ?::pg_catalog.text AND p."identity" = ?::pg_catalog.uuid RETURNING true), `,
  ),

  /**
   * xid, by, consumer, topic, key, always. The request for a message that is gone goes on to the next of its key, in the same transaction:
   * otherwise nobody would take care of those behind it after a member that died in the middle. `always`: also to one with a failure of its
   * own. A request on any message of the key will do, so a row that an operator is writing to is passed by.
   */
  requestNext: guarded(`UPDATE ${inboxDead} p SET "requested_action" = 'redrive', "requested_by" = ?::pg_catalog.text
    FROM mine, (SELECT n."consumer", n."identity" FROM ${inboxDead} n
      WHERE n."consumer" = ?::pg_catalog.text AND n."topic" = ?::pg_catalog.text AND n."key" = ?::pg_catalog.bytea
      ORDER BY n."arrival" LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED) next
    WHERE yes AND p."consumer" = next."consumer" AND p."identity" = next."identity"
      AND p."requested_action" IS NULL AND (p."reason" IS NULL OR ?::pg_catalog.bool)`),

  /** xid, consumer, identity. Drops a dead-lettered message by the request of an operator. Its row in the inbox stays: no copy is applied. */
  discard: guarded(`DELETE FROM ${inboxDead} p USING mine
    WHERE yes AND p."consumer" = ?::pg_catalog.text AND p."identity" = ?::pg_catalog.uuid AND p."requested_action" = 'discard'`),

  /** reason, error, consumer, identity. A redriven message failed again. */
  failedAgain: statement(`UPDATE ${inboxDead} SET "reason" = ?::pg_catalog.text, "error" = ?::pg_catalog.text,
      "attempts" = "attempts" + 1, "requested_action" = NULL, "requested_by" = NULL
    WHERE "consumer" = ?::pg_catalog.text AND "identity" = ?::pg_catalog.uuid`),

  /** consumer, topic, key. Answers the requests for those behind it: they stay. */
  clearRequests: statement(`UPDATE ${inboxDead} SET "requested_action" = NULL, "requested_by" = NULL
    WHERE "consumer" = ?::pg_catalog.text AND "topic" = ?::pg_catalog.text AND "key" = ?::pg_catalog.bytea AND "requested_action" IS NOT NULL`),

  /**
   * consumer, identities, topic, key, reason, firsts, limit. Dead-lettered messages for an operator, by consumer, topic and arrival; null: any.
   * `firsts`: only those that were put aside for a reason of their own.
   */
  list: statement(`SELECT p."consumer", p."identity"::pg_catalog.text AS identity, p."topic", p."partition", p."offset"::pg_catalog.text AS offset,
      p."message_id"::pg_catalog.text AS "messageId", p."type", pg_catalog.substring(p."key", 1, ${listedKeyBytes}) AS key, p."reason", p."error",
      p."attempts", p."requested_action" AS "requestedAction", p."requested_by" AS "requestedBy",
      CASE WHEN pg_catalog.isfinite(p."died_at") THEN (extract(epoch FROM ${now} - p."died_at") * 1000)::pg_catalog.float8 ELSE 0 END AS "diedMs"
    FROM ${inboxDead} p, (SELECT ?::pg_catalog.text AS consumer, ?::pg_catalog.uuid[] AS identities, ?::pg_catalog.text AS topic,
      ?::pg_catalog.bytea AS key, ?::pg_catalog.text AS reason, ?::pg_catalog.bool AS firsts) w
    WHERE (w.consumer IS NULL OR p."consumer" = w.consumer) AND (w.identities IS NULL OR p."identity" = ANY (w.identities))
      AND (w.topic IS NULL OR p."topic" = w.topic) AND (w.key IS NULL OR p."key" = w.key) AND (w.reason IS NULL OR p."reason" = w.reason)
      AND (NOT w.firsts OR p."reason" IS NOT NULL)
    ORDER BY p."consumer", p."topic", p."arrival" LIMIT ?::pg_catalog.int4`),

  /** table, table. Whether the role has to write who asks, because the trigger of the migration is missing, and may. */
  namesAuthor: statement(`SELECT pg_catalog.has_column_privilege(?::pg_catalog.text, 'requested_by', 'UPDATE') AND NOT EXISTS
    (SELECT FROM pg_catalog.pg_trigger WHERE tgrelid = ?::pg_catalog.regclass AND tgname = 'inbox_dead_letter_request') AS names`),

  /** action, author, consumers, identities. An operator's request. The trigger of the migration writes who asks. */
  request: request(inboxDead, ''),

  /** As request, for a table without the trigger. */
  requestNamed: request(inboxDead, `, "requested_by" = session_user || ' (' || author.by || ')'`),

  /**
   * consumers, identities, topics, keys in base64. How many of these messages are there still (`there`), and how many requests stand for them
   * and for those of their keys (`open`), and where (`at`): as long as that changes, somebody is at work.
   */
  answers: statement(`WITH asked AS MATERIALIZED (SELECT consumer, identity, topic, pg_catalog.decode(key, 'base64') AS key
      FROM ROWS FROM (pg_catalog.unnest(?::pg_catalog.text[]), pg_catalog.unnest(?::pg_catalog.uuid[]), pg_catalog.unnest(?::pg_catalog.text[]),
        pg_catalog.unnest(?::pg_catalog.text[])) AS u (consumer, identity, topic, key)),
    found AS (SELECT p."arrival", p."requested_action" AS action,
        (p."consumer", p."identity") IN (SELECT consumer, identity FROM asked) AS named,
        (p."consumer", p."topic", p."key") IN (SELECT consumer, topic, key FROM asked WHERE key IS NOT NULL) AS behind
      FROM ${inboxDead} p)
    SELECT (pg_catalog.count(*) FILTER (WHERE named))::pg_catalog.int4 AS there, pg_catalog.count(action)::pg_catalog.int4 AS open,
      coalesce(pg_catalog.md5(pg_catalog.string_agg("arrival"::pg_catalog.text, ' ' ORDER BY "arrival") FILTER (WHERE action IS NOT NULL)), '') AS at
    FROM found WHERE named OR behind`),

  /** name. How far a projection has come in each partition, and of which topic by Kafka's id. */
  positions: statement(
    `SELECT "topic", "partition", "next_offset"::text AS next, "topic_id" AS "topicId" FROM ${projection} WHERE "name" = ?::text`,
    { topic: 'text', partition: 'int4', next: 'text', topicId: 'text' },
  ),

  /**
   * name, topic, partition. The first offset that is not applied, and the id of the transaction for `movePosition`; locks the row, and makes it where
   * there is none. It may arrive late, in another transaction: it changes nothing there, and `movePosition` is not called then.
   */
  lockPosition: statement(
    `INSERT INTO ${projection} AS p ("name", "topic", "partition", "next_offset")
    VALUES (?::text, ?::text, ?::int, 0) ON CONFLICT ("name", "topic", "partition") DO UPDATE SET "next_offset" = p."next_offset"
    RETURNING p."next_offset"::text AS next, pg_catalog.pg_current_xact_id()::text AS xid`,
    { next: 'text', xid: 'text' },
  ),

  /** offset, topic id, name, topic, partition, transaction id. Moves the position on; no row in another transaction than that of `lockPosition`. */
  movePosition: statement(`UPDATE ${projection}
    SET "next_offset" = ?::bigint, "topic_id" = coalesce(?::text, "topic_id"), "moved_at" = clock_timestamp()
    WHERE "name" = ?::text AND "topic" = ?::text AND "partition" = ?::int AND ${inThatTransaction}`),

  /** Nothing. Whether the tables are there, and the database answers. */
  ready: statement(`SELECT FROM ${inbox}, ${inboxDead} LIMIT 0`),

  /**
   * consumer, milliseconds, consumer, rows. Deletes what is older; not what is still dead-lettered, or a late copy of it would be applied before
   * it is redriven. By ctid, so that one pass reads as many rows as it deletes.
   */
  prune: statement(`DELETE FROM ${inbox} WHERE ctid = ANY (ARRAY(
    SELECT i.ctid FROM ${inbox} i
    WHERE i."consumer" = ?::pg_catalog.text
      AND i."processed_at" < ${now} - ?::pg_catalog.float8 * pg_catalog.make_interval(secs => 0.001)
      AND NOT EXISTS (SELECT FROM ${inboxDead} p WHERE p."consumer" = ?::pg_catalog.text AND p."identity" = i."message_id")
    ORDER BY i."processed_at" LIMIT ?::pg_catalog.int4))`),
})
