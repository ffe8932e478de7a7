import { catchUp, tableFormat } from '../store/postgres/check.ts'
import { authorTrigger } from '../store/postgres/statements.ts'
import type { Attached, Column, Creators, DatabaseFacts, TableFacts } from './questions/examine-database.ts'
import { failure, ok, unseen, type Verdict, warning } from './verdict.ts'

/** Rights that a relay needs on each table. */
const rights: Record<string, readonly string[]> = {
  outbox: ['SELECT', 'INSERT', 'DELETE'],
  outbox_lease: ['SELECT', 'INSERT', 'UPDATE'],
  outbox_relay: ['SELECT', 'INSERT', 'UPDATE', 'DELETE'],
  outbox_dead_letter: ['SELECT', 'INSERT', 'UPDATE', 'DELETE'],
}

/** Dead rows from which autovacuum is behind: its threshold is 10,000. */
const deadRows = 100_000

const types: Record<string, string> = {
  BIGSERIAL: 'bigint',
  'TIMESTAMPTZ(6)': 'timestamp(6) with time zone',
}

/** The columns that a migration creates, with types as the catalogue writes them. */
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
  facts: Omit<DatabaseFacts, 'surroundings' | 'holders' | 'topics'>,
  wanted: readonly Column[],
): Verdict[] {
  const { schema, tables, columns, sequence, leases, creators, attached } = facts
  const missing = Object.keys(rights).filter((name) => !tables.some((table) => table.name === name))
  if (missing.length > 0) {
    const fix = 'npx prisma-extension-outbox init, then npx prisma migrate deploy; --schema names another PostgreSQL schema.'
    return [failure('tables', `Not in schema ${schema}: ${missing.join(', ')}.`, 'Nothing can be enqueued or relayed.', fix)]
  }
  return [
    judgeColumns(columns, wanted),
    judgeRights(tables),
    judgeCreators(creators),
    judgeAttached(attached),
    ...judgeEach(tables),
    judgeSequence(sequence),
    judgeFormat(leases),
  ]
}

function judgeColumns(columns: readonly Column[], wanted: readonly Column[]): Verdict {
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

function judgeRights(tables: readonly TableFacts[]): Verdict {
  const lacking = tables.flatMap(({ name, denied }) => {
    const needed = denied.filter((right) => rights[name]!.includes(right))
    return needed.length === 0 ? [] : [{ name, list: needed.join(', ') }]
  })
  if (lacking.length === 0) return ok('rights', 'This role has the rights of a relay on all tables.')
  const what = lacking.map(({ name, list }) => `${list} on ${name}`).join('; ')
  const fix = `${lacking.map(({ name, list }) => `GRANT ${list} ON "${name}" TO …;`).join(' ')} ops/grants.sql has all roles.`
  return failure('rights', `This role lacks ${what}.`, 'A relay with this role does not start.', fix)
}

function judgeCreators(creators: readonly Creators[]): Verdict {
  if (creators.length === 0) return ok('search path', 'No other role may create objects in a schema that statements search.')
  const what = creators.map(({ schema, roles }) => `${roles.join(', ')} may create objects in schema ${schema}`).join('; ')
  const why =
    'A function or operator that such a role leaves there can replace one of PostgreSQL: your statements, and those of a superuser in psql, run it with their rights. The statements of relays and commands search pg_catalog only.'
  const role = (name: string) => (name === 'PUBLIC' ? name : `"${name}"`)
  const fix = creators
    .map(({ schema, roles }) => `REVOKE CREATE ON SCHEMA "${schema}" FROM ${roles.map(role).join(', ')};`)
    .join(' ')
  return warning('search path', `${what}.`, why, fix)
}

function judgeAttached(all: readonly Attached[]): Verdict {
  const strange = all.filter(({ table, name }) => table !== 'outbox_dead_letter' || name !== authorTrigger)
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
    `The trigger ${authorTrigger} is missing on outbox_dead_letter.`,
    'It writes which login asks for a redrive or discard; without it the name is what a client says.',
    'Run CREATE FUNCTION and CREATE TRIGGER of the migration that "npx prisma-extension-outbox init --print" shows.',
  )
}

