import { OutboxError } from '../../message/errors.ts'
import { outboxName, type TableSet, type Tables, tableNames } from '../../message/tables.ts'
import { type IdFacts, type OutboxTableKind, outboxTables, type SequenceFacts, type TableFacts } from './facts.ts'

// Judges the facts: why no relay may serve an outbox. The start check throws the first refusal, the doctor tells them all.
// Keeps rule 16 of docs/protocol.md.

/** Formats of the tables that this version knows, `outbox_lease.format`: at least once, and exactly once. */
export const tableFormats = { atLeastOnce: 1, exactlyOnce: 2 } as const

const knownFormats: readonly number[] = Object.values(tableFormats)

/** A reason not to start a relay. */
export interface Refusal {
  code: ConstructorParameters<typeof OutboxError>[0]
  finding: string
  why: string
  /** A sentence, or the statements that put it right. */
  fix: string
}

/** A refusal as an error. */
export function refusalError({ code, finding, why, fix }: Refusal, cause?: unknown): OutboxError {
  const isStatement = /^(ALTER|GRANT|SELECT|UPDATE) /.test(fix)
  return new OutboxError(code, `${finding} ${why}`, { remedy: isStatement ? `Run ${fix}` : fix, cause })
}

/** How to get tables of that prefix that are missing. `flags`: others of init. */
export const createTables = (set: Pick<TableSet, 'prefix'>, flags = ''): string =>
  `${initOf(set, flags)}; --schema and --table-prefix name other tables.`

const initOf = ({ prefix }: Pick<TableSet, 'prefix'>, flags = ''): string =>
  `Run "npx prisma-extension-outbox init${flags}${prefix && ` --table-prefix ${prefix}`}", then "npx prisma migrate deploy" (Prisma 8: "npx prisma db migrate")`

/** How to name tables that are there, in place of those of the set, which are not. */
export const chooseTables = (present: readonly TableSet[], set: TableSet): string =>
  `The database has ${present.map(outboxName).join(', ')}: choose tables with --schema and --table-prefix (tablePrefix in code). For new ones: ${initOf(set)}.`

/** What a relay needs of each table. Rights of operators are their own. */
const needs: Record<OutboxTableKind, { rights: string; columns: string }> = {
  outbox: { rights: 'SELECT,INSERT,DELETE', columns: 'bucket,id,message_id,topic,type,key,value,headers,created_at' },
  lease: { rights: 'SELECT,INSERT,UPDATE', columns: 'bucket,owner,epoch,leased_until,lease_ms,format' },
  relay: {
    rights: 'SELECT,INSERT,UPDATE,DELETE',
    columns: 'id,name,version,started_at,seen_at,acked_at,answered_at,trouble,format',
  },
  dead: {
    rights: 'SELECT,INSERT,UPDATE,DELETE',
    columns:
      'bucket,id,message_id,topic,type,key,value,headers,created_at,reason,error,died_at,relay,blocks_key,requested_action,requested_by',
  },
  batch: {
    rights: 'SELECT,INSERT,UPDATE,DELETE',
    columns: 'producer_id,producer_epoch,topic,partition,sequence,buckets,rows,acknowledged,recorded_at',
  },
}

/** Tables that the schema lacks. */
export function missingTables({ schema, prefix }: TableSet, tables: readonly TableFacts[]): Refusal | undefined {
  const missing = outboxTables.filter((kind) => !tables.some((table) => table.kind === kind))
  if (missing.length === 0) return undefined
  const finding = `Not in schema ${schema}: ${missing.map((kind) => prefix + tableNames[kind]).join(', ')}.`
  return { code: 'TABLES_MISSING', finding, why: 'Nothing can be enqueued or relayed.', fix: createTables({ prefix }) }
}

/** Columns that the tables lack. */
export function missingColumns(tables: readonly TableFacts[], set: Pick<TableSet, 'prefix'>): Refusal | undefined {
  const missing = tables.flatMap(({ kind, name, columns }) =>
    needs[kind].columns
      .split(',')
      .filter((column) => !columns.some((one) => one.column === column))
      .map((column) => `${name}.${column} is missing`),
  )
  if (missing.length === 0) return undefined
  const why = 'Relays refuse tables without their columns.'
  return { code: 'TABLES_MISSING', finding: `${missing.join('; ')}.`, why, fix: createTables(set) }
}

