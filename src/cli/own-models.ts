import { OutboxError } from '../message/errors.ts'
import { prefixOf, tableNames } from '../message/tables.ts'
import { fragment, type Naming } from './fragment.ts'
import { type SchemaFile, withoutComments } from './prisma-project.ts'

// Models of a Prisma schema, and which of them are ours. "prisma db pull" writes the models of the outbox again, without the marks of `init`
// and, in a schema that lacked them, under the names of the tables. Used by init.

/** A declaration of a Prisma schema. */
export interface Declaration {
  name: string
  /** Undefined of an enum and of a type. */
  table: string | undefined
  schema: string | undefined
  /** Between its braces. */
  body: string
}

/** The models, views, enums and types of a text. */
export function declarations(text: string): Declaration[] {
  const found = withoutComments(text).matchAll(/^[ \t]*(model|view|enum|type)\s+(\w+)\s*\{([\s\S]*?)^[ \t]*\}/gm)
  return [...found].map(([, kind, name, body]) => ({
    name: name!,
    table: kind === 'model' || kind === 'view' ? (/@@map\((?:name:\s*)?"([^"]*)"/.exec(body!)?.[1] ?? name) : undefined,
    schema: /@@schema\("([^"]*)"/.exec(body!)?.[1],
    body: body!,
  }))
}

/** What unmarked models of ours say of the names, and the files without them. */
export interface OwnModels {
  naming: Naming
  files: SchemaFile[]
}

/**
 * Finds the models of the outbox that stand in a project without the marks of `init`: all of its tables, with all their columns.
 * `tablePrefix`: those that are asked for; otherwise any.
 */
export function ownModels(files: readonly SchemaFile[], asked: string | undefined): OwnModels | undefined {
  const theirs = files.flatMap((file) => declarations(file.text))
  const tablePrefix = asked ?? prefixIn(theirs)
  const [outbox, inbox] = [ours(theirs, { tablePrefix }), ours(theirs, { tablePrefix, inbox: true })]
  const found = inbox ?? outbox
  if (!found) return undefined
  const named = (table: string, usual: string) => {
    const name = found.find((model) => model.table === tablePrefix + table)?.name
    return name === usual ? undefined : name
  }
  const naming = {
    model: named('outbox', 'Outbox'),
    inboxModel: named('inbox', 'Inbox'),
    schema: found[0]!.schema,
    tablePrefix: tablePrefix || undefined,
    inbox: inbox !== undefined,
  }
  const names = found.map(({ name }) => name)
  return { naming, files: files.map((file) => ({ ...file, text: without(file.text, names) })) }
}

/** The prefix of the set of tables that has all of its models; empty if none has. "prisma db pull" writes the models of all sets. */
function prefixIn(theirs: readonly Declaration[]): string {
  const prefixes = new Set(theirs.map(({ table = '' }) => prefixOf(table, tableNames.outbox)))
  const found = [...prefixes].filter((tablePrefix) => tablePrefix !== undefined && ours(theirs, { tablePrefix }))
  if (found.length <= 1) return found[0] ?? ''
  const remedy = `Name the one of this application: --table-prefix ${found.find(Boolean)}, or --table-prefix "" for "outbox".`
  const what = `The schema has the models of ${found.length} outboxes.`
  throw new OutboxError('PRISMA_PROJECT', what, { field: '--table-prefix', remedy })
}

/** The models on our tables, if they are all there and have our columns. */
function ours(theirs: readonly Declaration[], naming: Naming): Declaration[] | undefined {
  const found = declarations(fragment(naming)).map((own) =>
    theirs.find((model) => model.table === own.table && columnsOf(model) === columnsOf(own)),
  )
  return found.every((model) => model !== undefined) ? found : undefined
}

/** Columns in alphabetical order. */
function columnsOf({ body }: Declaration): string {
  const fields = body.split('\n').filter((line) => /^\s*\w+\s+\w/.test(line))
  return fields
    .map((line) => /@map\("([^"]*)"/.exec(line)?.[1] ?? /\w+/.exec(line)![0])
    .sort()
    .join(' ')
}

/** The text without these models, and without the documentation in front of them. */
function without(text: string, names: readonly string[]): string {
  const model = new RegExp(
    `(?:^[ \\t]*///.*\\r?\\n)*^[ \\t]*model\\s+(?:${names.join('|')})\\s*\\{[\\s\\S]*?^[ \\t]*\\}[ \\t]*(?:\\r?\\n|$)+`,
    'gm',
  )
  return text.replace(model, '')
}
