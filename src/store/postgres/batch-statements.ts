// Statements of the exactly-once mode. Keeps rules 26 and 29 of docs/protocol-exactly-once.md.

import { bucketCount } from '../../message/key.ts'
import type { Tables } from '../../message/tables.ts'
import { type BatchName, type BatchWork, clocksMs, type NamedBatch } from '../store.ts'
import { bucketsMask, encodeRows } from './batch-rows.ts'
import { tableFormats } from './refusals.ts'
import { bytes, integers, literal, longestLease, rowNames } from './sql.ts'

/** Names of batches as a table `v(p, e, t, n, s, k)`; `k` are the buckets. */
const named = (batches: readonly (BatchName | NamedBatch)[]): string =>
  `(VALUES ${batches.map((batch) => `(${numbersOf(batch)}, ${maskOf('rows' in batch ? batch.rows : [])})`).join(', ')}) AS v(p, e, t, n, s, k)`

const numbersOf = ({ producerId, epoch, topic, partition, sequence }: BatchName): string =>
  `${producerId}::bigint, ${epoch}::smallint, ${literal(topic)}, ${partition}::int, ${sequence}::int`

const maskOf = (rows: readonly { bucket: number }[]): string => `'${bucketsMask(rows.map((row) => row.bucket))}'::bigint`

/**
 * The clock of the database; that of the relay if it is far behind: records have its time, by which brokers forget a producer and the log is
 * searched.
 */
const recordedAt = ({ recordedAt: ms }: NamedBatch): string =>
  `CASE WHEN ${timestamp(ms)} < clock_timestamp() - interval '${clocksMs} milliseconds' THEN ${timestamp(ms)} ELSE clock_timestamp() END`

const timestamp = (ms: number): string => `to_timestamp(${Math.floor(ms)} / 1000.0)`

const same =
  'b."producer_id" = v.p AND b."producer_epoch" = v.e AND b."topic" = v.t AND b."partition" = v.n AND b."sequence" = v.s'

