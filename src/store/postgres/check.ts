// Keeps rule 16 of docs/protocol.md.

import { OutboxError } from '../../message/errors.ts'
import { codeOf, type Line } from './line.ts'
import { literal, maxId } from './sql.ts'
import type { Tables } from './statements.ts'

/** Format of the tables that this version reads and writes: `outbox_lease.format`. */
export const tableFormat = 1

/** What the check learned about the tables. */
export interface Catalog {
  /** Quoted name of the sequence of outbox.id. */
  sequence: string
  /** Why a relay that has not served yet would be refused. */
  behind?: OutboxError | undefined
}

/** Turns errors of a connection that can never work into an {@link OutboxError}; every other error is given back as it is. */
export function refusal(error: unknown): unknown {
  const code = behindPooler(error) ?? codeOf(error)
  if (code === '28P01' || code === '28000' || isLoginFault(error)) {
    return new OutboxError('DATABASE_REFUSED', 'The database refused the login.', {
      remedy: 'Check user, password and pg_hba.conf for DATABASE_URL.',
      cause: error,
    })
  }
  if (code === '3D000') {
    return new OutboxError('DATABASE_REFUSED', 'The database named by DATABASE_URL does not exist.', {
      remedy: 'Create it, or correct the name.',
      cause: error,
    })
  }
  return error
}

/**
 * What PgBouncer (1.18) hands on from the server it pools, or says itself, comes with 08P01 whatever the cause; the text alone tells a
 * wrong name, which no waiting fixes, from a server that is restarting ("server login has been failing").
 */
function behindPooler(error: unknown): string | undefined {
  if (codeOf(error) !== '08P01' || !(error instanceof Error)) return undefined
  if (/^no such database|^database ".*" does not exist$/.test(error.message)) return '3D000'
  return error.message.startsWith('password authentication failed') ? '28P01' : undefined
}

/** What `pg` itself finds wrong with a login, for example that the URL has no password: without a code. */
const isLoginFault = (error: unknown): boolean => error instanceof Error && error.message.startsWith('SASL: ')

/** Refuses a database on which the relay would lose, repeat or never see rows. `served`: a sequence that is behind is no refusal. */
export async function checkDatabase(line: Line, schema: string, tables: Tables, served: boolean): Promise<Catalog> {
  await refuseReplica(line)
  await refuseMissingTables(line, schema, tables)
  await refuseMissingRights(line, tables)
  await refuseRowSecurity(line, tables)
  await refuseUnknownFormat(line, tables)
  const sequence = await refuseMissingSequence(line, tables)
  const behind = await refuseBlocks(line, tables, sequence)
  if (behind && !served) throw behind
  return { sequence, behind }
}

async function refuseReplica(line: Line): Promise<void> {
  const [state] = await line.rows<{ replica: boolean; readonly: string }>(
    "SELECT pg_is_in_recovery() AS replica, current_setting('transaction_read_only') AS readonly",
  )
  if (!state!.replica && state!.readonly === 'off') return
  throw new OutboxError('READ_ONLY_DATABASE', 'DATABASE_URL leads to a read-only database.', {
    remedy: 'Point it at the primary: a replica shows commits in another order, and takes no leases.',
  })
}

const needed: Record<keyof Tables, string> = {
  outbox: 'bucket,id,message_id,topic,type,key,value,headers,created_at',
  lease: 'bucket,owner,epoch,leased_until,lease_ms,format',
  relay: 'id,name,version,started_at,seen_at,acked_at,answered_at,trouble',
  dead: 'bucket,id,message_id,topic,type,key,value,headers,created_at,reason,error,died_at,relay,blocks_key,requested_action,requested_by',
}

/** Refuses a database without our tables. Throws TABLES_MISSING. */
export async function refuseMissingTables(line: Line, schema: string, tables: Tables): Promise<void> {
  const names = { outbox: 'outbox', lease: 'outbox_lease', relay: 'outbox_relay', dead: 'outbox_dead_letter' }
  for (const table of Object.keys(tables) as (keyof Tables)[]) {
    const rows = await line.rows<{ name: string }>(
      `SELECT attname AS name FROM pg_attribute WHERE attrelid = to_regclass(${literal(tables[table])}) AND attnum > 0 AND NOT attisdropped`,
    )
    const missing = needed[table].split(',').filter((column) => !rows.some((row) => row.name === column))
    if (rows.length > 0 && missing.length === 0) continue
    const what =
      rows.length === 0
        ? `The table ${names[table]} is not in schema ${schema}.`
        : `The table ${names[table]} lacks ${missing.join(', ')}.`
    throw new OutboxError('TABLES_MISSING', what, {
      remedy:
        'Run "npx prisma-extension-outbox init", then "npx prisma migrate deploy"; --schema names another PostgreSQL schema.',
    })
  }
}