function judgeEach(tables: readonly TableFacts[]): Verdict[] {
  const names = (which: (table: TableFacts) => boolean) => tables.filter(which).map(({ name }) => name)
  const statements = (list: string[], end: string) => list.map((name) => `ALTER TABLE "${name}" ${end};`).join(' ')
  const hidden = names(({ rowSecurity }) => rowSecurity)
  const unlogged = names((table) => table.unlogged)
  const off = names(({ vacuumOff }) => vacuumOff)
  const behind = names(({ dead, live }) => dead > deadRows && dead > live)
  return [
    hidden.length === 0
      ? ok('row security', 'No row-level security is active for this role.')
      : failure(
          'row security',
          `Row-level security is active on ${hidden.join(', ')}.`,
          'Rows stay unseen, and are never published.',
          `ALTER ROLE … BYPASSRLS; or: ${statements(hidden, 'DISABLE ROW LEVEL SECURITY')}`,
        ),
    unlogged.length === 0
      ? ok('logged', 'All tables are logged.')
      : failure(
          'logged',
          `UNLOGGED: ${unlogged.join(', ')}.`,
          'A crash of the server empties them: messages are lost.',
          statements(unlogged, 'SET LOGGED'),
        ),
    off.length > 0
      ? warning(
          'vacuum',
          `Autovacuum is off for ${off.join(', ')}.`,
          'Every published message leaves a dead row; reads grow slower and slower.',
          `${statements(off, 'RESET (autovacuum_enabled)')} and see that autovacuum = on.`,
        )
      : behind.length > 0
        ? warning(
            'vacuum',
            `More dead rows than live ones in ${behind.join(', ')}.`,
            'Autovacuum does not keep up, or an old transaction holds it back.',
            `${behind.map((name) => `VACUUM "${name}";`).join(' ')} See also the check horizon.`,
          )
        : ok('vacuum', 'Autovacuum is on, and keeps up.'),
  ]
}

function judgeSequence(sequence: DatabaseFacts['sequence']): Verdict {
  if (sequence === null) {
    return unseen(
      'sequence',
      'The sequence of outbox.id cannot be read.',
      'Ids give the order.',
      'GRANT SELECT on it; see ops/grants.sql.',
    )
  }
  const { cache, last, highest } = sequence
  if (last < highest) {
    const fix = catchUp({ outbox: '"outbox"', dead: '"outbox_dead_letter"' }, "pg_get_serial_sequence('outbox', 'id')", highest)
    return failure('sequence', `The sequence of outbox.id stands at ${last}, behind id ${highest}.`, 'Ids would come twice.', fix)
  }
  if (cache === 1) return ok('sequence', 'Ids are drawn one by one, and are not behind the table.')
  const fix = "SELECT format('ALTER SEQUENCE %s CACHE 1', pg_get_serial_sequence('outbox', 'id')); and run what it gives."
  return failure(
    'sequence',
    `Each session draws ${cache} ids ahead.`,
    'Later messages of a key get lower ids: order is lost.',
    fix,
  )
}

function judgeFormat(leases: DatabaseFacts['leases']): Verdict {
  const format = leases?.format ?? null
  if (leases === null)
    return unseen('format', 'The table outbox_lease cannot be read.', 'It holds the format.', 'See the check rights.')
  if (format === null || format === tableFormat)
    return ok('format', `The tables have format ${format ?? tableFormat}, which this version knows.`)
  const what = `The tables have format ${format}; this version knows ${tableFormat}.`
  return failure(
    'format',
    what,
    'Relays of this version refuse them.',
    'Run the version of the package that belongs to the tables.',
  )
}
