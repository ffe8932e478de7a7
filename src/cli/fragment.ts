import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { OutboxError } from '../message/errors.ts'
import { isPrefix, prefixRange, tableNames } from '../message/tables.ts'

/** How the outbox is named in a user's project. */
export interface Naming {
  /** Name of the message model. Default: `Outbox`. The table is called `outbox`, after its prefix, whatever the model's name. */
  model?: string | undefined
  /** PostgreSQL schema of the tables, written as `@@schema` and into the migration. Default: the connection's own. */
  schema?: string | undefined
  /** Stands before the name of each table, index, constraint and function. @default '' */
  tablePrefix?: string | undefined
  /** The tables of consumers, too. */
  inbox?: boolean | undefined
  /** Name of the model of applied messages. Default: `Inbox`. The table is called `inbox` whatever the model's name. */
  inboxModel?: string | undefined
}

/** What there is to write: the outbox, and the inbox of consumers. */
export type Part = 'outbox' | 'inbox'

/** What stands in a PostgreSQL schema and is named where it is used: tables and functions. An index is where its table is. */
const placed: readonly string[] = [...Object.values(tableNames), 'outbox_author', 'inbox_author']

/** Bytes of a name in PostgreSQL; it cuts longer ones. */
const nameBytes = 63

/** A name with the prefix. One of an index that is too long then is cut as Prisma cuts it, so that Prisma sees no drift. */
function prefixed(name: string, prefix: string): string {
  const whole = prefix + name
  return whole.length <= nameBytes ? whole : `${whole.slice(0, nameBytes - '_idx'.length)}_idx`
}

/** The package's own folder `prisma`: the same way up from `src/cli` and from `dist/cli`. */
const shipped = fileURLToPath(new URL('../../prisma/', import.meta.url))

/**
 * The models to put into a Prisma schema. All but `Outbox` and `Inbox` are always called as in the shipped files: `OutboxLease`,
 * `InboxDeadLetter`.
 */
export function fragment({ model = 'Outbox', inboxModel = 'Inbox', schema, tablePrefix = '', inbox }: Naming = {}): string {
  const read = (part: Part) => readFileSync(`${shipped}${part}.prisma`, 'utf8')
  const outbox = read('outbox').replace(/^model Outbox \{/m, `model ${model} {`)
  const all = inbox ? `${outbox}\n${read('inbox').replace(/^model Inbox \{/m, `model ${inboxModel} {`)}` : outbox
  const text = all.replace(/^ {2}@@map\("/gm, (map) => map + tablePrefix)
  return schema ? text.replace(/^ {2}@@map\(.*\)$/gm, (map) => `${map}\n  @@schema("${schema}")`) : text
}

/**
 * The same models for a contract of Prisma 8 that cannot use the extension, because the tables have a prefix or another schema. Prisma 8
 * creates and drops none of them.
 */
export function contractFragment({ model = 'Outbox', inboxModel = 'Inbox', schema, tablePrefix = '', inbox }: Naming): string {
  const text = readFileSync(`${shipped}prisma-8/outbox.prisma`, 'utf8').replace(/^[\s\S]*?(?=^model )/m, '')
  const [outbox, consumers] = text.split(/^(?=model Inbox \{)/m)
  const models = (inbox ? [outbox, consumers] : [outbox])
    .join('')
    .trimEnd()
    .replace(/^model Outbox \{/m, `model ${model} {`)
    .replace(/^model Inbox \{/m, `model ${inboxModel} {`)
    .replace(/((?:\bmap: |@@map\()")(\w+)/g, (_, start, name) => start + prefixed(name, tablePrefix))
  return schema ? `namespace ${schema} {\n${models.replace(/^(?=.)/gm, '  ')}\n}` : models
}

/** The SQL that creates the tables of a part. */
export function migration({ schema, tablePrefix = '' }: Naming = {}, part: Part = 'outbox'): string {
  const folders = readdirSync(`${shipped}migrations`).filter((name) => name.endsWith(`_${part}`))
  const files = folders.map((name) => readFileSync(`${shipped}migrations/${name}/migration.sql`, 'utf8'))
  // A trigger's name is its table's own: it has no prefix.
  const names = /(\.?)"((?:outbox|inbox)(?!_dead_letter_request")(?:_\w+)?)"/g
  const inSchema = (name: string) => (schema && placed.includes(name) ? `"${schema}".` : '')
  // The body of a function names the schema itself.
  const qualified = files.join('\n').replace(names, (_, dot, name) => `${dot || inSchema(name)}"${prefixed(name, tablePrefix)}"`)
  if (!schema) return qualified
  return qualified.replace(/\n\n/, `\n\n-- Does nothing where the schema exists.\nCREATE SCHEMA IF NOT EXISTS "${schema}";\n\n`)
}

/** Refuses names that Prisma would refuse, or that would need quoting rules of their own in SQL. */
export function checkNaming({ model, inboxModel, schema, tablePrefix = '' }: Naming): void {
  checkModel('--model', model, 'OutboxMessage')
  checkModel('--inbox-model', inboxModel, 'InboxMessage')
  if (schema !== undefined && !/^[\w$-]{1,63}$/.test(schema)) {
    const remedy = 'Give a name of letters, digits and underscores, such as shop.'
    throw new OutboxError('INVALID_OPTION', '--schema must be a name for a PostgreSQL schema.', { field: '--schema', remedy })
  }
  if (!isPrefix(tablePrefix)) {
    const remedy = 'Give a short one, such as p_.'
    throw new OutboxError('INVALID_OPTION', `--table-prefix must be ${prefixRange}.`, { field: '--table-prefix', remedy })
  }
}

function checkModel(field: string, name: string | undefined, example: string): void {
  if (name === undefined || /^[A-Za-z]\w*$/.test(name)) return
  const remedy = `Give a name of letters, digits and underscores, such as ${example}.`
  throw new OutboxError('INVALID_OPTION', `${field} must be a name for a Prisma model.`, { field, remedy })
}
