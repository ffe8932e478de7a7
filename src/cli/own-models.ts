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

/** Finds the models of the outbox that stand in a project without the marks of `init`: all of its tables, with all their columns. */
export function ownModels(files: readonly SchemaFile[]): OwnModels | undefined {
  const theirs = files.flatMap((file) => declarations(file.text))
  const [outbox, inbox] = [ours(theirs, false), ours(theirs, true)]
  const found = inbox ?? outbox
  if (!found) return undefined
  const named = (table: string, usual: string) => {
    const name = found.find((model) => model.table === table)?.name
    return name === usual ? undefined : name
  }
  const naming = {
    model: named('outbox', 'Outbox'),
    inboxModel: named('inbox', 'Inbox'),
    schema: found[0]!.schema,
    inbox: inbox !== undefined,
  }
  const names = found.map(({ name }) => name)
  return { naming, files: files.map((file) => ({ ...file, text: without(file.text, names) })) }
}

/** The models on our tables, if they are all there and have our columns. */
function ours(theirs: readonly Declaration[], inbox: boolean): Declaration[] | undefined {
  const found = declarations(fragment({ inbox })).map((own) =>
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
