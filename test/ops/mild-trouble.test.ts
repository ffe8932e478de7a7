import pg from 'pg'
import { afterEach, beforeEach, expect, onTestFinished, test } from 'vitest'
import { createLogger, logEvents } from '../../src/ops/log.ts'
import { memoryTransport } from '../../src/transport/memory.ts'
import { createDatabase, type TestDatabase } from '../support/database.ts'
import { emptied } from '../support/eventually.ts'
import { testRelay } from '../support/relay.ts'
import { insertRows } from '../support/rows.ts'

// Troubles of the database by which nothing is wrong with the relay must not wake anybody.

let database: TestDatabase
beforeEach(async () => {
  database = await createDatabase()
})
afterEach(() => database.drop())

/** A relay with its log. */
function logged() {
  const one = testRelay(database.directUrl, memoryTransport())
  const lines: { level: string; event: string; code?: string }[] = []
  const out = { write: (line: string) => lines.push(JSON.parse(line)) } as unknown as NodeJS.WritableStream
  one.relay.on('*', logEvents(createLogger('info', false, out)))
  onTestFinished(() => one.relay.stop())
  return { one, lines }
}

const troubleIn = (lines: { level: string; event: string; code?: string }[]) =>
  lines.filter(({ event }) => event === 'database_trouble').map(({ level, code }) => ({ level, code }))

test('a connection that the server closes because it was idle is no error, and messages go on', async () => {
  const name = new URL(database.directUrl).pathname.slice(1)
  await database.query(`ALTER DATABASE "${name}" SET idle_session_timeout = '700ms'`)
  const { one, lines } = logged()
  await one.relay.start()
  expect(await one.until('database_trouble')).toMatchObject({ code: '57P05' })
  await insertRows(database.pool, [{ topic: 't', key: 'k' }])
  await emptied(database.pool)
  expect(troubleIn(lines)[0]).toEqual({ level: 'info', code: '57P05' })
  expect(lines.filter(({ level }) => level === 'error')).toEqual([])
})

test('a table that somebody has locked is a warning, and messages go on once it is free', { timeout: 60_000 }, async () => {
  const { one, lines } = logged()
  await one.relay.start()
  const holder = new pg.Client({ connectionString: database.directUrl })
  await holder.connect()
  await holder.query('BEGIN; LOCK TABLE outbox IN ACCESS EXCLUSIVE MODE')
  expect(await one.until('database_trouble')).toMatchObject({ code: '55P03' })
  await holder.query('COMMIT')
  await holder.end()
  await insertRows(database.pool, [{ topic: 't', key: 'k' }])
  await emptied(database.pool)
  expect(troubleIn(lines)).toEqual([{ level: 'warn', code: '55P03' }])
})

test('a backend that is terminated stays an error', async () => {
  const { one, lines } = logged()
  await one.relay.start()
  await database.query(
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'prisma-extension-outbox'`,
  )
  await one.until('database_trouble')
  expect(troubleIn(lines)[0]).toMatchObject({ level: 'error' })
})
