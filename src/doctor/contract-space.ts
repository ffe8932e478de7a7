import type { TableSet } from '../message/tables.ts'
import { failure, ok, unseen, type Verdict, warning } from './verdict.ts'

// Whether the commands of Prisma 8 know our tables. They stop, or leave an upgrade out, or plan to drop tables, and none of these says what to do.

/** What a project of Prisma 8 has of our tables. */
export interface SpaceFacts {
  /** Whether prisma.config.ts has the extension; undefined: it does not say. */
  declared: boolean | undefined
  /** How migrations/outbox compares with the migrations of this version; undefined: where it is cannot be read. */
  planned: 'none' | 'current' | 'earlier' | 'other' | undefined
  /** The command that copies our migrations. */
  planCommand: string
  /** Tables of the emitted contract by PostgreSQL schema; undefined: there is no contract to read. */
  tables: Readonly<Record<string, readonly string[]>> | undefined
}

const check = 'contract space'
const migrate = 'npx prisma db migrate --advance-ref db (or npx prisma db update)'

/** Judges the project; `there`: names of the tables of the set that the database has. */
export function judgeSpace(space: SpaceFacts, set: TableSet, there: readonly string[]): Verdict {
  const { declared, planCommand } = space
  const plan = `${planCommand}; commit migrations/outbox; ${migrate}`
  if (declared && space.planned === 'none') {
    const why = 'db init, db update, db migrate and db verify stop with MIGRATION.CONTRACT_SPACE_LAYOUT_VIOLATION.'
    return failure(check, 'prisma.config.ts has the extension, and migrations/outbox is not there.', why, plan)
  }
  if (declared && space.planned === 'earlier') {
    const why = 'db migrate and db verify report that all is up to date, and the tables lack what this version needs.'
    return failure(check, 'migrations/outbox lacks a migration of this version.', why, plan)
  }
  if (declared && space.planned === 'other') {
    const fix = 'Install the version that migrations/outbox was planned with, or a newer one.'
    return warning(check, 'migrations/outbox is of another version.', 'This version may not know the tables.', fix)
  }
  return judgeDrops(space, set, there)
}

/** Prisma 8 drops the tables of a schema that the contract has and that neither the contract nor an extension knows. */
function judgeDrops({ declared, planned, planCommand, tables }: SpaceFacts, set: TableSet, there: readonly string[]): Verdict {
  const extended = set.schema === 'public' && set.prefix === ''
  if (declared && extended) return ok(check, 'prisma.config.ts has the extension, with the migrations of this version.')
  if (there.length === 0) return ok(check, 'The database has no tables that Prisma 8 could drop.')
  if (declared === undefined && extended) return unread('Whether prisma.config.ts has the extension is computed.')
  if (tables === undefined) return unread('There is no emitted contract to read.')
  const known = tables[set.schema]
  const dropped = known ? there.filter((name) => !known.includes(name)) : []
  if (dropped.length === 0) return ok(check, 'The contract has the tables, or leaves their schema alone.')
  const orphan = planned !== undefined && planned !== 'none' && !declared
  const why = orphan
    ? 'Prisma 8 refuses every command because of migrations/outbox, and without that folder drops messages with the tables.'
    : 'It asks for consent first, and with the tables go the messages that wait.'
  return warning(check, `prisma db update plans to drop ${dropped.join(', ')}.`, why, fixOf(set, extended, planCommand))
}

function fixOf({ schema, prefix }: TableSet, extended: boolean, planCommand: string): string {
  if (extended) return `npx prisma-extension-outbox init; npx prisma contract emit; ${planCommand}; ${migrate}`
  const flags = `${schema === 'public' ? '' : ` --schema ${schema}`}${prefix === '' ? '' : ` --table-prefix ${prefix}`}`
  return `Copy the models of "npx prisma-extension-outbox init --print${flags}" into the contract, then npx prisma contract emit.`
}

const unread = (finding: string): Verdict =>
  unseen(
    check,
    finding,
    'prisma db update drops tables that Prisma 8 does not know.',
    'npx prisma contract emit, or see what "npx prisma db update --dry-run" plans.',
  )
