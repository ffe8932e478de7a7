import { destinationOf } from '../enqueue/prisma8-destinations.ts'
import { isPrefix, prefixOf, prefixRange, type TableSet, tableNames } from '../message/tables.ts'
import { modelsOf, schemaOf } from '../prisma/client-internals.ts'
import { wrongOption } from './failure.ts'

// Finds the tables of a consumer: by its options, otherwise by the models of its Prisma client, or, with Prisma 8, by the options of its
// outbox. Called by inbox and projection.

/** Options that say where the tables of a consumer are. */
export interface InboxPlace {
  /** PostgreSQL schema of the tables. @default the model's `@@schema`, else that of the connection or of `withOutbox()`, else 'public' */
  schema?: string | undefined
  /** Prefix of the tables: `p_` for `p_inbox`, `p_inbox_dead_letter`. @default the table of the model without `inbox`, or as `withOutbox()` has it, else none */
  tablePrefix?: string | undefined
}

/** The table that a consumer needs first, and columns by which its model is told from one of the application. */
const columns = {
  inbox: ['consumer', 'message_id', 'processed_at'],
  projection: ['name', 'topic', 'partition', 'next_offset'],
} as const

/**
 * The set of tables that a consumer works on.
 *
 * @throws {OutboxError} OUTBOX_INVALID_OPTION if the prefix is none, or the models have several.
 */
export function inboxSet(client: object, table: keyof typeof columns, { schema, tablePrefix }: InboxPlace): TableSet {
  const models = modelsOf(client) ?? []
  if (tablePrefix !== undefined && !isPrefix(tablePrefix)) throw wrongOption('tablePrefix', prefixRange)
  const outbox = destinationOf(client)?.table
  const prefix = tablePrefix ?? (outbox ? prefixOf(outbox.table, tableNames.outbox)! : mappedPrefix(models, table))
  const model = models.find((one) => one.table === prefix + tableNames[table])
  return { schema: schema ?? outbox?.schema ?? model?.schema ?? schemaOf(client) ?? 'public', prefix }
}

/** The prefix that the models have; none if a model has the table without one, or no model has it. */
function mappedPrefix(models: NonNullable<ReturnType<typeof modelsOf>>, table: keyof typeof columns): string {
  const own = models.filter(({ fields }) => columns[table].every((column) => Object.hasOwn(fields, column)))
  const found = new Set(own.map((model) => prefixOf(model.table, tableNames[table])).filter((prefix) => prefix !== undefined))
  if (found.size > 1 && !found.has('')) throw wrongOption('tablePrefix', `one of ${[...found].join(', ')}`)
  return found.has('') ? '' : ([...found][0] ?? '')
}
