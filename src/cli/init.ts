import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { Command } from 'commander'
import { isOutboxError, OutboxError } from '../message/errors.ts'
import { tableNames } from '../message/tables.ts'
import { hasBlock, namingInBlock, outsideBlock, withBlock } from './block.ts'
import { checkNaming, fragment, migration, type Naming, type Part } from './fragment.ts'
import { given } from './given.ts'
import { prismaHelp } from './help.ts'
import { initPrisma8, printedForPrisma8 } from './init-prisma8.ts'
import { declarations, ownModels } from './own-models.ts'
import { type PrismaProject, type ProjectOptions, readProject, type SchemaFile } from './prisma-project.ts'
import { prisma8Project } from './prisma8-project.ts'
import { addFlags, settings } from './settings.ts'

/** What `init` is asked for. */
export interface InitOptions extends ProjectOptions, Naming {
  /** Stamps the migration folder. */
  now: Date
}

/** A file that `init` looked after. */
export interface InitFile {
  /** Relative to the project. */
  path: string
  /** What was done: a file of the user's got the block of the outbox, or its block was out of date. */
  done: 'created' | 'extended' | 'updated' | 'unchanged'
}

/** What `init` has done. */
export interface InitResult {
  files: [schema: InitFile, ...migrations: [InitFile, ...InitFile[]]]
  /** The names in use: those asked for, else those of an earlier run. */
  naming: Naming
}

/**
 * Writes the models and the migration into a Prisma project. What is there already is left alone, so it may run any number of times. Models
 * of ours without marks, as `prisma db pull` leaves them, get the marks again.
 * Nothing is written where it throws: `OUTBOX_PRISMA_PROJECT` or `OUTBOX_INVALID_OPTION`.
 */
export function init(options: InitOptions): InitResult {
  checkNaming(options)
  const found = readProject(options)
  const { marked, own, project } = surveyed(found, options.tablePrefix)
  const target = marked ?? newTarget(project)
  const before = own?.naming ?? namingInBlock(target.text)
  const naming = {
    model: options.model ?? before.model,
    schema: options.schema ?? before.schema,
    tablePrefix: options.tablePrefix ?? before.tablePrefix,
    // Only ever added: to leave the models out again would drop the tables with the next migration.
    inbox: options.inbox || before.inbox,
    inboxModel: options.inboxModel ?? before.inboxModel,
  }
  checkSchemas(project, naming)
  checkNames(project, naming)
  const text = withBlock(target, naming)
  const migrationOf = (part: Part) => migrationFile(project, { naming, before }, part, options.now)
  const outbox = migrationOf('outbox')
  const inbox = naming.inbox ? [migrationOf('inbox')] : []
  const put = (file: SchemaFile) => place(options.cwd, file.path, file.text)
  // The others lost models of ours that stood there without marks.
  const others = project.files.filter(({ path, text }, n) => path !== target.path && text !== found.files[n]!.text)
  return { files: [put({ path: target.path, text }), put(outbox), ...[...inbox, ...others].map(put)], naming }
}

/**
 * What `init` would write, for projects that keep their schema or migrations in another way. Names that a project in this folder has taken are
 * refused, as `init` does.
 */
export function printed({ now, ...naming }: InitOptions): string {
  checkNaming(naming)
  const found = projectOrNone(naming)
  if (found) checkNames(surveyed(found, naming.tablePrefix).project, naming)
  const parts: Part[] = naming.inbox ? ['outbox', 'inbox'] : ['outbox']
  const files = parts.map((part) => `\n-- migrations/${stamp(now)}_${part}/migration.sql\n${migration(naming, part)}`)
  return `// outbox.prisma\n${fragment(naming)}${files.join('')}`
}

/** The file with the marked models, or the models of ours without marks, and the project without the latter. */
function surveyed(found: PrismaProject, tablePrefix: string | undefined) {
  const marked = found.files.find((file) => hasBlock(file.text))
  const own = marked ? undefined : ownModels(found.files, tablePrefix)
  return { marked, own, project: { ...found, files: own?.files ?? found.files } }
}

/** The Prisma project of the folder; undefined: none that `init` understands. */
function projectOrNone(options: ProjectOptions): PrismaProject | undefined {
  try {
    return readProject(options)
  } catch (error) {
    if (isOutboxError(error, 'OUTBOX_PRISMA_PROJECT')) return undefined
    throw error
  }
}

