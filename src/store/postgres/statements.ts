import { bucketCount } from '../../message/key.ts'
import { wakeChannel } from '../../message/wake.ts'

/** Quotes an identifier. */
export const identifier = (name: string): string => `"${name.replaceAll('"', '""')}"`

/** Quotes a text. E'' and doubled backslashes hold whatever standard_conforming_strings says. */
export const literal = (text: string): string => `E'${text.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`

const integers = (values: readonly number[], type: 'smallint' | 'bigint'): string => `'{${values.join(',')}}'::${type}[]`
const uuids = (values: readonly string[]): string => `'{${values.join(',')}}'::uuid[]`
const bytes = (value: Uint8Array): string => `'\\x${Buffer.from(value).toString('hex')}'::bytea`
const milliseconds = (ms: number): string => `interval '${Math.round(ms)} milliseconds'`

/** Names of the tables in SQL, quoted and with their schema. */
export interface Tables {
  outbox: string
  lease: string
  relay: string
  dead: string
}

/** The tables of a PostgreSQL schema. */
export const tablesOf = (schema: string): Tables => ({
  outbox: `${identifier(schema)}."outbox"`,
  lease: `${identifier(schema)}."outbox_lease"`,
  relay: `${identifier(schema)}."outbox_relay"`,
  dead: `${identifier(schema)}."outbox_dead"`,
})

const columns = '"bucket", "id", "message_id", "topic", "type", "key", "value", "headers", "created_at"'
const columnsOf = (alias: string): string => columns.replaceAll('"bucket"', `${alias}."bucket"`).replaceAll(', "', `, ${alias}."`)

/** Rows of one redrive statement: small enough to end well within a lease. */
const redriveChunk = 1000

/**
 * Every statement of the relay. They are sent as simple queries without parameters, several in one message, because that is an implicit
 * transaction: settings last exactly as long as the statement, which no prepared statement and no session setting does behind a pooler
 * in transaction mode. All values are numbers, UUIDs and bytes written by this file, or texts through {@link literal}.
 */
