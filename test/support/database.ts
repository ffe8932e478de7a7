import { randomBytes } from 'node:crypto'
import pg from 'pg'
import { afterAll, afterEach, beforeAll, beforeEach, inject } from 'vitest'
import { migrationSql } from './migrations.ts'
import { askedSurrounding, databaseSettings, poolerOf } from './surroundings.ts'

export { migrationSql }

/** A database of a test file's own. */
export interface TestDatabase extends AsyncDisposable {
  /** For what is tested; leads through a pooler where `OUTBOX_TEST_DATABASE` is `pgbouncer`. */
  url: string
  /**
   * Never leads through a pooler: for tests about the connection itself. A pooler logs in with its own role, refuses start-up parameters,
   * swallows notifications, and puts a test's own statement on the very backend that it ends.
   */
  directUrl: string
  /** For the test itself; never leads through a pooler. */
  pool: pg.Pool
  query<T extends pg.QueryResultRow>(sql: string, values?: unknown[]): Promise<T[]>
  drop(): Promise<void>
}

/**
 * Creates a fresh database with the outbox tables and, after them, the statements of `sql`, in the surrounding that
 * `OUTBOX_TEST_DATABASE` names.
 */
export async function createDatabase(sql = '', { migrate = true } = {}): Promise<TestDatabase> {
  // `drain` of ./testing refuses a database whose name does not say that it is for tests.
  const name = `outbox_test_${randomBytes(6).toString('hex')}`
  const server = inject('databaseUrl')
  const surrounding = askedSurrounding()
  await once(server, `CREATE DATABASE "${name}"`)
  for (const setting of databaseSettings(surrounding, name)) await once(server, setting)
  const url = new URL(server)
  url.pathname = `/${name}`
  const pool = new pg.Pool({ connectionString: url.href, max: 20 })
  // Tests end servers and backends on purpose; the pool must not throw for an idle connection.
  pool.on('error', () => {})
  if (migrate) await pool.query(migrationSql)
  if (sql) await pool.query(sql)
  const pooler = await poolerOf(surrounding, url.href)
  const drop = async () => {
    await pool.end()
    await pooler?.stop()
    await once(server, `DROP DATABASE IF EXISTS "${name}" WITH (FORCE)`)
  }
  return {
    url: pooler?.url ?? url.href,
    directUrl: url.href,
    pool,
    query: async (text, values) => (await pool.query(text, values)).rows,
    drop,
    [Symbol.asyncDispose]: drop,
  }
}

/**
 * A database as {@link createDatabase} makes it for each test of a file or a `describe`, or one for all of them; it is dropped after them.
 * `emptied`: one for all, whose tables are as new before each.
 */
export function useDatabase(per: 'each' | 'all' | 'emptied' = 'each', ...how: Parameters<typeof createDatabase>): TestDatabase {
  let database: TestDatabase
  const [before, after] = per === 'each' ? [beforeEach, afterEach] : [beforeAll, afterAll]
  before(async () => {
    database = await createDatabase(...how)
  })
  if (per === 'emptied') {
    beforeEach(async () => {
      // A transaction each: with one lock at a time, none is part of a deadlock with the last statements of an earlier test's relay.
      for (const table of ['outbox', 'outbox_dead_letter', 'outbox_relay', 'outbox_batch'])
        await database.query(`TRUNCATE ${table}`)
      await database.query("UPDATE outbox_lease SET owner = NULL, leased_until = '2000-01-01', lease_ms = 10000, format = 1")
    })
  }
  // Nothing to drop where an earlier hook has failed.
  const drop = async () => database?.drop()
  after(drop)
  return {
    get url() {
      return database.url
    },
    get directUrl() {
      return database.directUrl
    },
    get pool() {
      return database.pool
    },
    query: (sql, values) => database.query(sql, values),
    drop,
    [Symbol.asyncDispose]: drop,
  }
}

async function once(url: string, sql: string): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    await client.query(sql)
  } finally {
    await client.end()
  }
}
