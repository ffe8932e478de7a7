import { digestBytes } from '../../message/key-digest.ts'
import type { Tables } from '../../message/tables.ts'
import type { BlockedKeyPosition, Lease, Refusal, RowName } from '../store.ts'
import { bytes, columns, columnsOf, integers, lastDrawn, literal, maxId, strayIds, uuids } from './sql.ts'

/** Rows that one discard drops: few enough to end well within a lease. */
const discardRows = 1_000

/** Dead rows, and bytes of their keys, that one portion of blocked keys reads: some 20 ms, since heartbeats wait for it. */
const holdRows = 10_000
const holdBytes = 67_108_864

/** Before the first row of a bucket. */
const firstPlace = { id: '-9223372036854775808', messageId: '00000000-0000-0000-0000-000000000000' }

/** Rows with ids that no relay can carry, below and above, that one statement dead-letters. */
const strayRows = 500

/**
 * Statements that move rows between outbox and outbox_dead_letter. Each locks the lease row against a take-over until it ends: a mere EXISTS
 * would let a slow statement finish after one.
 *
 * A row with an id above the last one that `sequence` has drawn is from before the ids restarted (rule 7 of docs/protocol.md): it comes
 * before the other rows of its key.
 * Keeps rules 11, 13 and 14 of docs/protocol.md.
 */
