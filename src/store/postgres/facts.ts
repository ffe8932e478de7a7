import { nameOf, type Tables } from '../../message/tables.ts'
import { lastDrawn, literal, maxId } from './sql.ts'

// Facts about the outbox tables: the statements that collect them. Asked by the start check of a relay, by operators and by the doctor; judged in
// refusals.ts.

/** A column, its type as `format_type` writes it. */
export interface Column {
  table: string
  column: string
  type: string
  notNull: boolean
}

/** One of the outbox tables. */
export interface TableFacts {
  kind: OutboxTableKind
  /** With its prefix. */
  name: string
  /** Its name in SQL, with the schema. */
  qualified: string
  columns: Column[]
  unlogged: boolean
  rowSecurity: boolean
  vacuumOff: boolean
  dead: number
  live: number
  /** Of SELECT, INSERT, UPDATE, DELETE those that the role lacks. */
  denied: string[]
}

/** The sequence of outbox.id. */
export interface SequenceFacts {
  /** Its name in SQL, with the schema. */
  name: string
  readable: boolean
  /** Numbers that a session draws ahead. */
  cache: number
}

/** Ids, exact up to 2^53. */
export interface IdFacts {
  /** The highest id in the tables. */
  highest: number
  /** The last id that the sequence has drawn. */
  last: number
}

/** What the catalog alone says, whatever tables and rights are missing. */
export interface CatalogFacts {
  replica: boolean
  readOnly: boolean
  /** Those that there are. */
  tables: TableFacts[]
  sequence: SequenceFacts | null
}

/** What the leases say. */
export interface LeaseFacts {
  format: number | null
  leaseMs: number | null
}

/** The tables of an outbox. */
export const outboxTables = ['outbox', 'lease', 'relay', 'dead', 'batch'] as const

/** One of them. */
export type OutboxTableKind = (typeof outboxTables)[number]

/** A table `n(kind, name, oid)` of the tables; the oid of one that is missing is null. */
export const named = (tables: Tables): string =>
  `(VALUES ${outboxTables.map((one) => `(${literal(one)}, ${literal(nameOf(tables[one]))}, to_regclass(${literal(tables[one])}))`).join(', ')}) AS n(kind, name, oid)`

/** Statements that only read. */
export function factStatements(tables: Tables) {
  const { outbox, lease, dead } = tables
  const top = (table: string, from: number) =>
    `(SELECT max(top) FROM generate_series(0, 63) AS b, LATERAL (SELECT "id" AS top FROM ${table} WHERE "bucket" = b AND "id" BETWEEN ${from} AND ${maxId} ORDER BY "bucket" DESC, "id" DESC LIMIT 1) AS t)`
  return {
    /** One row, {@link CatalogFacts}. */
    catalog: () => `SELECT pg_is_in_recovery() AS replica, current_setting('transaction_read_only') = 'on' AS "readOnly",
  (SELECT coalesce(json_agg(t ORDER BY t.name), '[]') FROM (SELECT n.kind, n.name, c.oid::regclass::text AS qualified,
    (SELECT coalesce(json_agg(json_build_object('table', n.name, 'column', a.attname, 'type', format_type(a.atttypid, a.atttypmod), 'notNull', a.attnotnull)), '[]')
      FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns,
    c.relpersistence = 'u' AS unlogged, row_security_active(c.oid) AS "rowSecurity",
    coalesce(c.reloptions::text, '') LIKE '%autovacuum_enabled=false%' OR current_setting('autovacuum') = 'off' AS "vacuumOff",
    coalesce(s.n_dead_tup, 0)::float8 AS dead, coalesce(s.n_live_tup, 0)::float8 AS live,
    (SELECT coalesce(json_agg(r.r), '[]') FROM unnest(ARRAY['SELECT','INSERT','UPDATE','DELETE']) AS r(r) WHERE NOT has_table_privilege(c.oid, r.r)) AS denied
    FROM ${named(tables)} JOIN pg_class AS c ON c.oid = n.oid LEFT JOIN pg_stat_all_tables AS s ON s.relid = c.oid) AS t) AS tables,
  (SELECT row_to_json(q) FROM (SELECT seqrelid::regclass::text AS name, has_sequence_privilege(seqrelid, 'SELECT') AS readable, seqcache::float8 AS cache
    FROM pg_sequence WHERE seqrelid = (SELECT CASE WHEN count(*) > 0 THEN pg_get_serial_sequence(${literal(outbox)}, 'id') END
      FROM pg_attribute WHERE attrelid = to_regclass(${literal(outbox)}) AND attname = 'id' AND NOT attisdropped)::regclass) AS q) AS sequence`,

    /** One row, {@link LeaseFacts}. */
    leases: () => `SELECT max("format")::int AS format, min("lease_ms") AS "leaseMs" FROM ${lease}`,

    /** One row, {@link IdFacts}. Not the id 1 of a dead row: such are those whose own no relay can carry. */
    ids: (sequence: string) =>
      `SELECT coalesce(greatest(${top(outbox, 1)}, ${top(dead, 2)}), 0)::float8 AS highest, ${lastDrawn}::float8 AS last FROM ${sequence}`,
  }
}
