import type { Tables } from '../../message/tables.ts'
import { factStatements, named } from '../../store/postgres/facts.ts'
import { otherOutboxes, presentOutboxes } from '../../store/postgres/other-outboxes.ts'
import { ageMs, integers, literal, ownPath, uuids } from '../../store/postgres/sql.ts'

/** Milliseconds that a statement of the doctor may take: what it asks is in the catalog, or among the first rows. */
const timeoutMs = 5_000

/** Waiting messages of each bucket among which the largest is looked for. */
const headRows = 160

/**
 * Every statement of the doctor. They only read, but for the one that takes out what the doctor itself wrote; those that read have a time-out,
 * which ends with them, also behind a pooler.
 */
export function doctorStatements(tables: Tables) {
  const { outbox } = tables
  const facts = factStatements(tables)
  const all = named(tables)
  const bounded = (sql: string) => `SET LOCAL statement_timeout=${timeoutMs};${ownPath}${sql}`

  return {
    /** Server and session. Settings are those that a session of this role begins with. */
    surroundings: () =>
      bounded(`SELECT current_setting('server_version_num')::int AS version, current_setting('synchronous_commit') AS "synchronousCommit",
  current_setting('fsync') AS fsync, current_setting('default_transaction_isolation') AS isolation, current_setting('TimeZone') AS "timeZone",
  pg_backend_pid() AS pid, (extract(epoch FROM clock_timestamp()) * 1000)::float8 AS "nowMs"`),

    /** TLS and address of this session, as the server sees them. */
    ownLink: () =>
      bounded(`SELECT version AS "serverTls", pg_catalog.host(pg_catalog.inet_client_addr()) AS "from"
  FROM pg_catalog.pg_stat_ssl WHERE pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid()`),

    /** See {@link factStatements}. */
    catalog: () => bounded(facts.catalog()),
    leases: () => bounded(facts.leases()),
    ids: (sequence: string) => bounded(facts.ids(sequence)),

    /**
     * Roles other than the owners that may create objects in a schema of the tables or of the path with which a session of this role
     * begins. Superusers need no such right.
     */
    creators: (schema: string) =>
      bounded(`SELECT n.nspname AS schema, json_agg(DISTINCT coalesce(r.rolname, 'PUBLIC')) AS roles
  FROM pg_namespace AS n CROSS JOIN aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) AS a LEFT JOIN pg_roles AS r ON r.oid = a.grantee
  WHERE a.privilege_type = 'CREATE' AND a.grantee <> n.nspowner AND NOT coalesce(r.rolsuper, false)
  AND a.grantee <> ALL(SELECT c.relowner FROM ${all} JOIN pg_class AS c ON c.oid = n.oid)
  AND n.nspname = ANY(SELECT ${literal(schema)} UNION ALL SELECT CASE trim(p, ' "') WHEN '$user' THEN session_user::text ELSE trim(p, ' "') END
    FROM pg_settings AS s CROSS JOIN string_to_table(s.reset_val, ',') AS p WHERE s.name = 'search_path') GROUP BY 1 ORDER BY 1`),

    /** See {@link otherOutboxes}. */
    otherOutboxes: () => bounded(otherOutboxes(tables)),
    /** See {@link presentOutboxes}. */
    presentOutboxes: () => bounded(presentOutboxes(tables)),

    /** Triggers and rules on the tables. */
    attached: () =>
      bounded(`SELECT n.name AS table, 'trigger' AS kind, t.tgname AS name FROM ${all} JOIN pg_trigger AS t ON t.tgrelid = n.oid AND NOT t.tgisinternal
  UNION ALL SELECT n.name, 'rule', r.rulename FROM ${all} JOIN pg_rewrite AS r ON r.ev_class = n.oid ORDER BY 1, 2, 3`),

    /** Who keeps VACUUM from dead rows: sessions, replication slots, prepared transactions; the oldest first. */
    holders: () =>
      bounded(`SELECT * FROM (SELECT 'session' AS kind, pid::text AS name, coalesce(state, 'hidden') AS state, ${ageMs('xact_start')} AS "ageMs", age(backend_xmin)::float8 AS xids
    FROM pg_stat_activity WHERE backend_xmin IS NOT NULL AND pid <> pg_backend_pid() AND datname = current_database()
  UNION ALL SELECT 'slot', slot_name, CASE WHEN active THEN 'active' ELSE 'inactive' END, NULL, greatest(age(xmin), age(catalog_xmin))::float8
    FROM pg_replication_slots WHERE coalesce(xmin, catalog_xmin) IS NOT NULL
  UNION ALL SELECT 'prepared', gid, 'prepared', ${ageMs('prepared')}, age(transaction)::float8 FROM pg_prepared_xacts WHERE database = current_database()) AS h
  ORDER BY "ageMs" DESC NULLS LAST LIMIT 5`),

    /**
     * Where the outbox is: start of the server, database and table. The application's client also sends it, under a search path of its own,
     * and takes one statement only: names are qualified.
     */
    place: () =>
      `SELECT pg_catalog.concat_ws('/', extract(epoch FROM pg_catalog.pg_postmaster_start_time())::pg_catalog.text,
  (SELECT oid::pg_catalog.text FROM pg_catalog.pg_database WHERE datname OPERATOR(pg_catalog.=) pg_catalog.current_database()),
  pg_catalog.to_regclass(${literal(outbox)})::pg_catalog.oid::pg_catalog.text) AS place`,

    /** Deletes messages that were rolled back, or should have been, and tells which were there. */
    takeRemains: (bucket: number, ids: readonly string[]) =>
      bounded(
        `DELETE FROM ${outbox} WHERE "bucket" = ANY(${integers([bucket], 'smallint')}) AND "message_id" = ANY(${uuids(ids)}) RETURNING "message_id"::text AS id`,
      ),

    /** Topics of waiting messages, with the largest among the first ones of each bucket. */
    topics: () =>
      bounded(`SELECT t."topic" AS topic, max(t.bytes)::float8 AS bytes FROM generate_series(0, 63) AS b CROSS JOIN LATERAL
  (SELECT m."topic", coalesce(octet_length(m."key"), 0) + coalesce(octet_length(m."value"), 0) + coalesce(octet_length(m."headers"::text), 0) AS bytes
    FROM ${outbox} AS m WHERE m."bucket" = b ORDER BY m."bucket", m."id" LIMIT ${headRows}) AS t GROUP BY 1 ORDER BY 1`),
  }
}
