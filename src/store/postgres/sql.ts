/** Quotes an identifier. */
export const identifier = (name: string): string => `"${name.replaceAll('"', '""')}"`

/** Quotes a text. E'' and doubled backslashes hold whatever standard_conforming_strings says. */
export const literal = (text: string): string => `E'${text.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`

/** Bytes as a constant. */
export const bytes = (value: Uint8Array): string => `'\\x${Buffer.from(value).toString('hex')}'::bytea`

/** Numbers as an array. */
export const integers = (values: readonly number[], type: 'smallint' | 'bigint'): string => `'{${values.join(',')}}'::${type}[]`

/** UUIDs as an array. */
export const uuids = (values: readonly string[]): string => `'{${values.join(',')}}'::uuid[]`

/** A span of time. */
export const milliseconds = (ms: number): string => `interval '${Math.round(ms)} milliseconds'`

/** The last id that a sequence has drawn. One that was never used has last_value 1: taken at its word, the mark would pass row 1 unseen. */
export const lastDrawn = '(CASE WHEN is_called THEN last_value ELSE last_value - 1 END)'

/** The columns that outbox and outbox_dead have in common. */
export const columns = '"bucket", "id", "message_id", "topic", "type", "key", "value", "headers", "created_at"'

/** {@link columns} of a table with that alias. */
export const columnsOf = (alias: string): string =>
  columns.replaceAll('"bucket"', `${alias}."bucket"`).replaceAll(', "', `, ${alias}."`)
