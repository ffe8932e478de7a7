import { wakeChannel } from '../../message/wake.ts'
import type { Selection } from '../operator.ts'
import type { RowName } from '../store.ts'
import { literal, type Tables } from './statements.ts'

/** Messages that are counted one by one; beyond them the backlog is estimated: a count over millions would be a load of its own. */
export const countedMessages = 10_000

/** Dead messages, and those behind them, that are counted. */
export const countedDead = 100_000

const bytesOf = (value: Uint8Array): string => `'\\x${Buffer.from(value).toString('hex')}'::bytea`
const age = (column: string): string => `(extract(epoch FROM clock_timestamp() - ${column}) * 1000)::float8`

/** Every statement of the operator's side, sent as the relay's are. */
export function operatorStatements({ outbox, lease, relay, dead }: Tables) {
  const names = (rows: readonly RowName[]) =>
    `unnest('{${rows.map((row) => row.bucket).join(',')}}'::smallint[], '{${rows.map((row) => row.id).join(',')}}'::bigint[],
  '{${rows.map((row) => row.messageId).join(',')}}'::uuid[]) AS n(b, i, m)`
  const fits = (which: Selection) =>
    [
      which.messageIds && `m."message_id" = ANY(ARRAY[${which.messageIds.map(literal).join(',')}]::uuid[])`,
      which.topic !== undefined && `m."topic" = ${literal(which.topic)}`,
      which.key !== undefined && `m."key" = ${bytesOf(which.key)}`,
      which.reason !== undefined && `m."reason" = ${literal(which.reason)}`,
    ]
      .filter(Boolean)
      .map((part) => ` AND ${part}`)
      .join('')
  const claim = `LEFT JOIN ${lease} AS l ON l."bucket" = m."bucket" AND l."leased_until" > clock_timestamp()
  LEFT JOIN ${relay} AS r ON r."id" = l."owner"`
  const listed = `m."bucket" AS bucket, m."id"::float8 AS id, m."message_id" AS "messageId", m."topic" AS topic, m."type" AS type, m."key" AS key,
  (coalesce(octet_length(m."key"), 0) + coalesce(octet_length(m."value"), 0) + coalesce(octet_length(m."headers"::text), 0))::int AS bytes,
  ${age('m."created_at"')} AS "ageMs", r."name" AS "claimedBy",
  CASE WHEN r."id" IS NOT NULL THEN -${age('l."leased_until"')} END AS "claimedForMs",
  CASE WHEN r."id" IS NOT NULL THEN to_char(l."leased_until" AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') END AS "claimedUntil"`
  const waiting = `'waiting' AS state, NULL AS reason, NULL AS wish`
  const taken = `CASE WHEN m."reason" IS NULL THEN 'behind' ELSE 'dead' END AS state, m."reason" AS reason, m."wish" AS wish`
  const shown = (withPayload: boolean) => `m."headers" AS headers, ${withPayload ? 'm."value"' : 'NULL::bytea'} AS value`

  return {
    /** Backlog, counted to a limit; `estimate` goes by the size of the table. */
    backlog: () => `SELECT (SELECT count(*) FROM (SELECT 1 FROM ${outbox} LIMIT ${countedMessages + 1}) AS c)::float8 AS counted,
  (SELECT CASE WHEN relpages > 0 THEN reltuples / relpages * (pg_relation_size(oid) / current_setting('block_size')::int) ELSE 0 END
    FROM pg_class WHERE oid = ${literal(outbox)}::regclass)::float8 AS estimate,
  (SELECT max(${age('t."created_at"')}) FROM generate_series(0, 63) AS b CROSS JOIN LATERAL
    (SELECT "created_at" FROM ${outbox} AS m WHERE m."bucket" = b ORDER BY m."bucket", m."id" LIMIT 1) AS t) AS "oldestMs"`,

    /** Leases by their state. */
    leases: () => `SELECT count(*) FILTER (WHERE "owner" IS NOT NULL AND "leased_until" > clock_timestamp())::int AS held,
  count(*) FILTER (WHERE "owner" IS NOT NULL AND "leased_until" <= clock_timestamp())::int AS expired,
  count(*) FILTER (WHERE "owner" IS NULL)::int AS free FROM ${lease}`,

    /** Relays with what they hold. */
    relays:
      () => `SELECT r."name" AS name, r."version" AS version, ${age('r."started_at"')} AS "startedMsAgo", ${age('r."seen_at"')} AS "seenMsAgo",
  ${age('r."acked_at"')} AS "ackedMsAgo", count(l."bucket")::int AS buckets,
  r."seen_at" > clock_timestamp() - coalesce(max(l."lease_ms"), 10000) * interval '1 millisecond' AS alive
  FROM ${relay} AS r LEFT JOIN ${lease} AS l ON l."owner" = r."id" AND l."leased_until" > clock_timestamp()
  GROUP BY r."id" ORDER BY r."name"`,

    /** Dead messages by reason; NULL counts those behind them. Counted to a limit: a hot key can have millions behind it. */
    dead: () => `SELECT "reason" AS reason, count(*)::float8 AS n FROM (SELECT "reason" FROM ${dead} LIMIT ${countedDead}) AS m
  GROUP BY 1 ORDER BY 2 DESC, 1`,

    /** Waiting messages, the lowest ids first. */
    listWaiting: (
      which: Selection,
      limit: number,
    ) => `SELECT ${listed}, ${waiting} FROM generate_series(0, 63) AS b CROSS JOIN LATERAL
  (SELECT * FROM ${outbox} AS m WHERE m."bucket" = b${fits({ ...which, reason: undefined })} ORDER BY m."bucket", m."id" LIMIT ${limit}) AS m
  ${claim} ORDER BY m."id" LIMIT ${limit}`,

    /** Dead messages and those behind them. */
    listDead: (which: Selection, limit: number) => `SELECT ${listed}, ${taken} FROM ${dead} AS m ${claim}
  WHERE true${fits(which)} ORDER BY m."id" LIMIT ${limit}`,

    /** One message, wherever it is. */
    show: (messageId: string, withPayload: boolean) => {
      const it = `m."message_id" = ${literal(messageId)}::uuid`
      return `SELECT ${listed}, ${waiting}, ${shown(withPayload)}, NULL AS error, 0 AS behind FROM ${outbox} AS m ${claim} WHERE ${it}
UNION ALL SELECT ${listed}, ${taken}, ${shown(withPayload)}, m."error",
  (SELECT count(*) FROM ${dead} AS d WHERE d."bucket" = m."bucket" AND d."topic" = m."topic" AND d."key" = m."key" AND d."id" > m."id")::int
  FROM ${dead} AS m ${claim} WHERE ${it}`
    },

    /** Rows for a discard: exactly those that fit; without ids only refused ones, so that nobody drops those that merely wait. */
    chooseDiscard: (which: Selection) => `SELECT ${listed}, ${taken} FROM ${dead} AS m ${claim}
  WHERE true${fits(which)}
  ${which.messageIds ? '' : 'AND m."reason" IS NOT NULL'} ORDER BY m."id"`,

    /** Rows for a redrive: the first of each key of which a row fits. */
    chooseRedrive: (which: Selection) => `WITH hit AS MATERIALIZED (
  SELECT m."bucket", m."topic", m."key", m."id", m."message_id" FROM ${dead} AS m WHERE true${fits(which)}),
keys AS (SELECT DISTINCT "bucket", "topic", "key" FROM hit WHERE "key" IS NOT NULL),
first AS (SELECT DISTINCT ON (d."bucket", d."topic", d."key") d."bucket", d."id", d."message_id"
  FROM ${dead} AS d JOIN keys USING ("bucket", "topic", "key") ORDER BY d."bucket", d."topic", d."key", d."id", d."message_id"),
head AS (SELECT * FROM first UNION ALL SELECT "bucket", "id", "message_id" FROM hit WHERE "key" IS NULL)
SELECT ${listed}, ${taken} FROM ${dead} AS m JOIN head USING ("bucket", "id", "message_id") ${claim} ORDER BY m."id", m."message_id"`,

    /** Leaves a wish for the relay that owns the bucket, and wakes it. */
    wish: (
      rows: readonly RowName[],
      wish: 'redrive' | 'discard',
    ) => `UPDATE ${dead} AS d SET "wish" = ${literal(wish)} FROM ${names(rows)}
  WHERE d."bucket" = n.b AND d."id" = n.i AND d."message_id" = n.m;
SELECT pg_notify(${literal(wakeChannel)}, 'wish')::text`,

    /** Rows on which the wish still stands. */
    unanswered: (
      rows: readonly RowName[],
      wish: 'redrive' | 'discard',
    ) => `SELECT d."bucket" AS bucket, d."id"::float8 AS id, d."message_id" AS "messageId"
  FROM ${dead} AS d JOIN ${names(rows)} ON d."bucket" = n.b AND d."id" = n.i AND d."message_id" = n.m WHERE d."wish" = ${literal(wish)}`,
  }
}