export function statements(tables: Tables, me: { id: string; name: string; version: string; leaseMs: number }) {
  const { outbox, lease, relay, dead } = tables
  const owner = `'${me.id}'::uuid`
  const leaseTime = milliseconds(me.leaseMs)

  /** The lease row, locked against a take-over until the statement ends. A mere EXISTS would let a slow statement finish after one. */
  const mine = (bucket: number, epoch: number) => `mine AS MATERIALIZED (
  SELECT "bucket" FROM ${lease} WHERE "bucket" = ${bucket} AND "owner" = ${owner} AND "epoch" = ${epoch} FOR SHARE)`

  /** Adds (bucket, epoch) pairs of leases as a table `l(b, e)`. */
  const pairs = (leases: readonly { bucket: number; epoch: number }[]) =>
    `unnest(${integers(
      leases.map((one) => one.bucket),
      'smallint',
    )}, ${integers(
      leases.map((one) => one.epoch),
      'bigint',
    )}) AS l(b, e)`

  const names = (rows: readonly { bucket: number; id: number; messageId: string }[]) =>
    `unnest(${integers(
      rows.map((row) => row.bucket),
      'smallint',
    )}, ${integers(
      rows.map((row) => row.id),
      'bigint',
    )}, ${uuids(rows.map((row) => row.messageId))}) AS n(b, i, m)`

  return {
    /** Heartbeat; withdrawn relays remove it. The missing lease rows of `prisma db push` or a truncating test are put in. */
    beat: (alive: boolean, ackedMsAgo: number | null) => {
      const acked = ackedMsAgo === null ? 'NULL::timestamptz' : `clock_timestamp() - ${milliseconds(ackedMsAgo)}`
      const write = alive
        ? `INSERT INTO ${relay} AS r ("id", "name", "version", "seen_at", "acked_at")
  VALUES (${owner}, ${literal(me.name)}, ${literal(me.version)}, clock_timestamp(), ${acked})
  ON CONFLICT ("id") DO UPDATE SET "seen_at" = clock_timestamp(), "acked_at" = coalesce(excluded."acked_at", r."acked_at")`
        : `DELETE FROM ${relay} WHERE "id" = ${owner}`
      return `${write};
INSERT INTO ${lease} ("bucket") SELECT b FROM generate_series(0, ${bucketCount - 1}) AS b
  WHERE NOT EXISTS (SELECT 1 FROM ${lease} WHERE "bucket" = b) ON CONFLICT DO NOTHING;
DELETE FROM ${relay} WHERE "seen_at" < clock_timestamp() - interval '1 hour';
SELECT (count(*) FILTER (WHERE "id" <> ${owner}))::int AS peers,
  min(extract(epoch FROM clock_timestamp() - "acked_at") * 1000) FILTER (WHERE "id" <> ${owner})::float8 AS acked
  FROM ${relay} WHERE "seen_at" > clock_timestamp() - ${leaseTime}`
    },

    /** Claims free buckets. SKIP LOCKED: one row that somebody locked must not stop all; ordered: no deadlock between two relays. */
    take: (count: number) => `UPDATE ${lease} AS t SET "owner" = ${owner}, "epoch" = t."epoch" + 1,
  "leased_until" = clock_timestamp() + ${leaseTime}, "lease_ms" = ${me.leaseMs}
  FROM (SELECT "bucket" FROM ${lease} WHERE "owner" IS NULL OR "leased_until" < clock_timestamp()
    OR "leased_until" > clock_timestamp() + "lease_ms" * interval '1 millisecond'
    ORDER BY "bucket" LIMIT ${count} FOR UPDATE SKIP LOCKED) AS free
  WHERE t."bucket" = free."bucket" RETURNING t."bucket" AS bucket, t."epoch" AS epoch`,

    /** Claims the relay's own buckets again under new epochs. */
    retake: () => `UPDATE ${lease} AS t SET "epoch" = t."epoch" + 1, "leased_until" = clock_timestamp() + ${leaseTime},
  "lease_ms" = ${me.leaseMs}
  FROM (SELECT "bucket" FROM ${lease} WHERE "owner" = ${owner} ORDER BY "bucket" FOR UPDATE SKIP LOCKED) AS own
  WHERE t."bucket" = own."bucket" RETURNING t."bucket" AS bucket, t."epoch" AS epoch`,

    /** Prolongs leases that have not run out. */
    renew: (leases: readonly { bucket: number; epoch: number }[]) => `UPDATE ${lease} AS t
  SET "leased_until" = clock_timestamp() + ${leaseTime}, "lease_ms" = ${me.leaseMs}
  FROM (SELECT "bucket" FROM ${lease} JOIN ${pairs(leases)} ON "bucket" = l.b AND "epoch" = l.e
    WHERE "owner" = ${owner} AND "leased_until" > clock_timestamp() ORDER BY "bucket" FOR UPDATE OF ${identifier('outbox_lease')} SKIP LOCKED) AS own
  WHERE t."bucket" = own."bucket" RETURNING t."bucket" AS bucket, t."epoch" AS epoch`,

    /** Leases of this relay that have not run out. */
    owned: () =>
      `SELECT "bucket" AS bucket, "epoch" AS epoch FROM ${lease} WHERE "owner" = ${owner} AND "leased_until" > clock_timestamp()`,

    /** Gives leases back. */
    release: (leases: readonly { bucket: number; epoch: number }[]) => `UPDATE ${lease} AS t SET "owner" = NULL
  FROM (SELECT "bucket" FROM ${lease} JOIN ${pairs(leases)} ON "bucket" = l.b AND "epoch" = l.e
    WHERE "owner" = ${owner} ORDER BY "bucket" FOR UPDATE OF ${identifier('outbox_lease')}) AS own
  WHERE t."bucket" = own."bucket"`,

    /** First dead row of every key. */
    holds: (
      buckets: readonly number[],
    ) => `SELECT "bucket" AS bucket, "topic" AS topic, "key" AS key, min("id") AS id FROM ${dead}
  WHERE "bucket" = ANY(${integers(buckets, 'smallint')}) AND "key" IS NOT NULL GROUP BY 1, 2, 3`,

    /**
     * The next rows of some buckets. One index probe a bucket: as `bucket = ANY(…) ORDER BY id` it would read and sort the whole table.
     * COPY, because its binary rows cost the relay a third of what rows of a query cost.
     */
    fetch: (what: {
      scans: readonly { bucket: number; after: number; limit: number }[]
      limit: number
      withoutTopics: readonly string[]
      withoutIds: readonly number[]
      maxRowBytes: number
    }) => {
      const scans = what.scans
      const topics =
        what.withoutTopics.length === 0 ? '' : ` AND m."topic" <> ALL(ARRAY[${what.withoutTopics.map(literal).join(',')}])`
      const ids = what.withoutIds.length === 0 ? '' : ` AND m."id" <> ALL(${integers(what.withoutIds, 'bigint')})`
      const fits = (column: string) => `CASE WHEN x.size <= ${what.maxRowBytes} THEN x.${column} END`
      const from = `unnest(${integers(
        scans.map((scan) => scan.bucket),
        'smallint',
      )}, ${integers(
        scans.map((scan) => scan.after),
        'bigint',
      )}, ${integers(
        scans.map((scan) => scan.limit),
        'bigint',
      )})`
      return `COPY (SELECT x."bucket", x."id", x."message_id", x."topic", x."type",
  CASE WHEN octet_length(x."key") <= ${what.maxRowBytes} THEN x."key" END, ${fits('"value"')}, ${fits('"headers"::text')},
  x."created_at", x.size
  FROM ${from} AS o(b, lo, n) CROSS JOIN LATERAL (
    SELECT m.*, coalesce(octet_length(m."key"), 0) + coalesce(octet_length(m."value"), 0) + coalesce(octet_length(m."headers"::text), 0) AS size
    FROM ${outbox} AS m WHERE m."bucket" = o.b AND m."id" > o.lo${topics}${ids} ORDER BY m."bucket", m."id" LIMIT o.n) AS x
  LIMIT ${what.limit}) TO STDOUT (FORMAT binary)`
    },

    /** Candidate of the mark. A sequence that was never used has last_value 1: taken at its word, the mark would pass row 1 unseen. */
    lastId: (sequence: string) =>
      `SELECT (CASE WHEN is_called THEN last_value ELSE last_value - 1 END)::text AS id, extract(epoch FROM pg_postmaster_start_time())::text AS started FROM ${sequence}`,

    /** Transactions that may hold ids not yet visible: an INSERT locks the table before it draws its id. */
    writers: (outboxOid: number) =>
      `SELECT virtualtransaction AS vxid FROM pg_locks WHERE locktype = 'relation' AND relation = ${outboxOid} AND mode = 'RowExclusiveLock' AND granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`,

    /** How many rows up to an id are left, counted to 1,000. */
    remaining: (
      upTo: number,
    ) => `SELECT count(*)::int AS n FROM (SELECT 1 FROM generate_series(0, ${bucketCount - 1}) AS b CROSS JOIN LATERAL (
  SELECT 1 FROM ${outbox} AS m WHERE m."bucket" = b AND m."id" <= ${upTo} ORDER BY m."bucket", m."id" LIMIT 1000) AS x LIMIT 1000) AS y`,

    /** Deletes what Kafka has acknowledged, in one order for all relays: two deleters of the same rows must not deadlock. */
    settle: (rows: readonly { bucket: number; id: number; messageId: string }[]) =>
      `DELETE FROM ${outbox} AS m USING ${names(rows)} WHERE m."bucket" = n.b AND m."id" = n.i AND m."message_id" = n.m`,

    /** Parks one row. The answer counts a row that stands in outbox_dead already: an earlier park whose answer was lost. */
    park: (
      { bucket, epoch }: { bucket: number; epoch: number },
      row: { id: number; messageId: string },
      why: { reason: string; error: string },
    ) => {
      const it = `"bucket" = ${bucket} AND "id" = ${row.id} AND "message_id" = '${row.messageId}'::uuid`
      return `WITH ${mine(bucket, epoch)},
gone AS (DELETE FROM ${outbox} WHERE ${it} AND "bucket" IN (SELECT "bucket" FROM mine) RETURNING ${columns}),
kept AS (INSERT INTO ${dead} (${columns}, "reason", "error", "relay")
  SELECT ${columns}, ${literal(why.reason)}, ${literal(why.error)}, ${literal(me.name)} FROM gone ON CONFLICT DO NOTHING RETURNING "id")
SELECT (SELECT count(*) FROM mine)::int AS mine,
  ARRAY(SELECT "id" FROM kept UNION SELECT "id" FROM ${dead} WHERE ${it})::text[] AS ids`
    },

    /** Moves rows behind the dead row of their key, only while there is one. */
    moveBehind: (
      { bucket, epoch }: { bucket: number; epoch: number },
      rows: readonly { bucket: number; id: number; messageId: string }[],
    ) =>
      `WITH ${mine(bucket, epoch)},
gone AS (DELETE FROM ${outbox} AS m USING ${names(rows)} WHERE m."bucket" = n.b AND m."id" = n.i AND m."message_id" = n.m
  AND m."bucket" IN (SELECT "bucket" FROM mine)
  AND EXISTS (SELECT 1 FROM ${dead} AS d WHERE d."bucket" = m."bucket" AND d."topic" = m."topic" AND d."key" = m."key" AND d."id" < m."id")
  RETURNING ${columnsOf('m')}),
kept AS (INSERT INTO ${dead} (${columns}, "relay") SELECT ${columns}, ${literal(me.name)} FROM gone ON CONFLICT DO NOTHING)
SELECT (SELECT count(*) FROM mine)::int AS mine, ARRAY(SELECT "id" FROM gone)::text[] AS ids`,

    /** Wishes that wait for an answer. */
    wishes: (buckets: readonly number[]) => `SELECT "bucket" AS bucket, "id" AS id, "message_id" AS "messageId", "topic" AS topic,
  "key" AS key, "wish" AS wish FROM ${dead}
  WHERE "wish" IN ('redrive', 'discard') AND "bucket" = ANY(${integers(buckets, 'smallint')}) ORDER BY "id" LIMIT 100`,

    /** Moves a key, or a row without a key, back to the outbox under its old ids. Only a key's first row may be asked for. */
    redrive: (
      { bucket, epoch }: { bucket: number; epoch: number },
      wish: { id: number; messageId: string; topic: string; key: Uint8Array | null },
    ) => {
      const same =
        wish.key === null
          ? `"bucket" = ${bucket} AND "id" = ${wish.id} AND "message_id" = '${wish.messageId}'::uuid`
          : `"bucket" = ${bucket} AND "topic" = ${literal(wish.topic)} AND "key" = ${bytes(wish.key)}`
      return `WITH ${mine(bucket, epoch)},
line AS (SELECT "id", "message_id", row_number() OVER (ORDER BY "id", "message_id") AS place FROM ${dead}
  WHERE ${same} ORDER BY "id", "message_id" LIMIT ${redriveChunk + 1}),
head AS (SELECT 1 FROM line JOIN ${dead} AS d USING ("id", "message_id") WHERE place = 1 AND d."bucket" = ${bucket} AND d."wish" = 'redrive'),
gone AS (DELETE FROM ${dead} AS d USING line, mine, head WHERE d."bucket" = ${bucket} AND d."id" = line."id" AND d."message_id" = line."message_id"
  AND place <= ${redriveChunk} RETURNING ${columnsOf('d')}),
back AS (INSERT INTO ${outbox} (${columns}) SELECT ${columns} FROM gone),
next AS (UPDATE ${dead} AS d SET "wish" = 'redrive' FROM line, mine, head WHERE d."bucket" = ${bucket} AND d."id" = line."id"
  AND d."message_id" = line."message_id" AND place = ${redriveChunk + 1})
SELECT (SELECT count(*) FROM mine)::int AS mine, ARRAY(SELECT "id" FROM gone ORDER BY "id")::text[] AS ids`
    },

    /** Drops one dead row; if it was the head of a key, the next one is to be redriven. */
    discard: (
      { bucket, epoch }: { bucket: number; epoch: number },
      wish: { id: number; messageId: string; topic: string; key: Uint8Array | null },
    ) => {
      const it = `d."bucket" = ${bucket} AND d."id" = ${wish.id} AND d."message_id" = '${wish.messageId}'::uuid`
      const others =
        wish.key === null
          ? 'false'
          : `d."bucket" = ${bucket} AND d."topic" = ${literal(wish.topic)} AND d."key" = ${bytes(wish.key)} AND NOT (${it})`
      return `WITH ${mine(bucket, epoch)},
gone AS (DELETE FROM ${dead} AS d USING mine WHERE ${it} AND d."wish" = 'discard' RETURNING d."id"),
behind AS (SELECT d."id", d."message_id" FROM ${dead} AS d WHERE ${others} ORDER BY d."id" LIMIT 1),
next AS (UPDATE ${dead} AS d SET "wish" = 'redrive' FROM behind, gone
  WHERE d."bucket" = ${bucket} AND d."id" = behind."id" AND d."message_id" = behind."message_id" AND behind."id" > gone."id"
  AND d."wish" IS NULL)
SELECT (SELECT count(*) FROM mine)::int AS mine, ARRAY(SELECT "id" FROM gone)::text[] AS ids`
    },

    /** Wakes relays. */
    notify: (payload: string) => `SELECT pg_notify(${literal(wakeChannel)}, ${literal(payload)})::text`,

    /** Removes the heartbeat at the end. */
    farewell: () => `DELETE FROM ${relay} WHERE "id" = ${owner}`,
  }
}

/** The statements of one relay. */
export type Statements = ReturnType<typeof statements>
