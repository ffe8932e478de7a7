import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { OutboxError } from '../message/errors.ts'

/** How the outbox is named in a user's project. */
export interface Naming {
  /** Name of the message model. Default: `Outbox`. The table is called `outbox` whatever the model's name. */
  model?: string | undefined
  /** PostgreSQL schema of the tables, written as `@@schema` and into the migration. Default: the connection's own. */
  schema?: string | undefined
  /** The tables of consumers, too. */
  inbox?: boolean | undefined
  /** Name of the model of applied messages. Default: `Inbox`. The table is called `inbox` whatever the model's name. */
  inboxModel?: string | undefined
}

/** What there is to write: the outbox, and the inbox of consumers. */
export type Part = 'outbox' | 'inbox'

/** Names of the tables, and of a function each; all models but `Outbox` and `Inbox` are always called as in the fragments: `OutboxLease`, `InboxDeadLetter`. */
const tables: Record<Part, readonly string[]> = {
  outbox: ['outbox', 'outbox_lease', 'outbox_relay', 'outbox_dead_letter', 'outbox_batch', 'outbox_author'],
  inbox: ['inbox', 'inbox_dead_letter', 'inbox_projection', 'inbox_author'],
}

/** The package's own folder `prisma`: the same way up from `src/cli` and from `dist/cli`. */
const shipped = fileURLToPath(new URL('../../prisma/', import.meta.url))

/** The models to put into a Prisma schema. */
export function fragment({ model = 'Outbox', inboxModel = 'Inbox', schema, inbox }: Naming = {}): string {
  const read = (part: Part) => readFileSync(`${shipped}${part}.prisma`, 'utf8')
  const outbox = read('outbox').replace(/^model Outbox \{/m, `model ${model} {`)
  const text = inbox ? `${outbox}\n${read('inbox').replace(/^model Inbox \{/m, `model ${inboxModel} {`)}` : outbox
  return schema ? text.replace(/^ {2}@@map\(.*\)$/gm, (map) => `${map}\n  @@schema("${schema}")`) : text
}

/** The SQL that creates the tables of a part. */
export function migration({ schema }: Naming = {}, part: Part = 'outbox'): string {
  const folders = readdirSync(`${shipped}migrations`).filter((name) => name.endsWith(`_${part}`))
  const files = folders.map((name) => readFileSync(`${shipped}migrations/${name}/migration.sql`, 'utf8'))
  const sql = files.join('\n')
  if (!schema) return sql
  const names = new RegExp(`"(?:${tables[part].join('|')})"`, 'g')
  const qualified = sql.replace(names, (table) => `"${schema}".${table}`)
  return qualified.replace(/\n\n/, `\n\n-- Does nothing where the schema exists.\nCREATE SCHEMA IF NOT EXISTS "${schema}";\n\n`)
}

/** Refuses names that Prisma would refuse, or that would need quoting rules of their own in SQL. */
export function checkNaming({ model, inboxModel, schema }: Naming): void {
  checkModel('--model', model, 'OutboxMessage')
  checkModel('--inbox-model', inboxModel, 'InboxMessage')
  if (schema !== undefined && !/^[\w$-]{1,63}$/.test(schema)) {
    const remedy = 'Give a name of letters, digits and underscores, such as shop.'
    throw new OutboxError('INVALID_OPTION', '--schema must be a name for a PostgreSQL schema.', { field: '--schema', remedy })
  }
}

function checkModel(field: string, name: string | undefined, example: string): void {
  if (name === undefined || /^[A-Za-z]\w*$/.test(name)) return
  const remedy = `Give a name of letters, digits and underscores, such as ${example}.`
  throw new OutboxError('INVALID_OPTION', `${field} must be a name for a Prisma model.`, { field, remedy })
}