/** Rights that the role lacks. */
export function missingRights(tables: readonly TableFacts[]): Refusal | undefined {
  const lacking = tables.flatMap(({ kind, name, qualified, denied }) => {
    const rights = denied.filter((right) => needs[kind].rights.split(',').includes(right)).join(', ')
    return rights === '' ? [] : [{ name, qualified, rights }]
  })
  if (lacking.length === 0) return undefined
  const finding = `The database role lacks ${lacking.map(({ name, rights }) => `${rights} on ${name}`).join('; ')}.`
  const grants = lacking.map(({ qualified, rights }) => `GRANT ${rights} ON ${qualified} TO …;`).join(' ')
  return {
    code: 'MISSING_RIGHTS',
    finding,
    why: 'A relay with this role does not start.',
    fix: `${grants} ops/grants.sql has all roles.`,
  }
}

/** Tables whose rows may be hidden from the role. */
export function activeRowSecurity(tables: readonly TableFacts[]): Refusal | undefined {
  const hidden = tables.filter(({ rowSecurity }) => rowSecurity)
  if (hidden.length === 0) return undefined
  const disable = hidden.map(({ qualified }) => `ALTER TABLE ${qualified} DISABLE ROW LEVEL SECURITY;`).join(' ')
  return {
    code: 'ROW_SECURITY',
    finding: `Row-level security is active on ${hidden.map(({ name }) => name).join(', ')}.`,
    why: 'Rows stay unseen, and are never published.',
    fix: `ALTER ROLE … BYPASSRLS; or: ${disable}`,
  }
}

/** A format that this version does not know; null: the tables have none yet. */
export function unknownFormat(format: number | null): Refusal | undefined {
  if (format === null || knownFormats.includes(format)) return undefined
  return {
    code: 'TABLE_FORMAT',
    finding: `The tables have format ${format}; this version knows ${knownFormats.join(' and ')}.`,
    why: 'Relays of this version refuse them.',
    fix: 'Run the version of the package that belongs to the tables.',
  }
}

/** A sequence of outbox.id that is missing, closed to the role, or draws blocks of ids. */
export function unfitSequence(sequence: SequenceFacts | null): Refusal | undefined {
  if (sequence === null) {
    const fix = 'Create the tables with the migration that "npx prisma-extension-outbox init" writes.'
    return {
      code: 'TABLES_MISSING',
      finding: 'The column outbox.id has no sequence of its own.',
      why: 'Ids give the order.',
      fix,
    }
  }
  const { name, readable, cache } = sequence
  if (!readable) {
    const fix = `GRANT SELECT ON SEQUENCE ${name} TO …; see ops/grants.sql.`
    return { code: 'MISSING_RIGHTS', finding: 'The sequence of outbox.id cannot be read.', why: 'Ids give the order.', fix }
  }
  if (cache === 1) return undefined
  const why = 'Later messages of a key get lower ids: order is lost.'
  return {
    code: 'SEQUENCE_BEHIND',
    finding: `Each session draws ${cache} ids ahead.`,
    why,
    fix: `ALTER SEQUENCE ${name} CACHE 1;`,
  }
}

/** Half of the ids that a relay can carry. No sequence comes so far: a higher id was written by hand. */
const drawnId = 2 ** 52

/**
 * A sequence that is behind the highest id of the tables. The fix never sets it to an id that it cannot have drawn: the application would soon
 * have none left. Rows with such ids get the next ones instead.
 */
export function sequenceBehind({ outbox, dead }: Tables, name: string, { highest, last }: IdFacts): Refusal | undefined {
  if (last >= highest) return undefined
  const sequence = `'${name.replaceAll("'", "''")}'`
  const fix =
    highest < drawnId
      ? `SELECT setval(${sequence}, ${highest});`
      : [outbox, dead].map((table) => `UPDATE ${table} SET "id" = nextval(${sequence}) WHERE "id" >= ${drawnId};`).join(' ')
  const finding = `The sequence of outbox.id stands at ${last}, behind id ${highest}.`
  return { code: 'SEQUENCE_BEHIND', finding, why: 'Ids would come twice.', fix }
}