export function deadStatements({ outbox, lease, dead }: Tables, me: { id: string; name: string }, sequence: string) {
  const mine = ({ bucket, epoch }: Lease) => `mine AS MATERIALIZED (
  SELECT "bucket" FROM ${lease} WHERE "bucket" = ${bucket} AND "owner" = '${me.id}'::uuid AND "epoch" = ${epoch} FOR SHARE)`
  const isMine = '(SELECT count(*) FROM mine)::int AS mine'
  /** Rows behind which later ones of their key wait. */
  const holding = (alias: string) => `(${alias}."blocks_key" AND ${alias}."key" IS NOT NULL)`

  /** Read after the snapshot was taken: no row that is seen is newer. */
  const last = `last AS MATERIALIZED (SELECT ${lastDrawn} AS id FROM ${sequence})`
  /** Keys of a table that have rows from before. */
  const keysBefore = (table: string, bucket: number | string) =>
    `SELECT b."topic", b."key" FROM ${table} AS b WHERE b."bucket" = ${bucket} AND b."id" > (SELECT id FROM last) AND b."id" <= ${maxId} AND b."key" IS NOT NULL`

  /** As `keyDigest` makes it. */
  const digest = (alias: string) =>
    `substring(sha256(convert_to(${alias}."topic", 'UTF8') || ${bytes(Buffer.from('\n'))} || ${alias}."key"), 1, ${digestBytes})`

  /** First dead row of keys that wait, and which rows of the key go on: those put back from before the ids restarted. */
  const heads = (buckets: readonly number[], condition: string, more = '') => `WITH ${last}${more},
heads AS MATERIALIZED (SELECT d."bucket", d."topic", d."key", min(d."id") AS id, min(d."id") FILTER (WHERE d."id" > (SELECT id FROM last)) AS before
  FROM ${dead} AS d WHERE d."bucket" = ANY(${integers(buckets, 'smallint')}) AND ${holding('d')} AND ${condition} GROUP BY 1, 2, 3)
SELECT h."bucket" AS bucket, ${digest('h')} AS digest, CASE WHEN g.id < h.before THEN h.before ELSE h.id END AS id,
  CASE WHEN g.id < h.before OR h.before IS NULL THEN g.id::text WHEN h.id = h.before THEN 'Infinity' END AS from,
  CASE WHEN g.id < h.before OR h.before IS NULL THEN least(g.last, h.before)::text WHEN h.id = h.before THEN 'Infinity' END AS to
FROM heads AS h LEFT JOIN LATERAL (SELECT min(o."id") AS id, max(o."id") AS last FROM ${outbox} AS o WHERE o."bucket" = h."bucket" AND o."id" > (SELECT id FROM last) AND o."id" <= ${maxId}
  AND o."topic" = h."topic" AND o."key" = h."key") AS g ON true`

  return {
    /** A portion of the dead rows that block their key. Each row is read by the primary key, whether it blocks one or not: `digest` is NULL then. */
    blockedKeys: (buckets: readonly number[], from: BlockedKeyPosition | undefined) => {
      const rest = buckets.filter((bucket) => !from || bucket >= from.bucket).sort((a, b) => a - b)
      const places = rest.map((bucket) => (from?.bucket === bucket ? from : firstPlace))
      const ids = `'{${places.map(({ id }) => id)}}'::bigint[]`
      return `SELECT y.b AS bucket, y."id" AS id, y."message_id" AS "messageId", y.read >= ${holdRows} OR y.read < y.found AS more,
  CASE WHEN ${holding('y')} THEN ${digest('y')} END AS digest
  FROM (SELECT x.*, count(*) OVER () AS found, count(*) FILTER (WHERE x.before < ${holdBytes}) OVER () AS read
    FROM (SELECT p.*, coalesce(sum(octet_length(p."key")) OVER w, 0) - coalesce(octet_length(p."key"), 0) AS before
      FROM (SELECT o.b, d.* FROM unnest(${integers(rest, 'smallint')}, ${ids}, ${uuids(places.map(({ messageId }) => messageId))}) AS o(b, i, m)
        CROSS JOIN LATERAL (SELECT r."id", r."message_id", r."topic", r."key", r."blocks_key" FROM ${dead} AS r
          WHERE r."bucket" = o.b AND (r."id", r."message_id") > (o.i, o.m) ORDER BY r."id", r."message_id" LIMIT ${holdRows}) AS d
        LIMIT ${holdRows}) AS p
      WINDOW w AS (ORDER BY p.b, p."id", p."message_id" ROWS UNBOUNDED PRECEDING)) AS x) AS y
  WHERE y.before < ${holdBytes} ORDER BY y.b, y."id", y."message_id"`
    },

    /** Blocked keys with rows from before the ids restarted, and which rows of them go on: those put back. Mostly none is read. */
    restartedBlockedKeys: (buckets: readonly number[]) => {
      const any = `ANY(${integers(buckets, 'smallint')})`
      return heads(
        buckets,
        `(d."topic", d."key") IN (SELECT * FROM before) AND (SELECT count(*) FROM before) > 0`,
        `,
before AS MATERIALIZED (${keysBefore(dead, any)} UNION ${keysBefore(outbox, any)})`,
      )
    },

    /** First dead row of some keys of a bucket. One pass over its dead rows. */
    blockedKeysOf: (bucket: number, digests: readonly string[]) =>
      heads([bucket], `${digest('d')} = ANY(ARRAY[${digests.map((one) => bytes(Buffer.from(one, 'latin1')))}])`),

    /** Dead-letters one row. The answer counts a row that stands in outbox_dead_letter already: an earlier dead-letter whose answer was lost. */
    deadLetter: (of: Lease, row: { id: number; messageId: string }, why: Refusal) => {
      const it = `"bucket" = ${of.bucket} AND "id" = ${row.id} AND "message_id" = '${row.messageId}'::uuid`
      return `WITH ${mine(of)},
gone AS (DELETE FROM ${outbox} WHERE ${it} AND "bucket" IN (SELECT "bucket" FROM mine) RETURNING ${columns}),
kept AS (INSERT INTO ${dead} (${columns}, "reason", "error", "relay", "blocks_key")
  SELECT ${columns}, ${literal(why.reason)}, ${literal(why.error)}, ${literal(me.name)}, ${why.blocksKey} FROM gone ON CONFLICT DO NOTHING RETURNING "id")
SELECT ${isMine}, ARRAY(SELECT "id" FROM kept UNION SELECT "id" FROM ${dead} WHERE ${it})::text[] AS ids`
    },

    /** Moves rows behind the dead row that heads their key, only while it is there. The head is named by its id: a search by key would read the bucket. */
    moveBlocked: (of: Lease, rows: readonly (RowName & { head: number })[]) => {
      const ids = (values: readonly number[]) => integers(values, 'bigint')
      return `WITH ${mine(of)},
gone AS (DELETE FROM ${outbox} AS m USING unnest(${ids(rows.map((row) => row.id))}, ${uuids(rows.map((row) => row.messageId))},
    ${ids(rows.map((row) => row.head))}) AS n(i, m, h)
  WHERE m."bucket" = ${of.bucket} AND m."id" = n.i AND m."message_id" = n.m AND m."bucket" IN (SELECT "bucket" FROM mine)
  AND EXISTS (SELECT 1 FROM ${dead} AS d WHERE d."bucket" = m."bucket" AND d."id" = n.h AND d."topic" = m."topic"
    AND d."key" = m."key" AND ${holding('d')})
  RETURNING ${columnsOf('m')}),
kept AS (INSERT INTO ${dead} (${columns}, "relay") SELECT ${columns}, ${literal(me.name)} FROM gone ON CONFLICT DO NOTHING)
SELECT ${isMine}, ARRAY(SELECT "id" FROM gone)::text[] AS ids`
    },

    /** Buckets with requests, and with stray rows: some probes of an index for each. */
    requested: (buckets: readonly number[]) => `SELECT b AS bucket, w AS action
  FROM unnest(${integers(buckets, 'smallint')}) AS b CROSS JOIN (VALUES ('discard'), ('redrive')) AS v(w)
  WHERE EXISTS (SELECT 1 FROM ${dead} AS d WHERE d."requested_action" = w AND d."bucket" = b)
UNION ALL SELECT b, 'dead-letter' FROM unnest(${integers(buckets, 'smallint')}) AS b
  WHERE ${strayIds('o')
    .map((stray) => `EXISTS (SELECT 1 FROM ${outbox} AS o WHERE o."bucket" = b AND ${stray})`)
    .join(' OR ')}`,

    /**
     * Dead-letters rows whose ids no relay can carry: none reads them. They get the id 1, which none of their key waits behind, and with which
     * they can be redriven. Of rows with one message id the first; the others follow when that one is gone.
     */
    deadLetterStrays: (of: Lease) => `WITH ${mine(of)},
stray AS MATERIALIZED (SELECT DISTINCT ON (s."message_id") s.* FROM (${strayIds('o')
      .map(
        (stray) =>
          `(SELECT o.* FROM ${outbox} AS o WHERE o."bucket" = ${of.bucket} AND ${stray} ORDER BY o."id" LIMIT ${strayRows})`,
      )
      .join(' UNION ALL ')}) AS s ORDER BY s."message_id", s."id"),
kept AS (INSERT INTO ${dead} (${columns}, "reason", "error", "relay", "blocks_key")
  SELECT ${columnsOf('s').replace('s."id"', '1')}, 'INVALID_RECORD', 'Its id ' || s."id" || ' is not between 1 and 2^53 - 1; it has the id 1 here.',
    ${literal(me.name)}, false FROM stray AS s, mine ON CONFLICT DO NOTHING RETURNING "message_id", "topic", "error"),
gone AS (DELETE FROM ${outbox} AS m USING stray AS s JOIN kept AS k USING ("message_id")
  WHERE m."bucket" = ${of.bucket} AND m."id" = s."id" AND m."message_id" = s."message_id")
SELECT ${isMine}, coalesce((SELECT json_agg(k) FROM (SELECT "message_id" AS "messageId", left("topic", 250) AS topic, "error" AS error FROM kept) AS k), '[]') AS rows`,

    /**
     * Moves what the first `asked` requests of a bucket ask for back to the outbox under the old ids: whole keys in id order, and single rows
     * that hold nothing. More than one portion is moved only if a single key is asked for; its next row carries the request on. A key one of
     * whose ids another message has in the outbox stays, as after a failover that lost commits. Of a key with rows from before the ids
     * restarted these come first, the others when they have left the outbox. Where two rows have one id, those written after the first
     * of them wait for the next portion. One pass over the bucket, whatever it asks for: CASE keeps the planner from a search for each key.
     */
    redrive: (of: Lease, { asked, rows }: { asked: number; rows: number }) => `WITH ${mine(of)}, ${last},
before AS MATERIALIZED (${keysBefore(dead, of.bucket)} AND ${holding('b')}),
going AS MATERIALIZED (${keysBefore(outbox, of.bucket)}),
asked AS MATERIALIZED (SELECT d."id", d."message_id", d."topic", d."key", d."requested_by", ${holding('d')} AS blocked FROM ${dead} AS d
  WHERE d."requested_action" = 'redrive' AND d."bucket" = ${of.bucket} ORDER BY d."id", d."message_id" LIMIT ${asked}),
line AS MATERIALIZED (SELECT d."id", d."message_id", d."topic", d."key", d."created_at", ${holding('d')} AS blocked,
    EXISTS (SELECT 1 FROM ${outbox} AS o WHERE o."bucket" = d."bucket" AND o."id" = d."id") AS clash,
    EXISTS (SELECT 1 FROM ${outbox} AS o WHERE o."bucket" = d."bucket" AND o."id" = d."id" AND (o."topic", o."key") IS DISTINCT FROM (d."topic", d."key")) AS taken
  FROM ${dead} AS d WHERE d."bucket" = ${of.bucket} AND CASE WHEN ${holding('d')}
    THEN (d."topic", d."key") IN (SELECT "topic", "key" FROM asked WHERE blocked) AND CASE WHEN (d."topic", d."key") IN (SELECT * FROM before)
      THEN d."id" > (SELECT id FROM last) ELSE (d."topic", d."key") NOT IN (SELECT * FROM going) END
    ELSE (d."id", d."message_id") IN (SELECT "id", "message_id" FROM asked WHERE NOT blocked) END
  ORDER BY d."bucket", d."id", d."message_id" LIMIT ${rows + 1}),
numbered AS MATERIALIZED (SELECT *, row_number() OVER (PARTITION BY "id" ORDER BY "created_at", "message_id") > 1 AS twice FROM line),
sorted AS MATERIALIZED (SELECT *, coalesce("created_at" >= min("created_at") FILTER (WHERE twice) OVER (), false) AS later FROM numbered),
placed AS MATERIALIZED (SELECT *, row_number() OVER (ORDER BY later, "id", "message_id") AS place,
  count(*) OVER () > ${rows} OR bool_or(later) OVER () OR EXISTS (SELECT FROM asked WHERE blocked AND ("topic", "key") IN (SELECT * FROM before)) AS cut FROM sorted),
gone AS (DELETE FROM ${dead} AS d USING placed AS p, mine WHERE d."bucket" = ${of.bucket} AND d."id" = p."id" AND d."message_id" = p."message_id"
  AND p.place <= ${rows} AND NOT p.later AND (${asked === 1} OR NOT p.cut)
  AND CASE WHEN p.blocked THEN (p."topic", p."key") NOT IN (SELECT "topic", "key" FROM line WHERE blocked AND clash) ELSE NOT p.clash END
  RETURNING ${columnsOf('d')}, p.blocked, d."requested_by"),
back AS (INSERT INTO ${outbox} (${columns}) SELECT ${columns} FROM gone),
rest AS (SELECT "id", "message_id" FROM (
    (SELECT p."id", p."message_id", p.place FROM placed AS p WHERE p.place > ${rows} OR p.later ORDER BY p.place LIMIT 1) UNION ALL
    (SELECT d."id", d."message_id", ${rows + 2} FROM ${dead} AS d WHERE EXISTS (SELECT FROM before) AND d."bucket" = ${of.bucket} AND ${holding('d')} AND d."id" <= (SELECT id FROM last)
      AND (d."topic", d."key") IN (SELECT "topic", "key" FROM asked WHERE blocked INTERSECT SELECT * FROM before) ORDER BY d."id", d."message_id" LIMIT 1)
  ) AS r ORDER BY place LIMIT 1),
next AS (UPDATE ${dead} AS d SET "requested_action" = 'redrive', "requested_by" = (SELECT max("requested_by") FROM asked) FROM rest AS r
  WHERE d."bucket" = ${of.bucket} AND d."id" = r."id" AND d."message_id" = r."message_id"
  AND EXISTS (SELECT 1 FROM gone) RETURNING d."id")
SELECT ${isMine}, coalesce((SELECT bool_or(cut) FROM placed), false) AND ${asked > 1} AS "tooMany",
  ARRAY(SELECT DISTINCT "topic" FROM line WHERE taken) AS clashes,
  coalesce((SELECT json_agg(t) FROM (SELECT "topic" AS topic, count(*) AS rows, count(DISTINCT "key") FILTER (WHERE blocked) + count(*) FILTER (WHERE NOT blocked) AS keys,
    min("id") AS "firstId", max("id") AS "lastId", string_agg(DISTINCT "requested_by", ', ') AS by FROM gone GROUP BY 1) AS t), '[]') AS topics,
  coalesce((SELECT json_agg(k) FROM (SELECT "topic" AS topic, encode("key", 'hex') AS key, (SELECT "id" FROM next) AS next,
    CASE WHEN max("id") >= (SELECT "id" FROM next) THEN min("id")::text END AS from, CASE WHEN max("id") >= (SELECT "id" FROM next) THEN max("id")::text END AS to
    FROM gone WHERE blocked GROUP BY 1, "key") AS k), '[]') AS keys`,

    /** Drops rows; a key whose head is dropped is to be redriven from the next one on. */
    discard: (of: Lease) => `WITH ${mine(of)}, ${last},
gone AS (DELETE FROM ${dead} AS d USING mine WHERE d."bucket" = ${of.bucket} AND (d."id", d."message_id") IN (
    SELECT w."id", w."message_id" FROM ${dead} AS w WHERE w."requested_action" = 'discard' AND w."bucket" = ${of.bucket} ORDER BY w."id" LIMIT ${discardRows})
  RETURNING d."id", d."message_id", d."topic", d."key", ${holding('d')} AS blocked, d."requested_by"),
keys AS (SELECT "topic", "key", min("id") AS dropped, max("requested_by") AS by FROM gone WHERE blocked GROUP BY 1, 2),
heads AS (SELECT d."topic", d."key", coalesce(min(d."id") FILTER (WHERE d."id" > (SELECT id FROM last)), min(d."id")) AS "id" FROM ${dead} AS d WHERE d."bucket" = ${of.bucket} AND ${holding('d')}
  AND CASE WHEN EXISTS (SELECT 1 FROM keys) THEN (d."topic", d."key") IN (SELECT "topic", "key" FROM keys)
    AND (d."id", d."message_id") NOT IN (SELECT "id", "message_id" FROM gone) ELSE false END GROUP BY 1, 2),
next AS (UPDATE ${dead} AS d SET "requested_action" = 'redrive', "requested_by" = k.by FROM heads AS h JOIN keys AS k USING ("topic", "key")
  WHERE d."bucket" = ${of.bucket} AND d."id" = h."id" AND d."topic" = h."topic" AND d."key" = h."key" AND d."requested_action" IS NULL
  AND (h."id" > k.dropped OR k.dropped > (SELECT id FROM last) AND h."id" <= (SELECT id FROM last)))
SELECT ${isMine},
  coalesce((SELECT json_agg(g ORDER BY g.id) FROM (SELECT "id" AS id, "message_id" AS "messageId", "topic" AS topic, "requested_by" AS by FROM gone) AS g), '[]') AS rows,
  coalesce((SELECT json_agg(k) FROM (SELECT "topic" AS topic, encode("key", 'hex') AS key, heads."id" AS next,
    CASE WHEN heads."id" > (SELECT id FROM last) THEN 'Infinity' END AS from, CASE WHEN heads."id" > (SELECT id FROM last) THEN 'Infinity' END AS to FROM keys LEFT JOIN heads USING ("topic", "key")) AS k), '[]') AS keys`,
  }
}
