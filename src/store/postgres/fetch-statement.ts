import type { Fetch, Scan } from '../store.ts'
import { integers, literal, maxId } from './sql.ts'

/** What a fetch asks of the table. */
export type FetchedRows = Omit<Fetch, 'maxBytes'>

/**
 * The next rows of some buckets. COPY, because its binary rows cost the relay a third of what rows of a query cost. The message id as text:
 * the relay needs nothing else.
 * Keeps rules 8 and 11 of docs/protocol.md.
 */
export function fetchStatement(outbox: string, what: FetchedRows): string {
  const after = oneStart(what)
  const found = after === undefined ? eachBucket(outbox, what) : allBuckets(outbox, what, after)
  const fits = (column: string) => `CASE WHEN x.size <= ${what.maxRowBytes} THEN x.${column} END`
  // Where a scan ended at its bound, its last row says so by a size below 0.
  const size = what.withoutTopics.length === 0 ? 'x.size' : 'CASE WHEN x.seen = o.look THEN -1 - x.size ELSE x.size END'
  // One character more than Kafka takes: enough to see that it cannot be sent, whatever its length.
  return `COPY (SELECT x."bucket", x."id", x."message_id"::text, left(x."topic", 250), ${fits('"type"')},
  CASE WHEN octet_length(x."key") <= ${what.maxRowBytes} THEN x."key" END, ${fits('"value"')}, ${fits('"headers"::text')},
  x."created_at", ${size}
  FROM ${found}
  LIMIT ${what.limit}) TO STDOUT (FORMAT binary)`
}

/** Where all scans start, if nothing tells them apart and their order is that of the index. */
function oneStart({ scans, limit, withoutTopics }: FetchedRows): number | undefined {
  const after = scans[0]?.after
  const alike = (scan: Scan, i: number) =>
    scan.after === after && scan.limit >= limit && (i === 0 || scan.bucket > scans[i - 1]!.bucket)
  return withoutTopics.length === 0 && scans.every(alike) ? after : undefined
}

/** One condition for all buckets: planned in a quarter of the time, which is half of what a relay that keeps up costs the database. */
const allBuckets = (outbox: string, what: FetchedRows, after: number): string =>
  sized(rowsOf(outbox, what, `= ANY(${column(what.scans, 'bucket', 'smallint')})`, after, what.limit))

/** An index probe for each bucket: with `bucket = ANY(…)` and places of their own the whole table would be read and sorted. */
function eachBucket(outbox: string, what: FetchedRows): string {
  const { scans, withoutTopics } = what
  const next = (rows: string) => rowsOf(outbox, what, '= o.b', 'o.lo', rows)
  // Bounded: among ten million rows of topics that are left out, one statement would search for another until it is broken off.
  const others = () => `SELECT m.* FROM (SELECT l.*, row_number() OVER () AS seen FROM (${next('o.look')}) AS l) AS m
    WHERE m."topic" <> ALL(ARRAY[${withoutTopics.map(literal).join(',')}]) OR m.seen = o.look LIMIT o.n`
  const columns = [
    column(scans, 'bucket', 'smallint'),
    column(scans, 'after', 'bigint'),
    column(scans, 'limit', 'bigint'),
    column(scans, 'look', 'bigint'),
  ]
  return `unnest(${columns.join(', ')}) AS o(b, lo, n, look) CROSS JOIN LATERAL ${sized(withoutTopics.length === 0 ? next('o.n') : others())}`
}

/** The rows of buckets in the order of the primary key. */
function rowsOf(
  outbox: string,
  { withoutIds }: FetchedRows,
  buckets: string,
  after: string | number,
  rows: string | number,
): string {
  const ids = withoutIds.length === 0 ? '' : ` AND m."id" <> ALL(${integers(withoutIds, 'bigint')})`
  return `SELECT m.* FROM ${outbox} AS m
    WHERE m."bucket" ${buckets} AND m."id" > ${after} AND m."id" <= ${maxId}${ids} ORDER BY m."bucket", m."id" LIMIT ${rows}`
}

/** Rows with their size in bytes: found without that a value is loaded. */
const sized = (rows: string): string => `(SELECT r.*,
    coalesce(octet_length(r."key"), 0) + coalesce(octet_length(r."value"), 0) + coalesce(octet_length(r."headers"::text), 0)
      + coalesce(octet_length(r."type"), 0) AS size
    FROM (${rows}) AS r) AS x`

const column = (scans: readonly Scan[], name: keyof Scan, type: 'smallint' | 'bigint'): string =>
  integers(
    scans.map((scan) => scan[name]),
    type,
  )
