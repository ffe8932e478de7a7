// Names of the tables in PostgreSQL, for everything that writes SQL: the store, and enqueue and inbox through Prisma.

/** Quotes an identifier. */
export const quote = (name: string): string => `"${name.replaceAll('"', '""')}"`

/** All tables of the package, without schema and prefix, by what the code calls them. */
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

/** Where one set of tables is: the relays, the commands and the models of an outbox must agree on both. */
export interface TableSet {
  /** PostgreSQL schema. */
  schema: string
  /** Stands before the name of each table; empty for `outbox`, `outbox_lease`, and so on. */
  prefix: string
}

/** Name of the message table of a set, as people read it. */
export const outboxName = ({ schema, prefix }: TableSet): string => `${schema}.${prefix}${tableNames.outbox}`

/** Names of the tables in SQL, quoted and with their schema. */
export type Tables = Readonly<Record<keyof typeof tableNames, string>>

/** The tables of a PostgreSQL schema that have this prefix. */
export const tablesOf = (schema: string, prefix = ''): Tables =>
  Object.fromEntries(
    Object.entries(tableNames).map(([table, name]) => [table, `${quote(schema)}.${quote(prefix + name)}`]),
  ) as Tables

/** Name of one of {@link Tables} without its schema and quotes. A prefix has no quote in it. */
export const nameOf = (table: string): string => table.split('"').at(-2)!

/** What a prefix is made of. With 30 characters the longest name of a table, a sequence and a CHECK fits into PostgreSQL's 63. */
export const prefixRange = 'a lower-case letter or an underscore, then up to 29 of these and digits'

/** Whether the text can be a prefix; an empty one is none. */
export const isPrefix = (text: unknown): text is string => typeof text === 'string' && /^([a-z_][a-z0-9_]{0,29})?$/.test(text)

/** The prefix of the set to which a table of that name belongs; undefined: the name is that of no such table. */
export function prefixOf(name: string, table: (typeof tableNames)[keyof typeof tableNames]): string | undefined {
  const prefix = name.endsWith(table) ? name.slice(0, -table.length) : undefined
  return isPrefix(prefix) ? prefix : undefined
}