/** See {@link statements}. */
export function batchStatements({ outbox, batch, lease }: Tables, owner: string, format: number) {
  /** Whether a lease of the other mode has not run out. */
  const othersRun = (row: string): string =>
    `${row}."format" <> ${format} AND ${row}."owner" IS NOT NULL AND ${row}."leased_until" >= clock_timestamp() AND ${row}."leased_until" <= ${longestLease(row)}`
  return {
    /**
     * Ends and begins batches, in one transaction. What ends is acknowledged, and needs no lease. What begins, or is withdrawn, needs the leases:
     * they are locked until the record is durable, so nobody claims a bucket without seeing the record. Locked rows are skipped: one lease row
     * that somebody has locked keeps only its own bucket. Answers with the buckets that are held.
     */
    record: ({ landed, rows, acknowledged, withdrawn, begun, leases }: BatchWork): string => {
      const parts: string[] = []
      if (rows.length > 0)
        parts.push(
          `DELETE FROM ${outbox} AS m USING ${rowNames(rows)} WHERE m."bucket" = n.b AND m."id" = n.i AND m."message_id" = n.m`,
        )
      if (landed.length > 0) parts.push(`DELETE FROM ${batch} AS b USING ${named(landed)} WHERE ${same}`)
      if (acknowledged.length > 0)
        parts.push(`UPDATE ${batch} AS b SET "acknowledged" = true FROM ${named(acknowledged)} WHERE ${same}`)
      const held = `mine AS MATERIALIZED (SELECT o."bucket" FROM ${lease} AS o JOIN unnest(${integers(
        leases.map((one) => one.bucket),
        'smallint',
      )}, ${integers(
        leases.map((one) => one.epoch),
        'bigint',
      )}) AS l(b, e) ON o."bucket" = l.b AND o."epoch" = l.e
    WHERE o."owner" = ${owner} AND o."format" = ${format} ORDER BY o."bucket" FOR SHARE OF o SKIP LOCKED),
  held AS MATERIALIZED (SELECT coalesce(bit_or(1::bigint << "bucket"::int), 0) AS mask FROM mine)`
      const away =
        withdrawn.length === 0
          ? ''
          : `,
  away AS (DELETE FROM ${batch} AS b USING ${named(withdrawn)}, held WHERE ${same} AND v.k & held.mask <> 0 RETURNING 1)`
      const values = begun.map(
        (one) => `(${numbersOf(one)}, ${maskOf(one.rows)}, ${bytes(encodeRows(one.rows, one.cluster))}, ${recordedAt(one)})`,
      )
      const put =
        begun.length === 0
          ? ''
          : `,
  put AS (INSERT INTO ${batch} ("producer_id", "producer_epoch", "topic", "partition", "sequence", "buckets", "rows", "recorded_at")
    SELECT v.* FROM (VALUES ${values.join(', ')}) AS v(p, e, t, n, s, k, r, a), held WHERE v.k & ~held.mask = 0)`
      parts.push(
        `WITH ${held}${away}${put} SELECT mask::text AS mask, ${withdrawn.length === 0 ? 0 : '(SELECT count(*) FROM away)::int'} AS withdrawn FROM held`,
      )
      return parts.join(';\n')
    },

    /** The batches with rows of these buckets, the oldest first. */
    batchesOf: (buckets: readonly number[]): string =>
      `SELECT "producer_id"::text AS "producerId", "producer_epoch" AS epoch, "topic" AS topic, "partition" AS partition, "sequence" AS sequence,
  "rows" AS rows, "acknowledged" AS acknowledged, floor(extract(epoch FROM "recorded_at") * 1000)::float8 AS "recordedAt",
  floor(extract(epoch FROM clock_timestamp() - "recorded_at") * 1000)::float8 AS "ageMs"
  FROM ${batch} WHERE "buckets" & ${maskOf(buckets.map((bucket) => ({ bucket })))} <> 0 ORDER BY "recorded_at", "sequence"`,

    /** The batch, if it is recorded. */
    batchState: (one: BatchName): string =>
      `SELECT "acknowledged" AS acknowledged FROM ${batch} AS b JOIN ${named([one])} ON ${same}`,

    /** The rows at these places, in the form of a fetch. */
    rowsAt: (places: readonly { bucket: number; id: number }[]): string =>
      `COPY (SELECT x."bucket", x."id", x."message_id"::text, x."topic", x."type", x."key", x."value", x."headers"::text, x."created_at",
    coalesce(octet_length(x."key"), 0) + coalesce(octet_length(x."value"), 0) + coalesce(octet_length(x."headers"::text), 0)
      + coalesce(octet_length(x."type"), 0)
  FROM unnest(${integers(
    places.map((place) => place.bucket),
    'smallint',
  )}, ${integers(
    places.map((place) => place.id),
    'bigint',
  )}) WITH ORDINALITY AS n(b, i, at)
  JOIN ${outbox} AS x ON x."bucket" = n.b AND x."id" = n.i ORDER BY n.at) TO STDOUT (FORMAT binary)`,

    /**
     * Changes the mode of the leases to this relay's when no lease of the other mode runs: all rows are locked, and get new epochs, so nothing is
     * written any more under a lease of the other mode. A format of a newer version stays as it is. If all have this relay's mode, none is locked:
     * renewals skip locked rows. `at least once` needs an empty table of batches: such relays do not read it. Answers with the number of leases that
     * have this mode, whether one of the other mode runs, and whether a batch is recorded.
     */
    enterMode:
      (): string => `WITH locked AS MATERIALIZED (SELECT "bucket", "format", "owner", "leased_until", "lease_ms" FROM ${lease}
    WHERE EXISTS (SELECT FROM ${lease} AS o WHERE o."format" <> ${format}) ORDER BY "bucket" FOR UPDATE SKIP LOCKED),
  facts AS MATERIALIZED (SELECT count(*) AS n, coalesce(bool_and("format" IN (${Object.values(tableFormats).join(', ')})), false) AS known, coalesce(bool_or(${othersRun('locked')}), false) AS busy FROM locked)
UPDATE ${lease} AS t SET "format" = ${format}, "epoch" = t."epoch" + 1, "owner" = NULL FROM facts
  WHERE facts.n = ${bucketCount} AND facts.known AND NOT facts.busy AND t."format" <> ${format}${format === tableFormats.exactlyOnce ? '' : ` AND NOT EXISTS (SELECT FROM ${batch})`};
SELECT count(*) FILTER (WHERE "format" = ${format})::int AS n, bool_or(${othersRun('l')}) AS others, EXISTS (SELECT FROM ${batch}) AS recorded FROM ${lease} AS l`,
  }
}
