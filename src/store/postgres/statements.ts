// Keeps rules 12, 15 and 29 of docs/protocol.md.

import { bucketCount } from '../../message/key.ts'
import type { Tables } from '../../message/tables.ts'
import { wakeChannel } from '../../message/wake.ts'
import type { Beat, Identity, RowName } from '../store.ts'
import { batchStatements } from './batch-statements.ts'
import { deadStatements } from './dead-letter-statements.ts'
import { type FetchedRows, fetchStatement } from './fetch-statement.ts'
import { otherOutboxes } from './other-outboxes.ts'
import { tableFormats } from './refusals.ts'
import { ageMs, integers, lastDrawn, literal, longestLease, milliseconds, rowNames } from './sql.ts'

const allBuckets = Array.from({ length: bucketCount }, (_, bucket) => bucket)

/** Trigger of the migration on outbox_dead_letter: it writes who asks for a redrive or discard. */
export const authorTrigger = 'outbox_dead_letter_request'

/**
 * Every statement of the relay. They are sent as simple queries without parameters, several in one message, because that is an implicit
 * transaction. Settings last exactly as long as the statement. Behind a pooler in transaction mode, prepared statements and session settings
 * do not. All values are numbers, UUIDs and bytes written by this file, or texts through {@link literal}.
 */
