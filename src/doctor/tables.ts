import { quote, tableNames, tablesOf } from '../message/tables.ts'
import type { Column, TableFacts } from '../store/postgres/facts.ts'
import {
  activeRowSecurity,
  chooseTables,
  missingRights,
  missingTables,
  type Refusal,
  sequenceBehind,
  tableFormats,
  unfitSequence,
  unknownFormat,
} from '../store/postgres/refusals.ts'
import { authorTrigger } from '../store/postgres/statements.ts'
import type { CheckWith } from './checks.ts'
import type { Attached, Creators, DatabaseFacts } from './questions/examine-database.ts'
import { failure, ok, unseen, type Verdict, warning } from './verdict.ts'

/** Dead rows from which autovacuum is behind: its threshold is 10,000. */
const deadRows = 100_000

const types: Record<string, string> = {
  BIGSERIAL: 'bigint',
  'TIMESTAMPTZ(6)': 'timestamp(6) with time zone',
}

/** The columns that a migration creates, with types as the catalog writes them. */
export function columnsIn(migration: string): Column[] {
  return [...migration.matchAll(/CREATE TABLE "(\w+)" \(\n(.*?)\n\);/gs)].flatMap(([, table, body]) =>
    [...body!.matchAll(/^ +"(\w+)" ([A-Z]+(?:\(\d+\))?)( NOT NULL)?/gm)].map(([, column, type, notNull]) => ({
      table: table!,
      column: column!,
      type: types[type!] ?? type!.toLowerCase(),
      notNull: notNull !== undefined,
    })),
  )
}

/** Judges the outbox tables; `wanted` are the columns of the shipped migration. */
export function judgeTables(
  facts: Omit<DatabaseFacts, 'surroundings' | 'holders' | 'topics' | 'others'>,
  wanted: readonly Column[],
): Verdict[] {
  const { set, tables, leases, creators, attached, present } = facts
  const missing = missingTables(set, tables)
  if (missing) return [refused('tables', present.length === 0 ? missing : { ...missing, fix: chooseTables(present, set) })]
  return [
    judgeColumns(tables, wanted),
    verdict('rights', missingRights(tables), 'This role has the rights of a relay on all tables.'),
    judgeCreators(creators),
    judgeAttached(attached, set.prefix + tableNames.dead),
    verdict('row security', activeRowSecurity(tables), 'No row-level security is active for this role.'),
    ...judgeEach(tables),
    judgeSequence(facts),
    judgeFormat(leases),
  ]
}

/** A reason why relays do not start, as they say it themselves. */
const refused = (check: CheckWith<'failure'>, { finding, why, fix }: Refusal): Verdict => failure(check, finding, why, fix)

const verdict = (check: CheckWith<'failure'>, refusal: Refusal | undefined, well: string): Verdict =>
  refusal ? refused(check, refusal) : ok(check, well)

/** Relays refuse only what is missing; here another type counts, too. */
function judgeColumns(tables: readonly TableFacts[], wanted: readonly Column[]): Verdict {
  const columns = tables.flatMap((table) => table.columns)
  const differences = wanted.flatMap((want) => {
    const found = columns.find(({ table, column }) => table === want.table && column === want.column)
    const name = `${want.table}.${want.column}`
    if (!found) return [`${name} is missing`]
    if (found.type !== want.type) return [`${name} is ${found.type}, not ${want.type}`]
    return found.notNull === want.notNull ? [] : [`${name} is ${found.notNull ? 'NOT NULL' : 'nullable'}`]
  })
  if (differences.length === 0) return ok('tables', 'The tables have the columns of the shipped migration.')
  const why = 'Relays refuse tables without their columns, and other types change what is stored.'
  const fix = 'npx prisma-extension-outbox init writes models and migration; alter the columns back with a migration of your own.'
  return failure('tables', `${differences.join('; ')}.`, why, fix)
}

