import type { Tables } from '../../message/tables.ts'
import { literal } from './sql.ts'

// Other outboxes of the database that nobody relays: in another PostgreSQL schema, or with another prefix. An application that writes to one
// of them, because its models name other tables than its relay, would wait for its messages without end.

/** Limits of the statement, for a connection that has other work. */
export const otherOutboxesLimits = { statementTimeoutMs: 1_000, lockTimeoutMs: 100, givesWay: true } as const

/** Outboxes that are looked into, and that are told of. */
const [mostFound, mostTold] = [500, 20]

/** Columns by which an outbox is told from a table of the application. */
const columns = ['bucket', 'id', 'message_id', 'topic', 'key', 'value', 'headers']

/** Outboxes other than that of `tables`. A set whose tables the role may not read, or not wholly, is left out. */
const found = ({ outbox }: Tables): string => `WITH named AS MATERIALIZED (
  SELECT o.oid, n.nspname::text AS schema, o.relname::text AS name FROM pg_class AS o JOIN pg_namespace AS n ON n.oid = o.relnamespace
  WHERE o.relkind IN ('r', 'p') AND o.relname ~ '^([a-z_][a-z0-9_]{0,29})?outbox$' AND has_schema_privilege(n.oid, 'USAGE')
    AND o.oid IS DISTINCT FROM to_regclass(${literal(outbox)})),
found AS MATERIALIZED (SELECT t.schema, left(t.name, -length('outbox')) AS prefix
  FROM named AS t CROSS JOIN LATERAL (SELECT to_regclass(format('%I.%I', t.schema, t.name || '_relay')) AS oid) AS r
  WHERE to_regclass(format('%I.%I', t.schema, t.name || '_lease')) IS NOT NULL
    AND (SELECT count(*) FROM pg_attribute WHERE attrelid = t.oid AND NOT attisdropped AND attname = ANY('{${columns.join(',')}}')) = ${columns.length}
    AND EXISTS (SELECT FROM pg_attribute WHERE attrelid = r.oid AND attname = 'seen_at' AND NOT attisdropped AND has_column_privilege(r.oid, attnum, 'SELECT'))
    AND has_any_column_privilege(t.oid, 'SELECT') AND NOT row_security_active(t.oid) AND NOT row_security_active(r.oid)
  ORDER BY 1, 2 LIMIT ${mostFound})`

/** Rows `schema, prefix`, at most 20: outboxes that may be meant where that of `tables` is not there. */
export const presentOutboxes = (tables: Tables): string => `${found(tables)}
SELECT schema, prefix FROM found LIMIT ${mostTold}`

/**
 * Rows `schema, prefix`, at most 20: outboxes other than that of `tables` that have messages, and no heartbeat of the last minute. A set that
 * the role may not read is left out: in a database that services share, that is the usual case. query_to_xml is PostgreSQL's way to read a
 * table whose name a query has found.
 */
export const otherOutboxes = (tables: Tables): string => `${found(tables)}
SELECT schema, prefix FROM found WHERE query_to_xml(format('SELECT EXISTS (SELECT FROM %1$I.%2$I) AND NOT EXISTS (SELECT FROM %1$I.%3$I
  WHERE seen_at > clock_timestamp() - interval ''1 minute'') AS alone', schema, prefix || 'outbox', prefix || 'outbox_relay'), true, false, '')::text
  LIKE '%<alone>true%' LIMIT ${mostTold}`