export function statements(tables: Tables, me: Identity, sequence: string) {
  const { outbox, lease, relay } = tables
  const owner = `'${me.id}'::uuid`
  const leaseTime = milliseconds(me.leaseMs)
  const format = me.exactlyOnce ? tableFormats.exactlyOnce : tableFormats.atLeastOnce

  /** Adds (bucket, epoch) pairs of leases as a table `l(b, e)`. */
  const pairs = (leases: readonly { bucket: number; epoch: number }[]) =>
    `unnest(${integers(
      leases.map((one) => one.bucket),
      'smallint',
    )}, ${integers(
      leases.map((one) => one.epoch),
      'bigint',
    )}) AS l(b, e)`

  /** Whether a row was written since with an id that was settled then. Redriven rows keep their time. Few ids: bounded under dead rows. */
  const comesAgain = ({ upTo, at }: { upTo: number; at: string }) => `EXISTS (SELECT FROM ${outbox}
    WHERE "bucket" = ANY(${integers(allBuckets, 'smallint')}) AND "id" <= ${upTo} AND "created_at" > to_timestamp(${at}) AND "created_at" <= clock_timestamp())`

  return {
    ...deadStatements(tables, me, sequence),
    ...batchStatements(tables, owner, format),

    /** Heartbeat; withdrawn relays remove it. The missing lease rows of `prisma db push` or a truncating test are put in. */
    beat: ({ alive, ackedMsAgo, answeredMsAgo, trouble }: Beat) => {
      const ago = (ms: number | null) => (ms === null ? 'NULL::timestamptz' : `clock_timestamp() - ${milliseconds(ms)}`)
      const write = alive
        ? `INSERT INTO ${relay} AS r ("id", "name", "version", "seen_at", "acked_at", "answered_at", "trouble", "format")
  VALUES (${owner}, ${literal(me.name)}, ${literal(me.version)}, clock_timestamp(), ${ago(ackedMsAgo)}, ${ago(answeredMsAgo)},
    ${literal(JSON.stringify(trouble))}::jsonb, ${format})
  ON CONFLICT ("id") DO UPDATE SET "seen_at" = clock_timestamp(), "acked_at" = coalesce(excluded."acked_at", r."acked_at"),
    "answered_at" = excluded."answered_at", "trouble" = excluded."trouble", "format" = excluded."format"`
        : `DELETE FROM ${relay} WHERE "id" = ${owner}`
      return `${write};
INSERT INTO ${lease} ("bucket", "format") SELECT b, coalesce((SELECT max("format") FROM ${lease}), 1) FROM generate_series(0, ${bucketCount - 1}) AS b
  WHERE NOT EXISTS (SELECT 1 FROM ${lease} WHERE "bucket" = b) ON CONFLICT DO NOTHING;
DELETE FROM ${relay} WHERE "id" IN (SELECT "id" FROM ${relay}
  WHERE "seen_at" NOT BETWEEN clock_timestamp() - interval '1 hour' AND clock_timestamp() + interval '1 hour' FOR UPDATE SKIP LOCKED);
SELECT count(*)::int AS peers, min(${ageMs('"answered_at"')})::float8 AS answered,
  (count(*) FILTER (WHERE greatest("answered_at", "started_at") > clock_timestamp() - ${leaseTime}))::int AS sharing,
  min(${ageMs('"acked_at"')})::float8 AS acked,
  min(extract(epoch FROM "seen_at" + ${leaseTime} - clock_timestamp()) * 1000)::float8 AS ends
  FROM ${relay} WHERE "id" <> ${owner} AND "format" = ${format} AND "seen_at" > clock_timestamp() - ${leaseTime} AND "seen_at" < clock_timestamp() + ${leaseTime}`
    },

    /** Claims free buckets. SKIP LOCKED: one row that somebody locked must not stop all; ordered: no deadlock between two relays. */
    take: (count: number) => `UPDATE ${lease} AS t SET "owner" = ${owner}, "epoch" = t."epoch" + 1,
  "leased_until" = clock_timestamp() + ${leaseTime}, "lease_ms" = ${me.leaseMs}
  FROM (SELECT "bucket", "owner" IS NOT NULL AND "leased_until" < clock_timestamp() AS abandoned FROM ${lease} AS o
    WHERE "format" = ${format} AND ("owner" IS NULL OR "leased_until" < clock_timestamp() OR "leased_until" > ${longestLease('o')})
    ORDER BY "bucket" LIMIT ${count} FOR UPDATE SKIP LOCKED) AS free
  WHERE t."bucket" = free."bucket" RETURNING t."bucket" AS bucket, t."epoch" AS epoch, free.abandoned AS abandoned`,

    /**
     * Relays that died: their heartbeat stopped, and they did not withdraw it. Those that died within one lease time count as one, as when
     * a machine goes down with all of them.
     */
    deaths: (
      withinMs: number,
    ) => `SELECT count(DISTINCT floor(extract(epoch FROM "seen_at") * 1000 / ${me.leaseMs}))::int AS n FROM ${relay}
  WHERE "seen_at" BETWEEN clock_timestamp() - ${milliseconds(withinMs)} AND clock_timestamp() - ${leaseTime}`,

    /** Claims the relay's own buckets again under new epochs. */
    retake: () => `UPDATE ${lease} AS t SET "epoch" = t."epoch" + 1, "leased_until" = clock_timestamp() + ${leaseTime},
  "lease_ms" = ${me.leaseMs}
  FROM (SELECT "bucket" FROM ${lease} WHERE "owner" = ${owner} AND "format" = ${format} ORDER BY "bucket" FOR UPDATE SKIP LOCKED) AS own
  WHERE t."bucket" = own."bucket" RETURNING t."bucket" AS bucket, t."epoch" AS epoch`,

    /** Prolongs leases that have not run out. */
    renew: (leases: readonly { bucket: number; epoch: number }[]) => `UPDATE ${lease} AS t
  SET "leased_until" = clock_timestamp() + ${leaseTime}, "lease_ms" = ${me.leaseMs}
  FROM (SELECT "bucket" FROM ${lease} AS o JOIN ${pairs(leases)} ON "bucket" = l.b AND "epoch" = l.e
    WHERE "owner" = ${owner} AND "format" = ${format} AND "leased_until" > clock_timestamp() ORDER BY "bucket" FOR UPDATE OF o SKIP LOCKED) AS own
  WHERE t."bucket" = own."bucket" RETURNING t."bucket" AS bucket, t."epoch" AS epoch`,

    /** Leases of this relay that have not run out. */
    owned: () =>
      `SELECT "bucket" AS bucket, "epoch" AS epoch FROM ${lease} WHERE "owner" = ${owner} AND "leased_until" > clock_timestamp()`,

    /** Gives leases back. */
    release: (leases: readonly { bucket: number; epoch: number }[]) => `UPDATE ${lease} AS t SET "owner" = NULL
  FROM (SELECT "bucket" FROM ${lease} AS o JOIN ${pairs(leases)} ON "bucket" = l.b AND "epoch" = l.e
    WHERE "owner" = ${owner} ORDER BY "bucket" FOR UPDATE OF o SKIP LOCKED) AS own
  WHERE t."bucket" = own."bucket" RETURNING t."bucket" AS bucket`,

    /** The next rows of some buckets. */
    fetch: (what: FetchedRows) => fetchStatement(outbox, what),

    /**
     * The last id drawn, which is the candidate of the mark, and whose ids they are: TRUNCATE … RESTART IDENTITY gives the sequence another
     * file. After setval only new rows with old ids tell; `before` says which ids were settled when.
     */
    lastId: (before?: { upTo: number; at: string }) =>
      `SELECT ${lastDrawn}::text AS id, extract(epoch FROM pg_postmaster_start_time())::text AS started,
  ${literal(outbox)}::regclass::oid::text || '/' || pg_relation_filenode(tableoid)::text AS ids, extract(epoch FROM clock_timestamp())::text AS at,
  ${before ? comesAgain(before) : 'false'} AS again FROM ${sequence}`,

    /** Transactions that may hold ids not yet visible: an INSERT locks the table before it draws its id. */
    writers: () =>
      `SELECT virtualtransaction AS vxid FROM pg_locks WHERE locktype = 'relation' AND relation = ${literal(outbox)}::regclass AND mode = 'RowExclusiveLock' AND granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`,

    /** How many rows up to an id are left, counted to 1,000. */
    remaining: (
      upTo: number,
    ) => `SELECT count(*)::int AS n FROM (SELECT 1 FROM generate_series(0, ${bucketCount - 1}) AS b CROSS JOIN LATERAL (
  SELECT 1 FROM ${outbox} AS m WHERE m."bucket" = b AND m."id" <= ${upTo} ORDER BY m."bucket", m."id" LIMIT 1000) AS x LIMIT 1000) AS y`,

    /** Deletes what Kafka has acknowledged, in one order for all relays: two deleters of the same rows must not deadlock. */
    settle: (rows: readonly RowName[]) =>
      `DELETE FROM ${outbox} AS m USING ${rowNames(rows)} WHERE m."bucket" = n.b AND m."id" = n.i AND m."message_id" = n.m`,

    /**
     * The same for those that nobody has locked; those that are there afterwards are the answer. What a rule or trigger has kept can be locked
     * then. A rule allows no DELETE in a WITH.
     */
    settleUnlocked: (rows: readonly RowName[]) => {
      const free = `free AS MATERIALIZED (SELECT m."bucket", m."id", m."message_id" FROM ${outbox} AS m
  JOIN ${rowNames(rows)} ON m."bucket" = n.b AND m."id" = n.i AND m."message_id" = n.m ORDER BY 1, 2 FOR UPDATE OF m SKIP LOCKED)`
      const same = (a: string, b: string) =>
        `${a}."bucket" = ${b}."bucket" AND ${a}."id" = ${b}."id" AND ${a}."message_id" = ${b}."message_id"`
      return `WITH ${free} DELETE FROM ${outbox} AS m USING free AS f WHERE ${same('m', 'f')};
WITH ${free} SELECT m."bucket" AS bucket, m."id"::float8 AS id, m."message_id" AS "messageId", f."id" IS NOT NULL AS kept
  FROM ${outbox} AS m JOIN ${rowNames(rows)} ON m."bucket" = n.b AND m."id" = n.i AND m."message_id" = n.m LEFT JOIN free AS f ON ${same('m', 'f')}`
    },

    /** See {@link otherOutboxes}. */
    otherOutboxes: () => otherOutboxes(tables),

    /** Wakes relays. */
    notify: (payload: string) => `SELECT pg_notify(${literal(wakeChannel)}, ${literal(payload)})::text`,

    /** Removes the heartbeat at the end. */
    farewell: () => `DELETE FROM ${relay} WHERE "id" = ${owner}`,
  }
}

/** The statements of one relay. */
export type Statements = ReturnType<typeof statements>
