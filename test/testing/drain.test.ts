import { randomBytes } from 'node:crypto'
import pg from 'pg'
import { afterAll, beforeAll, beforeEach, describe, expect, inject, onTestFinished, test } from 'vitest'
import { drain } from '../../src/testing/index.ts'
import { createDatabase, migrationSql, type TestDatabase } from '../support/database.ts'
import { insertRows } from '../support/rows.ts'

let db: TestDatabase
beforeAll(async () => {
  db = await createDatabase()
})
afterAll(() => db.drop())
beforeEach(() => db.query('TRUNCATE outbox, outbox_relay'))

const refused = { code: 'OUTBOX_NOT_A_TEST_DATABASE' }

describe('a relay on the database', () => {
  const heartbeat = (age: string, version = '0.1.0') =>
    db.query(
      `INSERT INTO outbox_relay (id, name, version, started_at, seen_at)
       VALUES (gen_random_uuid(), 'live-1', $2, now() - interval '1 hour', now() - $1::interval)`,
      [age, version],
    )

  test.each([
    ['that runs', '1 second'],
    ['that ran within the last minute', '50 seconds'],
    ['whose clock was ahead', '-10 seconds'],
  ])('%s keeps its messages, whatever the name of the database', async (_, age) => {
    await insertRows(db.pool, [{ topic: 'orders', key: 'k' }])
    await heartbeat(age)
    await expect(drain({ databaseUrl: db.url, database: 'any' })).rejects.toMatchObject(refused)
    await expect(drain({ databaseUrl: db.url })).rejects.toThrow(/live-1/)
    expect(await db.query('SELECT topic FROM outbox')).toEqual([{ topic: 'orders' }])
  })

  test.each([
    ['that has been silent for longer', '70 seconds', '0.1.0'],
    ['of a drain that was killed', '1 second', 'test'],
  ])('%s hinders nobody', async (_, age, version) => {
    await insertRows(db.pool, [{ topic: 'orders', key: 'k' }])
    await heartbeat(age, version)
    expect((await drain({ databaseUrl: db.url })).records).toMatchObject([{ topic: 'orders' }])
  })
})

test('a database whose name does not tell that it is for tests is drained on request only', async () => {
  const name = `shop_${randomBytes(6).toString('hex')}`
  const server = new pg.Pool({ connectionString: inject('databaseUrl'), max: 1 })
  await server.query(`CREATE DATABASE "${name}"`)
  const url = new URL(inject('databaseUrl'))
  url.pathname = `/${name}`
  const pool = new pg.Pool({ connectionString: url.href, max: 1 })
  // A connection that the DROP below still finds is not the test's concern.
  pool.on('error', () => {})
  onTestFinished(async () => {
    await pool.end()
    await server.query(`DROP DATABASE "${name}" WITH (FORCE)`)
    await server.end()
  })
  await pool.query(migrationSql)
  await insertRows(pool, [{ topic: 'orders', key: 'k' }])
  await expect(drain({ databaseUrl: url.href })).rejects.toMatchObject(refused)
  expect((await pool.query('SELECT topic FROM outbox')).rows).toEqual([{ topic: 'orders' }])
  expect((await drain({ databaseUrl: url.href, database: 'any' })).records).toMatchObject([{ topic: 'orders' }])
})