function judgeCreators(creators: readonly Creators[]): Verdict {
  if (creators.length === 0) return ok('search path', 'No other role may create objects in a schema that statements search.')
  const what = creators.map(({ schema, roles }) => `${roles.join(', ')} may create objects in schema ${schema}`).join('; ')
  const why =
    'A function or operator that such a role leaves there can replace one of PostgreSQL: your statements, and those of a superuser in psql, run it with their rights. The statements of relays and commands search pg_catalog only.'
  const role = (name: string) => (name === 'PUBLIC' ? name : quote(name))
  const fix = creators
    .map(({ schema, roles }) => `REVOKE CREATE ON SCHEMA ${quote(schema)} FROM ${roles.map(role).join(', ')};`)
    .join(' ')
  return warning('search path', `${what}.`, why, fix)
}

function judgeAttached(all: readonly Attached[], dead: string): Verdict {
  const strange = all.filter(({ table, name }) => table !== dead || name !== authorTrigger)
  if (strange.length > 0) {
    const what = strange.map(({ table, kind, name }) => `${kind} ${name} on ${table}`).join(', ')
    const why =
      'It runs with the rights of the relay and of operators, with the search path pg_catalog, and can change or keep rows: messages are then lost, held up or sent twice.'
    const fix = strange.map(({ table, kind, name }) => `DROP ${kind.toUpperCase()} "${name}" ON "${table}";`).join(' ')
    return warning('triggers', `${what}.`, why, `If you do not know it: ${fix}`)
  }
  if (all.length > 0) return ok('triggers', 'The tables have the trigger of the migration, and no other.')
  return warning(
    'triggers',
    `The trigger ${authorTrigger} is missing on ${dead}.`,
    'It writes which login asks for a redrive or discard; without it the name is what a client says.',
    'Run CREATE FUNCTION and CREATE TRIGGER of the migration that "npx prisma-extension-outbox init --print" shows.',
  )
}

function judgeEach(tables: readonly TableFacts[]): Verdict[] {
  const namesOf = (list: TableFacts[]) => list.map(({ name }) => name).join(', ')
  const statements = (list: TableFacts[], end: string) =>
    list.map(({ qualified }) => `ALTER TABLE ${qualified} ${end};`).join(' ')
  const unlogged = tables.filter((table) => table.unlogged)
  const off = tables.filter(({ vacuumOff }) => vacuumOff)
  const behind = tables.filter(({ dead, live }) => dead > deadRows && dead > live)
  return [
    unlogged.length === 0
      ? ok('logged', 'All tables are logged.')
      : failure(
          'logged',
          `UNLOGGED: ${namesOf(unlogged)}.`,
          'A crash of the server empties them: messages are lost.',
          statements(unlogged, 'SET LOGGED'),
        ),
    off.length > 0
      ? warning(
          'vacuum',
          `Autovacuum is off for ${namesOf(off)}.`,
          'Every published message leaves a dead row; reads grow slower and slower.',
          `${statements(off, 'RESET (autovacuum_enabled)')} and see that autovacuum = on.`,
        )
      : behind.length > 0
        ? warning(
            'vacuum',
            `More dead rows than live ones in ${namesOf(behind)}.`,
            'Autovacuum does not keep up, or an old transaction holds it back.',
            `${behind.map(({ qualified }) => `VACUUM ${qualified};`).join(' ')} See also the check horizon.`,
          )
        : ok('vacuum', 'Autovacuum is on, and keeps up.'),
  ]
}

function judgeSequence({ set, sequence, ids }: Pick<DatabaseFacts, 'set' | 'sequence' | 'ids'>): Verdict {
  const unfit = unfitSequence(sequence)
  // Of a role that may not read it nothing is known: not that a relay's role may not.
  if (unfit?.code === 'MISSING_RIGHTS') return unseen('sequence', unfit.finding, unfit.why, unfit.fix)
  if (unfit) return refused('sequence', unfit)
  if (ids === null)
    return unseen('sequence', 'The ids of the tables cannot be read.', 'Ids give the order.', 'See the check rights.')
  const behind = sequenceBehind(tablesOf(set.schema, set.prefix), sequence!.name, ids)
  return verdict('sequence', behind, 'Ids are drawn one by one, and are not behind the table.')
}

function judgeFormat(leases: DatabaseFacts['leases']): Verdict {
  if (leases === null)
    return unseen('format', 'The table outbox_lease cannot be read.', 'It holds the format.', 'See the check rights.')
  const well = `The tables have format ${leases.format ?? tableFormats.atLeastOnce}, which this version knows.`
  return verdict('format', unknownFormat(leases.format), well)
}