async function refuseMissingRights(line: Line, tables: Tables): Promise<void> {
  const rights: [keyof Tables, string][] = [
    ['outbox', 'SELECT,INSERT,DELETE'],
    ['lease', 'SELECT,INSERT,UPDATE'],
    ['relay', 'SELECT,INSERT,UPDATE,DELETE'],
    ['dead', 'SELECT,INSERT,UPDATE,DELETE'],
  ]
  for (const [table, list] of rights) {
    for (const right of list.split(',')) {
      const [row] = await line.rows<{ granted: boolean }>(
        `SELECT has_table_privilege(${literal(tables[table])}, '${right}') AS granted`,
      )
      if (row!.granted) continue
      throw new OutboxError('MISSING_RIGHTS', `The relay's database role may not ${right} on ${tables[table]}.`, {
        remedy: 'Grant what ops/grants.sql lists for the relay.',
      })
    }
  }
}

async function refuseRowSecurity(line: Line, tables: Tables): Promise<void> {
  for (const table of [tables.outbox, tables.lease, tables.dead]) {
    const [row] = await line.rows<{ active: boolean }>(`SELECT row_security_active(${literal(table)}) AS active`)
    if (!row!.active) continue
    throw new OutboxError(
      'ROW_SECURITY',
      `Row-level security is active on ${table} for the relay's role: rows would stay unseen.`,
      {
        remedy: 'Give the role BYPASSRLS, or disable row-level security on the outbox tables.',
      },
    )
  }
}

async function refuseUnknownFormat(line: Line, tables: Tables): Promise<void> {
  const [row] = await line.rows<{ format: number | null }>(`SELECT max("format")::int AS format FROM ${tables.lease}`)
  const format = row!.format ?? tableFormat
  if (format === tableFormat) return
  throw new OutboxError('TABLE_FORMAT', `The outbox tables have format ${format}; this version knows format ${tableFormat}.`, {
    remedy: 'Run the version of prisma-extension-outbox that belongs to the tables.',
  })
}

/** Half of the ids that a relay can carry. No sequence comes so far: a higher id was written by hand. */
const drawnId = 2 ** 52

/**
 * The statements that put right a sequence that is behind the id `highest`. They never set it to an id that it cannot have drawn: the
 * application would soon have none left. Rows with such ids get the next ones instead. `sequence`: its name, as SQL.
 */
export function catchUp({ outbox, dead }: Pick<Tables, 'outbox' | 'dead'>, sequence: string, highest: number): string {
  if (highest < drawnId) return `SELECT setval(${sequence}, ${highest});`
  return [outbox, dead].map((table) => `UPDATE ${table} SET "id" = nextval(${sequence}) WHERE "id" >= ${drawnId};`).join(' ')
}

async function refuseMissingSequence(line: Line, tables: Tables): Promise<string> {
  const [row] = await line.rows<{ sequence: string | null; readable: boolean }>(
    `SELECT s AS sequence, coalesce(has_sequence_privilege(s, 'SELECT'), false) AS readable FROM pg_get_serial_sequence(${literal(tables.outbox)}, 'id') AS s`,
  )
  const sequence = row!.sequence
  if (sequence === null) {
    throw new OutboxError('TABLES_MISSING', `The column id of ${tables.outbox} has no sequence of its own.`, {
      remedy: 'Create the tables with the migration that "npx prisma-extension-outbox init" writes.',
    })
  }
  if (!row!.readable) {
    throw new OutboxError('MISSING_RIGHTS', `The relay's database role may not SELECT on the sequence ${sequence}.`, {
      remedy: 'Grant what ops/grants.sql lists for the relay.',
    })
  }
  return sequence
}

/** Refuses a sequence that hands out blocks of ids; returns the refusal of one that is behind the tables. */
async function refuseBlocks(line: Line, tables: Tables, sequence: string): Promise<OutboxError | undefined> {
  // Not the id 1 of a dead row: such are those whose own no relay can carry.
  const top = (table: string, from: number) =>
    `(SELECT max(top) FROM generate_series(0, 63) AS b, LATERAL (SELECT "id" AS top FROM ${table} WHERE "bucket" = b AND "id" BETWEEN ${from} AND ${maxId} ORDER BY "bucket" DESC, "id" DESC LIMIT 1) AS t)`
  const [state] = await line.rows<{ top: number; behind: boolean; cache: string }>(
    `SELECT coalesce(t.top, 0)::float8 AS top, coalesce(t.top > CASE WHEN is_called THEN last_value ELSE last_value - 1 END, false) AS behind,
  (SELECT seqcache::text FROM pg_sequence WHERE seqrelid = ${literal(sequence)}::regclass) AS cache
  FROM ${sequence}, (SELECT greatest(${top(tables.outbox, 1)}, ${top(tables.dead, 2)}) AS top) AS t`,
  )
  if (state!.cache !== '1') {
    throw new OutboxError(
      'SEQUENCE_BEHIND',
      `The sequence ${sequence} hands out blocks of ${state!.cache} ids: messages would change places.`,
      {
        remedy: `Run ALTER SEQUENCE ${sequence} CACHE 1;`,
      },
    )
  }
  if (!state!.behind) return undefined
  return new OutboxError(
    'SEQUENCE_BEHIND',
    `The sequence ${sequence} is behind the highest id in the outbox: ids would come twice.`,
    { remedy: `Run ${catchUp(tables, `'${sequence.replaceAll("'", "''")}'`, state!.top)}` },
  )
}
