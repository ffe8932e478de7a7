import { bucketCount, bucketOf } from '../../message/key.ts'
import type { Tables } from '../../message/tables.ts'
import { wakeChannel } from '../../message/wake.ts'
import type { DeadKey, Look, Portion, Selection } from '../operator.ts'
import type { RowName } from '../store.ts'
import { otherOutboxes } from './other-outboxes.ts'
import {
  ageMs as age,
  bounded,
  bytes,
  digestOf,
  integers,
  literal,
  longestLease,
  milliseconds,
  namesAuthor,
  rowNames,
  unnested,
} from './sql.ts'
import { authorTrigger } from './statements.ts'

/** Messages that are counted one by one; beyond them the backlog is estimated: a count over millions would be a load of its own. */
export const countedMessages = 10_000

/** Dead messages, and those behind them, that are counted; by a sample, which comes every few seconds, fewer. */
export const countedDead = 100_000
export const sampledDead = 10_000

/** Messages of a bucket that a sample looks at: with 64 buckets as many as are counted. */
export const sampledHeads = 160

/** Bytes of a key that a list shows, and of a message that is shown: one that no relay carries must not fill the memory of a terminal. */
const keyBytes = 65_536
export const shownBytes = 16_777_216

/** A moment as RFC 3339. */
const time = (column: string): string => `to_char(${bounded(column)} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`

/** Whether the role may read values and headers. One row. */
export const readsPayloads = ({ outbox, dead }: Tables): string =>
  `SELECT bool_and(has_column_privilege(t, c, 'SELECT')) AS payloads
  FROM unnest(ARRAY[${literal(outbox)}, ${literal(dead)}]) AS t CROSS JOIN unnest(ARRAY['value', 'headers']) AS c`