/** The command `init`, for the program to add. */
export function initCommand(): Command {
  const command = new Command('init')
    .description('Add the outbox to a Prisma project: its models and a migration, or its extension (Prisma 8)')
    .option(
      '--schema-path <path>',
      'Schema file or folder (default: as in the config file of Prisma, otherwise schema.prisma, prisma/schema.prisma or prisma/schema)',
    )
    .option(
      '--migrations-path <path>',
      'Migrations folder (default: as in the config file, otherwise migrations beside the schema)',
    )
    .option('--model <name>', 'Name of the message model, if Outbox is taken (default: Outbox)')
    .option('--schema <name>', 'PostgreSQL schema of the tables (default: that of the connection)')
  addFlags(command, { tablePrefix: settings.tablePrefix })
    .option('--inbox', 'Also add the tables of consumers')
    .option('--inbox-model <name>', 'Name of the model of applied messages, if Inbox is taken (default: Inbox)')
    .option('--print', 'Print what it would add, write nothing')
    .helpOption('-h, --help', 'Display this help message')
    .action((flags: Omit<InitOptions, 'cwd' | 'now'> & { print?: boolean }) => {
      const now = new Date()
      const asked = { ...flags, tablePrefix: given({ ...flags }, process.env).read('tablePrefix') }
      const options = { ...asked, cwd: process.cwd(), now }
      const project = prisma8Project(options.cwd)
      if (project) process.stdout.write(flags.print ? printedForPrisma8(options) : initPrisma8(project, options))
      else process.stdout.write(flags.print ? printed(options) : report(init(options)))
    })
  return prismaHelp(command, [
    ['Write both into the project of this folder', ''],
    ['The application has a model Outbox of its own', '--model OutboxMessage'],
    ['Keep the tables in the PostgreSQL schema "shop"', '--schema shop'],
    ['It has a table "outbox" of its own', '--model OutboxMessage --table-prefix p_'],
    ['This application also consumes messages', '--inbox'],
    ['It has a model Inbox of its own', '--inbox --inbox-model InboxMessage'],
    ['See the SQL and the models first', '--print'],
  ])
}

/** What the user reads afterwards. */
export function report({ files, naming }: InitResult): string {
  const [, outboxMigration] = files
  if (files.every((file) => file.done === 'unchanged')) {
    return `Nothing to do: ${files.map((file) => file.path).join(' and ')} are up to date.\n`
  }
  const steps = [
    'npx prisma migrate dev        creates the tables (in production: npx prisma migrate deploy)',
    'npx prisma generate',
    // The tables of the inbox were added to a project that has the outbox.
    ...(naming.inbox && outboxMigration.done === 'unchanged' ? [] : producerSteps(naming)),
    ...(naming.inbox ? ["In a consumer: import { createInbox } from 'prisma-extension-outbox/inbox'"] : []),
  ]
  return `${files.map((file) => `${file.done.padEnd(9)}  ${file.path}`).join('\n')}

Next steps
${steps.map((step, n) => `  ${n + 1}. ${step}\n`).join('')}`
}

const producerSteps = (naming: Naming): string[] => [
  `import { outbox } from 'prisma-extension-outbox'
     const prisma = new PrismaClient({ adapter }).$extends(outbox(${extensionOptions(naming)}))`,
  `npx prisma-extension-outbox relay${relayFlags(naming)}`,
]

const relayFlags = ({ schema, tablePrefix }: Naming): string =>
  `${schema ? ` --schema ${schema}` : ''}${tablePrefix ? ` --table-prefix ${tablePrefix}` : ''}`

function extensionOptions({ model, schema }: Naming): string {
  const options = [model && `model: '${lowerFirst(model)}'`, schema && `schema: '${schema}'`].filter(Boolean)
  return options.length ? `{ ${options.join(', ')} }` : ''
}

function newTarget(project: PrismaProject): SchemaFile {
  if (!project.folder) return project.files[0]!
  const path = join(project.folder, 'outbox.prisma')
  return project.files.find((file) => file.path === path) ?? { path, text: '' }
}

/** A datasource that lists PostgreSQL schemas wants `@@schema` on every model, and one that lists none allows it on none. */
function checkSchemas({ schemas }: PrismaProject, { schema }: Naming): void {
  if (schema ? schemas.includes(schema) : schemas.length === 0) return
  const field = '--schema'
  if (!schema) {
    const remedy = `Say which of them is to have the tables: --schema ${schemas[0]}.`
    throw new OutboxError('INVALID_OPTION', 'The datasource lists several PostgreSQL schemas.', { field, remedy })
  }
  const remedy = `Add it to schemas = [...] in the datasource. If the database URL says ?schema=${schema}, leave --schema out.`
  throw new OutboxError('INVALID_OPTION', `The datasource does not list the PostgreSQL schema "${schema}".`, { field, remedy })
}

