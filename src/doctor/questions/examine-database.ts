import pg from 'pg'
import { type TableSet, tablesOf } from '../../message/tables.ts'
import { isLoopback } from '../../running/loopback.ts'
import { type Encryption, encryptionOf } from '../../store/postgres/encryption.ts'
import { explained } from '../../store/postgres/errors.ts'
import type { CatalogFacts, IdFacts, LeaseFacts } from '../../store/postgres/facts.ts'
import { connectionConfig } from '../../store/postgres/line.ts'
import { missingTables } from '../../store/postgres/refusals.ts'
import { type Place, tableSetOf } from '../../store/postgres/store.ts'
import { doctorStatements } from './statements.ts'

/** The server, and how a session of this role begins. */
export interface Surroundings extends Pick<CatalogFacts, 'replica' | 'readOnly'> {
  /** 180001 is 18.1. */
  version: number
  synchronousCommit: string
  fsync: string
  isolation: string
  timeZone: string
  /** The server that answers is not the one that the connection was opened to: something pools in between. */
  pooled: boolean
  /** Clock of the database minus this machine's, in ms, and half of the time that the question took. */
  clockMs: number
  uncertainMs: number
}

/** Roles that may create functions and operators in a schema whose path our tables or this role have. */
export interface Creators {
  schema: string
  roles: string[]
}

/** A trigger or rule on one of the outbox tables: it runs with the rights of anyone who writes there. */
export interface Attached {
  table: string
  kind: 'trigger' | 'rule'
  name: string
}

/** Something that keeps VACUUM from dead rows. */
export interface HorizonHolder {
  kind: 'session' | 'slot' | 'prepared'
  /** Process id, slot, or name of the prepared transaction. */
  name: string
  state: string
  ageMs: number | null
  xids: number
}

/** The last hop as the server sees it; behind a pooler it is that of the pooler's connection. */
export interface ServerHop {
  /** Version of TLS; null: none. */
  serverTls: string | null
  /** The connection comes from the server's own machine. */
  serverLocal: boolean
}

/** What the doctor learned about the database. What lies behind missing tables or rights is null. */
export interface DatabaseFacts extends Pick<CatalogFacts, 'tables' | 'sequence'> {
  /** The tables that were asked for. */
  set: TableSet
  surroundings: Surroundings
  encryption: Encryption & ServerHop
  holders: HorizonHolder[]
  creators: Creators[]
  attached: Attached[]
  ids: IdFacts | null
  leases: LeaseFacts | null
  topics: { topic: string; bytes: number }[] | null
  /** Other outboxes of the database that have messages and no relay. */
  others: TableSet[] | null
  /** If tables are missing: the other outboxes of the database, one of which may be meant. */
  present: TableSet[]
}

/**
 * Asks the database everything that the doctor judges. Reads only.
 *
 * @throws OutboxError INVALID_OPTION, DATABASE_REFUSED, DATABASE_UNREACHABLE.
 */
export async function examineDatabase(options: Place): Promise<DatabaseFacts> {
  const set = tableSetOf(options)
  const sql = doctorStatements(tablesOf(set.schema, set.prefix))
  const client = new pg.Client(connectionConfig(options.databaseUrl))
  client.on('error', () => {})
  const rows = async <T>(text: string) => {
    const results = (await client.query(text)) as unknown as pg.QueryResult[]
    return results.at(-1)!.rows as T[]
  }
  /** Null if a table, a right or time is missing: another check names it. */
  const orNull = <T>(asked: Promise<T>) => asked.catch(() => null)
  try {
    await client.connect()
    const [catalog] = await rows<CatalogFacts>(sql.catalog())
    const { tables, sequence, replica, readOnly } = catalog!
    const surroundings = await surroundingsOf(client, () => rows(sql.surroundings()))
    return {
      set,
      surroundings: { ...surroundings, replica, readOnly },
      encryption: { ...encryptionOf(options.databaseUrl), ...(await serverHop(() => rows(sql.ownLink()))) },
      tables,
      sequence,
      holders: await rows(sql.holders()),
      creators: await rows(sql.creators(set.schema)),
      attached: await rows(sql.attached()),
      ids: (sequence && (await orNull(rows<IdFacts>(sql.ids(sequence.name)))))?.[0] ?? null,
      leases: (await orNull(rows<LeaseFacts>(sql.leases())))?.[0] ?? null,
      topics: await orNull(rows(sql.topics())),
      others: await orNull(rows<TableSet>(sql.otherOutboxes())),
      present: missingTables(set, tables) ? ((await orNull(rows<TableSet>(sql.presentOutboxes()))) ?? []) : [],
    }
  } catch (error) {
    throw explained(error)
  } finally {
    await client.end().catch(() => {})
  }
}

async function serverHop(ask: () => Promise<{ serverTls: string | null; from: string | null }[]>): Promise<ServerHop> {
  const [own] = await ask()
  const from = own?.from ?? null
  return { serverTls: own?.serverTls ?? null, serverLocal: from === null || isLoopback(from) }
}

type Session = Omit<Surroundings, keyof CatalogFacts>
type Answer = Omit<Session, 'pooled' | 'clockMs' | 'uncertainMs'> & { pid: number; nowMs: number }

async function surroundingsOf(client: pg.Client, ask: () => Promise<Answer[]>): Promise<Session> {
  const began = Date.now()
  const [answer] = await ask()
  const uncertainMs = (Date.now() - began) / 2
  const { pid, nowMs, ...rest } = answer!
  // PgBouncer tells its clients a process id of its own.
  const pooled = (client as unknown as { processID: number }).processID !== pid
  return { ...rest, pooled, clockMs: nowMs - (began + uncertainMs), uncertainMs }
}