/** Every statement of the operator's side, sent as the relay's are. `payloads`: the role may read values and headers; no other statement names them. */
export function operatorStatements(tables: Tables, payloads = true) {
  const { outbox, lease, relay, dead, batch } = tables
  const ago = (ms: number) => `clock_timestamp() - ${milliseconds(ms)}`
  const and = (parts: readonly (string | false | undefined)[]) =>
    parts
      .filter(Boolean)
      .map((part) => ` AND ${part}`)
      .join('')
  const ids = (which: Selection) => `ARRAY[${(which.messageIds ?? []).map(literal).join(',')}]::uuid[]`
  /** What all rows of a key have in common. */
  const fitsKey = (which: Selection) =>
    and([
      which.topic !== undefined && `m."topic" = ${literal(which.topic)}`,
      which.key !== undefined && `m."key" = ${bytes(which.key)}`,
    ])
  /** What each row has of its own. */
  const fitsRow = (which: Selection) =>
    and([
      which.messageIds && `m."message_id" = ANY(${ids(which)})`,
      which.reason !== undefined && `m."reason" = ${literal(which.reason)}`,
      which.olderThanMs !== undefined && `m."created_at" <= ${ago(which.olderThanMs)}`,
      which.newerThanMs !== undefined && `m."created_at" >= ${ago(which.newerThanMs)}`,
    ])
  const fits = (which: Selection) => fitsKey(which) + fitsRow(which)
  /** Rows that a discard may drop: without ids only refused ones, so that nobody drops those that merely wait. */
  const droppable = (which: Selection) => `${fits(which)}${which.messageIds ? '' : ' AND m."reason" IS NOT NULL'}`
  /** The lowest ids of a table that fit, found bucket by bucket in the order of the index: no sort of a million rows. */
  const lowest = (table: string, fit: string, limit: number) => `(SELECT m."bucket", m."id", m."message_id"
  FROM generate_series(0, 63) AS b CROSS JOIN LATERAL (
    SELECT m."bucket", m."id", m."message_id" FROM ${table} AS m WHERE m."bucket" = b${fit} ORDER BY m."bucket", m."id" LIMIT ${limit}) AS m
  ORDER BY m."id", m."message_id" LIMIT ${limit})`
  /** The same among the first rows of each bucket, or the last ones: bounded, however much waits and however little of it fits. */
  const near = (table: string, which: Selection, limit: number, { depth, newest = false }: Look) => {
    if (depth === undefined && !newest) return lowest(table, fits(which), limit)
    const order = newest ? `m."bucket" DESC, m."id" DESC` : `m."bucket", m."id"`
    const one = which.key && bucketOf('', which.key)
    const [from, to] = one === undefined ? [0, bucketCount - 1] : [one, one]
    const rows = depth === undefined ? '' : ` LIMIT ${one === undefined ? depth : depth * bucketCount}`
    return `(SELECT m."bucket", m."id", m."message_id" FROM generate_series(${from}, ${to}) AS b CROSS JOIN LATERAL (
    SELECT m."bucket", m."id", m."message_id" FROM (SELECT m."bucket", m."id", m."message_id", m."topic", m."key", m."created_at"${table === dead ? ', m."reason"' : ''}
      FROM ${table} AS m WHERE m."bucket" = b ORDER BY ${order}${rows}) AS m
    WHERE true${fits(which)} ORDER BY m."id"${newest ? ' DESC' : ''} LIMIT ${limit}) AS m
  ORDER BY m."id"${newest ? ' DESC' : ''}, m."message_id" LIMIT ${limit})`
  }
  const holding = `(m."blocks_key" AND m."key" IS NOT NULL)`
  const claim = `LEFT JOIN ${lease} AS l ON l."bucket" = m."bucket" AND l."leased_until" > clock_timestamp()
  LEFT JOIN ${relay} AS r ON r."id" = l."owner"`
  const size = payloads
    ? '(coalesce(octet_length(m."key"), 0) + coalesce(octet_length(m."value"), 0) + coalesce(octet_length(m."headers"::text), 0))::int'
    : 'NULL::int'
  const listed = `m."bucket" AS bucket, m."id"::float8 AS id, m."message_id" AS "messageId", m."topic" AS topic, m."type" AS type,
  substring(m."key" FROM 1 FOR ${keyBytes}) AS key, ${size} AS bytes,
  ${age('m."created_at"')} AS "ageMs", r."name" AS "claimedBy",
  CASE WHEN r."id" IS NOT NULL THEN -${age('l."leased_until"')} END AS "claimedForMs",
  CASE WHEN r."id" IS NOT NULL THEN ${time('l."leased_until"')} END AS "claimedUntil"`
  /** Whether a relay gave a sign of life within a lease of that length, which is in milliseconds. One from the future is none. */
  const alive = (leaseMs: string) => `abs(extract(epoch FROM clock_timestamp() - ${bounded('r."seen_at"')})) * 1000 < ${leaseMs}`
  const waiting = `'waiting' AS state, NULL AS reason, NULL AS "requestedAction", NULL AS "requestedBy"`
  const taken = `CASE WHEN m."reason" IS NULL THEN 'blocked' WHEN m."key" IS NOT NULL AND NOT m."blocks_key" THEN 'skipped' ELSE 'dead' END AS state,
  m."reason" AS reason, m."requested_action" AS "requestedAction", m."requested_by" AS "requestedBy"`
  const shown = (
    withPayload: boolean,
  ) => `${time('m."created_at"')} AS "createdAt", ${payloads ? 'CASE WHEN NOT (s.large) THEN m."headers" END' : 'NULL::jsonb'} AS headers,
  ${withPayload ? 'CASE WHEN NOT (s.large) THEN m."value" END' : 'NULL::bytea'} AS value, s.large AS "tooLarge"`
  const sized = (most: number) =>
    !payloads
      ? 'CROSS JOIN (VALUES (false)) AS s(large)'
      : `CROSS JOIN LATERAL (SELECT coalesce(octet_length(m."headers"::text) > ${most}, false) OR coalesce(octet_length(m."value") > ${most}, false) AS large) AS s`

  /** Of a relay without buckets the lease time is not known: that of the others. */
  const leaseMs = `least(coalesce(max(l."lease_ms"), (SELECT max("lease_ms") FROM ${lease}), 10000), 300000)`

  const counted = `(SELECT count(*) FROM (SELECT 1 FROM ${outbox} LIMIT ${countedMessages + 1}) AS c)::float8`
  const estimate = `(SELECT CASE WHEN relpages > 0 THEN reltuples / relpages * (pg_relation_size(oid) / current_setting('block_size')::int) ELSE 0 END
    FROM pg_class WHERE oid = ${literal(outbox)}::regclass)::float8`

  return {
    /** Backlog, counted to a limit; `estimate` goes by the size of the table. */
    backlog: () => `SELECT ${counted} AS counted, ${estimate} AS estimate,
  (SELECT max(${age('t."created_at"')}) FROM generate_series(0, 63) AS b CROSS JOIN LATERAL
    (SELECT "created_at" FROM ${outbox} AS m WHERE m."bucket" = b ORDER BY m."bucket", m."id" LIMIT 1) AS t) AS "oldestMs"`,

    /** See {@link otherOutboxes}. */
    otherOutboxes: () => otherOutboxes(tables),

    /** Messages that wait, counted to a limit. */
    counted: () => `SELECT ${counted} AS counted`,

    /** Who holds each bucket. */
    holders: () => `SELECT l."bucket" AS bucket, coalesce(r."name", l."owner"::text) AS relay,
  l."owner" IS NOT NULL AND (l."leased_until" <= clock_timestamp() OR l."leased_until" > ${longestLease('l')}
    OR NOT coalesce(${alive('least(l."lease_ms", 300000)')}, false)) AS expired
  FROM ${lease} AS l LEFT JOIN ${relay} AS r ON r."id" = l."owner" ORDER BY l."bucket"`,

    /** The mode of the relays, and batches that are recorded and not acknowledged. */
    recorded: () => `SELECT (SELECT coalesce(max("format"), 1) FROM ${lease})::int AS format,
  count(*)::int AS waiting, max(${age('b."recorded_at"')}) AS "oldestMs" FROM ${batch} AS b WHERE NOT b."acknowledged"`,

    /** Relays with what they hold. */
    relays:
      () => `SELECT r."name" AS name, r."version" AS version, ${age('r."started_at"')} AS "startedMsAgo", ${age('r."seen_at"')} AS "seenMsAgo",
  ${age('r."acked_at"')} AS "ackedMsAgo", ${age('r."answered_at"')} AS "answeredMsAgo", r."trouble" AS trouble, count(l."bucket")::int AS buckets,
  ${alive(leaseMs)} AS alive,
  ${alive(leaseMs)} AND greatest(r."answered_at", r."started_at") <= clock_timestamp() - ${leaseMs} * interval '1 millisecond' AS "withoutKafka"
  FROM ${relay} AS r LEFT JOIN ${lease} AS l ON l."owner" = r."id" AND l."leased_until" > clock_timestamp()
  GROUP BY r."id" ORDER BY r."name"`,

    /** Dead messages by reason; NULL counts those behind them. Counted to a limit: a hot key can have millions behind it. */
    dead: () => `SELECT "reason" AS reason, count(*)::float8 AS n FROM (SELECT "reason" FROM ${dead} LIMIT ${countedDead}) AS m
  GROUP BY 1 ORDER BY 2 DESC, 1`,

    /**
     * The first messages of each bucket by topic, and of all topics: a row without one. `own`: of the buckets that this relay holds; `fullest`:
     * most of a bucket. One pass: until VACUUM comes, each passes every row that was deleted before them.
     */
    heads: (relayId: string) => `SELECT x."topic" AS topic, ${age('min(x."created_at")')} AS "oldestMs",
  ${age(`min(x."created_at") FILTER (WHERE l."owner" = ${literal(relayId)}::uuid)`)} AS "ownOldestMs",
  count(*)::float8 AS counted, coalesce(max(x.n), 0)::int AS fullest, ${estimate} AS estimate
  FROM generate_series(0, 63) AS b CROSS JOIN LATERAL (SELECT m."topic", m."created_at", count(*) OVER () AS n
    FROM (SELECT "topic", "created_at" FROM ${outbox} AS m WHERE m."bucket" = b ORDER BY m."bucket", m."id" LIMIT ${sampledHeads}) AS m) AS x
  LEFT JOIN ${lease} AS l ON l."bucket" = b AND l."leased_until" > clock_timestamp() GROUP BY GROUPING SETS ((x."topic"), ())`,

    /** Dead messages by reason, and keys among them. Grouped by hash: count(DISTINCT …) would sort every key at every look. */
    sampleDead:
      () => `SELECT "reason" AS reason, sum(n)::float8 AS n, (count(*) FILTER (WHERE "key" IS NOT NULL AND "blocks_key"))::int AS keys
  FROM (SELECT "reason", "topic", "key", "blocks_key", count(*) AS n
    FROM (SELECT "reason", "topic", "key", "blocks_key" FROM ${dead} LIMIT ${sampledDead}) AS m GROUP BY 1, 2, 3, 4) AS g GROUP BY 1`,

    /**
     * What keeps dead rows from being removed. VACUUM itself does not; transactions of other databases do not either. Without
     * pg_read_all_stats other roles' transactions have no start that could be seen.
     */
    horizon:
      () => `SELECT CASE WHEN pg_has_role('pg_read_all_stats', 'USAGE') THEN (SELECT coalesce(max(${age('start')}), 0) FROM (
    SELECT xact_start AS start FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
      AND (backend_xmin IS NOT NULL OR backend_xid IS NOT NULL) AND backend_type <> 'autovacuum worker'
    UNION ALL SELECT prepared FROM pg_prepared_xacts WHERE database = current_database()) AS x) END AS "oldestTransactionMs",
  (SELECT coalesce(n_dead_tup / nullif(n_dead_tup + n_live_tup, 0)::float8, 0) FROM pg_stat_all_tables
    WHERE relid = ${literal(outbox)}::regclass) AS "deadRowShare",
  (SELECT coalesce(n_tup_del, 0)::float8 FROM pg_stat_all_tables WHERE relid = ${literal(outbox)}::regclass) AS "deletedRows"`,

    /** Waiting messages, the lowest ids first. */
    listWaiting: (which: Selection, limit: number, look: Look = {}) => `SELECT ${listed}, ${waiting}
  FROM ${near(outbox, { ...which, reason: undefined }, limit, look)} AS h JOIN ${outbox} AS m USING ("bucket", "id") ${claim}
  ORDER BY m."id"${look.newest ? ' DESC' : ''}`,

    /** Dead messages and those behind them, the lowest ids first. */
    listDead: (which: Selection, limit: number, look: Look = {}) => `SELECT ${listed}, ${taken}
  FROM ${near(dead, which, limit, look)} AS h JOIN ${dead} AS m USING ("bucket", "id", "message_id") ${claim}
  ORDER BY m."id"${look.newest ? ' DESC' : ''}, m."message_id"`,

    /** Dead messages by reason and topic, among the first rows of each bucket: in one bucket a hot key can have millions behind it. */
    deadGroups: (depth: number) => `SELECT x."reason" AS reason, x."topic" AS topic, count(*)::float8 AS messages,
  ${age('min(x."created_at")')} AS "oldestMs", left(min(x."error"), 300) AS error, bool_or(x.at = ${depth}) AS cut
  FROM generate_series(0, ${bucketCount - 1}) AS b CROSS JOIN LATERAL (SELECT m.*, row_number() OVER () AS at FROM (
    SELECT m."reason", m."topic", m."error", m."created_at" FROM ${dead} AS m WHERE m."bucket" = b ORDER BY m."bucket", m."id" LIMIT ${depth}) AS m) AS x
  GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2 LIMIT 500`,

    /**
     * One message, wherever it is. Ids of messages have no index: without a place the whole table is read, and in the order of the index
     * that took a minute for ten million rows, in its own order three seconds.
     */
    show: (messageId: string, withPayload: boolean, most: number, place?: Pick<RowName, 'bucket' | 'id'>) => {
      const at = place ? ` AND m."bucket" = ${place.bucket} AND m."id" = ${place.id}` : ''
      const it = `m."message_id" = ${literal(messageId)}::uuid${at}`
      return `${place ? '' : 'SET LOCAL enable_seqscan=on;'}SELECT ${listed}, ${waiting}, ${shown(withPayload)}, NULL AS error, 0 AS blocked, NULL AS "diedAt", NULL AS "diedBy"
  FROM ${outbox} AS m ${sized(most)} ${claim} WHERE ${it}
UNION ALL SELECT ${listed}, ${taken}, ${shown(withPayload)}, m."error", CASE WHEN ${holding} THEN
  (SELECT count(*) FROM ${dead} AS d WHERE d."bucket" = m."bucket" AND d."topic" = m."topic" AND d."key" = m."key" AND d."blocks_key" AND d."id" > m."id") ELSE 0 END::int,
  ${time('m."died_at"')}, m."relay" FROM ${dead} AS m ${sized(most)} ${claim} WHERE ${it}`
    },

    /** Chooses rows for a discard: exactly those that fit. */
    discard: (which: Selection, { limit, after }: Required<Portion>) =>
      `WITH head AS MATERIALIZED (SELECT h.*, 1 AS n FROM ${lowest(dead, `${droppable(which)} AND m."id" > ${after}`, limit)} AS h)`,

    /**
     * Chooses rows for a redrive: the first of each key of which a row fits, and rows that hold no key. One pass over the table that groups
     * its rows by key, with the memory for it: a join for each step takes ten times as long over a million rows.
     */
    redrive: (which: Selection, { limit, after }: Required<Portion>) => `SET LOCAL work_mem = '64MB';WITH keys AS MATERIALIZED (
  SELECT m."bucket", m."topic", m."key", min(m."id") AS "id", max(m."id") AS last, count(*) AS n FROM ${dead} AS m WHERE ${holding}${fitsKey(which)}
  ${which.messageIds ? `AND (m."topic", m."key") IN (SELECT "topic", "key" FROM ${dead} WHERE "message_id" = ANY(${ids(which)}))` : ''}
  GROUP BY 1, 2, 3 HAVING min(m."id") > ${after} AND bool_or(true${fitsRow(which)}) ORDER BY 4 LIMIT ${limit}),
head AS MATERIALIZED (SELECT m."bucket", m."id", min(m."message_id"::text)::uuid AS "message_id", keys.n, keys.last
    FROM keys JOIN ${dead} AS m USING ("bucket", "id", "topic", "key") WHERE m."blocks_key" GROUP BY m."bucket", m."id", m."topic", m."key", keys.n, keys.last
  UNION ALL SELECT m."bucket", m."id", m."message_id", 1, m."id" FROM ${dead} AS m WHERE NOT ${holding} AND m."id" > ${after}${fits(which)}
  ORDER BY 2, 3 LIMIT ${limit})`,

    /** The chosen rows. */
    choose: (chosen: string) => `${chosen}
SELECT ${listed}, ${taken} FROM ${dead} AS m JOIN head AS h USING ("bucket", "id", "message_id") ${claim} ORDER BY m."id", m."message_id"`,

    /** The names of the chosen rows. */
    chosenNames: (chosen: string) => `${chosen}
SELECT "bucket" AS bucket, "id"::float8 AS id, "message_id" AS "messageId" FROM head ORDER BY "id", "message_id"`,

    /** The chosen keys of a redrive: their first rows, with the last id and the digest of each. */
    chosenKeys: (chosen: string) => `${chosen}
SELECT m."bucket" AS bucket, m."id"::float8 AS id, m."message_id" AS "messageId", h.last::float8 AS last,
  CASE WHEN ${holding} THEN encode(${digestOf('m')}, 'hex') END AS digest
  FROM ${dead} AS m JOIN head AS h USING ("bucket", "id", "message_id") ORDER BY m."id", m."message_id"`,

    /**
     * What became of keys after a redrive: the reason of the first message that is dead again, and whether some still wait. Only rows between
     * the ids of the key are read.
     */
    outcomes: (keys: readonly DeadKey[]) => {
      const lasts = integers(
        keys.map((key) => key.last),
        'bigint',
      )
      const digests = `'{${keys.map(({ digest }) => digest ?? 'NULL').join(',')}}'::text[]`
      const ofKey = (alias: string) => `${alias}."bucket" = n.b AND ${alias}."id" BETWEEN n.i AND n.l
    AND CASE WHEN n.k IS NULL THEN ${alias}."message_id" = n.m ELSE encode(${digestOf(alias)}, 'hex') = n.k END`
      return `SELECT n.b AS bucket, n.i::float8 AS id, n.m AS "messageId",
  (SELECT d."reason" FROM ${dead} AS d WHERE ${ofKey('d')} AND d."reason" IS NOT NULL ORDER BY d."id" LIMIT 1) AS reason,
  EXISTS (SELECT 1 FROM ${outbox} AS o WHERE ${ofKey('o')}) AS waiting
  FROM ROWS FROM (${unnested(keys, [lasts, digests])}) WITH ORDINALITY AS n(b, i, m, l, k, o) ORDER BY n.o`
    },

    /** How many keys and rows a request on the chosen ones touches. */
    reach: (chosen: string) => `${chosen} SELECT count(*)::float8 AS keys, coalesce(sum(n), 0)::float8 AS messages FROM head`,

    /** See {@link namesAuthor}. */
    namesAuthor: () => namesAuthor(dead, authorTrigger),

    /** Leaves a request for the relay that owns the bucket, and wakes it. The trigger of the migration writes who asks. */
    request: (
      rows: readonly RowName[],
      action: 'redrive' | 'discard',
      { by, names: named }: { by: string; names: boolean },
    ) => `SET LOCAL outbox.requested_by = ${literal(by)};
UPDATE ${dead} AS d SET "requested_action" = ${literal(action)}${named ? `, "requested_by" = session_user || ${literal(` (${by})`)}` : ''} FROM ${rowNames(rows)}
  WHERE d."bucket" = n.b AND d."id" = n.i AND d."message_id" = n.m;
SELECT pg_notify(${literal(wakeChannel)}, 'request')::text`,

    /** Rows on which the request still stands. */
    unanswered: (
      rows: readonly RowName[],
      action: 'redrive' | 'discard',
    ) => `SELECT d."bucket" AS bucket, d."id"::float8 AS id, d."message_id" AS "messageId"
  FROM ${dead} AS d JOIN ${rowNames(rows)} ON d."bucket" = n.b AND d."id" = n.i AND d."message_id" = n.m WHERE d."requested_action" = ${literal(action)}`,
  }
}