/** Flags for the models of ours whose names others like too, by table. */
const renaming: Record<string, readonly [flag: string, example: string]> = {
  outbox: ['--model', 'OutboxMessage'],
  inbox: ['--inbox-model', 'InboxMessage'],
}

/** Two models of one name, or on one table, would be a schema that Prisma refuses. */
function checkNames({ files }: PrismaProject, naming: Naming): void {
  const own = declarations(fragment(naming))
  const theirs = files.flatMap((file) => declarations(outsideBlock(file.text)))
  for (const { name, table, schema } of theirs) {
    // Prisma's client calls them by their name with a small first letter, so these must differ too.
    const taken = own.find((model) => lowerFirst(model.name) === lowerFirst(name))
    if (taken) {
      const [field, example] = renaming[taken.table?.slice(naming.tablePrefix?.length ?? 0) ?? ''] ?? []
      const rename = field === undefined ? 'rename yours.' : `name ours differently: ${field} ${example}.`
      throw new OutboxError('PRISMA_PROJECT', `The schema has a model ${name} of its own.`, {
        field: field ?? '--model',
        remedy: `If it is a copy of ours, delete it and try again; else ${rename}`,
      })
    }
    if (own.some((model) => model.table === table && model.schema === schema)) {
      const remedy = 'Give ours a prefix, --table-prefix p_, or keep them in another PostgreSQL schema, --schema outbox.'
      throw new OutboxError('PRISMA_PROJECT', `The model ${name} has the table "${table}".`, { field: '--table-prefix', remedy })
    }
  }
}

const lowerFirst = (name: string) => name.charAt(0).toLowerCase() + name.slice(1)

/** A table that nobody else would call so: anyone who creates it has our migration. */
const ownTable: Record<Part, string> = { outbox: tableNames.lease, inbox: tableNames.inboxDead }

/** The migration that creates our tables: the project's own if there is one, however it was written, else a new one. */
function migrationFile(
  { migrationsPath }: PrismaProject,
  { naming, before }: { naming: Naming; before: Naming },
  part: Part,
  now: Date,
): SchemaFile {
  const [prefix, earlier] = [naming.tablePrefix ?? '', before.tablePrefix ?? '']
  const names = existsSync(migrationsPath) ? readdirSync(migrationsPath).sort() : []
  const texts = names.flatMap((name) => {
    const path = join(migrationsPath, name, 'migration.sql')
    return existsSync(path) ? [{ name, path, text: readFileSync(path, 'utf8') }] : []
  })
  for (const { name, path, text } of texts) {
    const created = creating(prefix + ownTable[part]).exec(text)
    if (!created) continue
    if (!naming.schema || naming.schema === (created[1] ?? 'public')) return { path, text }
    const remedy = `Leave --schema out, or move the tables with a migration of your own: ALTER TABLE ... SET SCHEMA.`
    throw new OutboxError('PRISMA_PROJECT', `The migration ${name} creates the tables in another PostgreSQL schema.`, { remedy })
  }
  const other = prefix === earlier ? undefined : texts.find(({ text }) => creating(earlier + ownTable[part]).test(text))
  if (other) {
    const remedy = `Leave --table-prefix out, or rename the tables with a migration of your own: ALTER TABLE ... RENAME TO ...`
    const what = `The migration ${other.name} creates the tables with another prefix.`
    throw new OutboxError('PRISMA_PROJECT', what, { field: '--table-prefix', remedy })
  }
  // Prisma takes a migration that sorts before applied ones for a diverged history, and wants to reset the database.
  const newest = names.findLast((name) => /^\d{14}_/.test(name))?.slice(0, 14) ?? ''
  const name = `${stamp(now) > newest ? stamp(now) : Number(newest) + 1}_${part}`
  return { path: join(migrationsPath, name, 'migration.sql'), text: migration(naming, part) }
}

/** Finds what makes a table of that name: with its PostgreSQL schema, if that is given. */
const creating = (table: string): RegExp =>
  new RegExp(`(?:CREATE TABLE (?:IF NOT EXISTS )?(?:"([^"]*)"\\.)?|RENAME TO )"${table}"`)

/** yyyymmddhhmmss in UTC, as Prisma names its migrations. */
const stamp = (now: Date) => now.toISOString().replace(/\D/g, '').slice(0, 14)

function place(cwd: string, path: string, text: string): InitFile {
  const before = existsSync(path) ? readFileSync(path, 'utf8') : undefined
  const shown = relative(cwd, path).replaceAll('\\', '/')
  if (before === text) return { path: shown, done: 'unchanged' }
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, text)
  return { path: shown, done: before === undefined ? 'created' : hasBlock(before) ? 'updated' : 'extended' }
}
