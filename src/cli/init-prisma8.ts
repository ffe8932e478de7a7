import { writeFileSync } from 'node:fs'
import { OutboxError } from '../message/errors.ts'
import { tableNames } from '../message/tables.ts'
import { checkNaming, contractFragment, migration, type Naming, type Part } from './fragment.ts'
import { extensionEntry, withExtension } from './orm-config.ts'
import type { Prisma8Project } from './prisma8-project.ts'

// `init` in a project of Prisma 8: the tables are an extension of Prisma's own commands, so it declares the extension in prisma.config.ts and
// names the commands that create the tables. Where it cannot edit that file safely, it prints the lines.

/** What `init` is asked for in a project of Prisma 8. */
export interface Prisma8Options extends Naming {
  schemaPath?: string | undefined
  migrationsPath?: string | undefined
}

const configLines = `import { outbox } from '${extensionEntry}'
ormConfig({ …, extensions: [outbox] })`

const clientLines = `import { outboxRuntime, withOutbox } from '${extensionEntry}'
const db = withOutbox(postgres<Contract>({ contractJson, url, extensions: [outboxRuntime], verifyMarker: false }))`

/**
 * Declares the extension, and returns what the user reads. It may run any number of times.
 *
 * @throws OutboxError INVALID_OPTION for names that the extension does not have, PRISMA_PROJECT for tables that are taken.
 */
export function initPrisma8(project: Prisma8Project, options: Prisma8Options): string {
  checkPaths(options)
  checkNames(options)
  checkTables(project)
  if (project.planned === 'other') {
    const remedy = 'Install the version of this package that the project was planned with, or a newer one.'
    throw new OutboxError('PRISMA_PROJECT', 'migrations/outbox is of another version of this package.', { remedy })
  }
  if (project.declared && project.planned === 'current') {
    return 'Nothing to do: prisma.config.ts has the extension, and migrations/outbox is up to date.\n'
  }
  const steps = nextSteps(project, options.inbox).map((step, n) => `  ${n + 1}. ${step.replaceAll('\n', '\n     ')}\n`)
  return `${declare(project)}\n\nNext steps\n${steps.join('')}`
}

/** The lines and the SQL of the extension, or, with names of its own, models and SQL for tables that the extension does not have. */
export function printedForPrisma8(options: Prisma8Options): string {
  checkPaths(options)
  checkNaming(options)
  const { schema, tablePrefix, model, inboxModel, inbox } = options
  if (!schema && !tablePrefix && !model && !inboxModel) {
    const lines = `// prisma.config.ts\n${configLines}\n\n// the module of your client\n${clientLines}\n`
    return lines + sqlOf({}, ['outbox', 'inbox'])
  }
  checkNamespace(schema)
  const note = '// Prisma 8 neither creates nor drops these tables: apply the SQL below.'
  const models = `// the models for your contract\n${note}\n\n${contractFragment(options)}\n`
  return models + sqlOf(options, inbox ? ['outbox', 'inbox'] : ['outbox'])
}

const sqlOf = (naming: Naming, parts: readonly Part[]): string =>
  parts.map((part) => `\n-- ${part}.sql\n${migration(naming, part)}`).join('')

function checkPaths({ schemaPath, migrationsPath }: Prisma8Options): void {
  const field = schemaPath !== undefined ? '--schema-path' : migrationsPath !== undefined ? '--migrations-path' : undefined
  if (field === undefined) return
  const what = `${field} is for Prisma 6 and 7, and this is a project of Prisma 8.`
  const remedy = `Leave ${field} out: prisma.config.ts says where the contract and the migrations are.`
  throw new OutboxError('INVALID_OPTION', what, { field, remedy })
}

function checkNames({ schema, tablePrefix, model, inboxModel }: Prisma8Options): void {
  const names = { '--schema': schema, '--table-prefix': tablePrefix, '--model': model, '--inbox-model': inboxModel }
  const [field] = Object.entries(names).find(([, value]) => value) ?? []
  if (field === undefined) return
  const what = 'With Prisma 8 the tables are an extension: in the schema public, under their own names, without models.'
  const remedy = `Leave ${field} out, or add --print to get models and SQL for other names.`
  throw new OutboxError('INVALID_OPTION', what, { field, remedy })
}

/** Prisma 8 refuses a table that is in the contract and in the extension, only later and without our names. */
function checkTables({ tables }: Prisma8Project): void {
  const ours: readonly string[] = Object.values(tableNames)
  const taken = tables?.public?.find((table) => ours.includes(table))
  if (taken === undefined) return
  const copy = 'If it is one of our models, delete them from the contract, run "npx prisma contract emit" and try again'
  const own = 'If it is yours, see "init --print --table-prefix p_".'
  throw new OutboxError('PRISMA_PROJECT', `The contract has a table "${taken}".`, { remedy: `${copy}. ${own}` })
}

/** The contract writes the name of a schema without quotes. */
function checkNamespace(schema: string | undefined): void {
  if (schema === undefined || /^[A-Za-z_]\w*$/.test(schema)) return
  const what = 'A contract of Prisma 8 names schemas by letters, digits and underscores.'
  throw new OutboxError('INVALID_OPTION', what, { field: '--schema', remedy: 'Give such a name, for example shop.' })
}

/** Edits prisma.config.ts where that is safe, and says what was done or what to do. */
function declare({ declared, configPath, text }: Prisma8Project): string {
  if (declared) return 'unchanged  prisma.config.ts'
  const extended = withExtension(text)
  if (extended === undefined) {
    const lines = configLines.replace(/^/gm, '  ')
    return `prisma.config.ts cannot be edited safely, and is as it was. Add these lines to it:\n\n${lines}`
  }
  writeFileSync(configPath, extended)
  return 'extended   prisma.config.ts'
}

function nextSteps({ planned, planCommand }: Prisma8Project, inbox: boolean | undefined): string[] {
  const plan = `${planCommand}   copies our migrations to migrations/outbox; commit that folder`
  const migrate =
    'npx prisma db migrate --advance-ref db   creates the tables (without migrations of yours: npx prisma db update)'
  if (planned === 'earlier') return [plan, migrate]
  const producer = [clientLines, 'npx prisma-extension-outbox relay']
  const consumer = inbox ? ["In a consumer: import { createInbox } from 'prisma-extension-outbox/inbox'"] : []
  return ['npx prisma contract emit', plan, migrate, ...(planned === 'current' ? [] : producer), ...consumer]
}
