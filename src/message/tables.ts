// Names of the tables in PostgreSQL, for everything that writes SQL: the store, and enqueue and inbox through Prisma.

/** Quotes an identifier. */
export const quote = (name: string): string => `"${name.replaceAll('"', '""')}"`

/** All tables of the package, without schema, by what the code calls them. */
export const tableNames = {
  outbox: 'outbox',
  lease: 'outbox_lease',
  relay: 'outbox_relay',
  dead: 'outbox_dead_letter',
  batch: 'outbox_batch',
  inbox: 'inbox',
  inboxDead: 'inbox_dead_letter',
  projection: 'inbox_projection',
} as const

/** Names of the tables in SQL, quoted and with their schema. */
export type Tables = Readonly<Record<keyof typeof tableNames, string>>

/** The tables of a PostgreSQL schema. */
export const tablesOf = (schema: string): Tables =>
  Object.fromEntries(Object.entries(tableNames).map(([table, name]) => [table, `${quote(schema)}.${quote(name)}`])) as Tables
