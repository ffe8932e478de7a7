import type { RowName } from '../store.ts'

/**
 * Begins every message of ours on a connection of our own, in force until its transaction ends. With the path of the role, a login that may
 * create a function or an operator in a schema of that path could have this role run it.
 */
export const ownPath = 'SET LOCAL search_path=pg_catalog,pg_temp;'

/**
 * Whether a role has to write who asks for a redrive or discard: `names` is true where the trigger of the migration is missing, and the role
 * may.
 */
export const namesAuthor = (table: string, trigger: string): string =>
  `SELECT has_column_privilege(${literal(table)}, 'requested_by', 'UPDATE') AND NOT EXISTS
  (SELECT 1 FROM pg_trigger WHERE tgrelid = ${literal(table)}::regclass AND tgname = ${literal(trigger)}) AS names`

/** Quotes a text. E'' and doubled backslashes hold whatever standard_conforming_strings says. */
export const literal = (text: string): string => `E'${text.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`

/** Largest id that JavaScript holds exactly, 2^53 - 1. */
export const maxId = String(Number.MAX_SAFE_INTEGER)

/** Rows of an alias whose ids no relay can carry. Two conditions, each a range of the primary key. */
export const strayIds = (alias: string): readonly [string, string] => [`${alias}."id" < 1`, `${alias}."id" > ${maxId}`]

/** Bounds of a moment that people can have meant, as the CHECK on `created_at` has them. */
const [firstMoment, lastMoment] = ["'0001-01-01 00:00:00+00'::timestamptz", "'9999-12-31 00:00:00+00'::timestamptz"]

/** A moment within those bounds: before PostgreSQL 17 infinity cannot be subtracted, and JSON has no word for it. */
export const bounded = (column: string): string =>
  `CASE WHEN ${column} < ${firstMoment} THEN ${firstMoment} WHEN ${column} > ${lastMoment} THEN ${lastMoment} ELSE ${column} END`

/** Milliseconds since a moment, as float8. */
export const ageMs = (column: string): string => `(extract(epoch FROM clock_timestamp() - ${bounded(column)}) * 1000)::float8`

/** Bytes as a constant. */
export const bytes = (value: Uint8Array): string => `${literal(`\\x${Buffer.from(value).toString('hex')}`)}::bytea`

/** Numbers as an array. */
export const integers = (values: readonly number[], type: 'smallint' | 'bigint'): string => `'{${values.join(',')}}'::${type}[]`

/** UUIDs as an array. */
export const uuids = (values: readonly string[]): string => `'{${values.join(',')}}'::uuid[]`

/** Rows by their names, as a table `n(b, i, m)`. */
export const rowNames = (rows: readonly RowName[]): string => {
  const column = <K extends keyof RowName>(name: K) => rows.map((row) => row[name])
  return `unnest(${integers(column('bucket'), 'smallint')}, ${integers(column('id'), 'bigint')}, ${uuids(column('messageId'))}) AS n(b, i, m)`
}

/** A span of time. */
export const milliseconds = (ms: number): string => `interval '${Math.round(ms)} milliseconds'`

/** The end of the longest lease that there can be from now on, whatever `lease_ms` says: one that ends later is none. */
export const longestLease = (lease: string): string =>
  `clock_timestamp() + least(${lease}."lease_ms", 300000) * interval '1 millisecond'`

/** The last id that a sequence has drawn. One that was never used has last_value 1: taken at its word, the mark would pass row 1 unseen. */
export const lastDrawn = '(CASE WHEN is_called THEN last_value ELSE last_value - 1 END)'

/** The columns that outbox and outbox_dead_letter have in common. */
export const columns = '"bucket", "id", "message_id", "topic", "type", "key", "value", "headers", "created_at"'

/** {@link columns} of a table with that alias. */
export const columnsOf = (alias: string): string =>
  columns.replaceAll('"bucket"', `${alias}."bucket"`).replaceAll(', "', `, ${alias}."`)
