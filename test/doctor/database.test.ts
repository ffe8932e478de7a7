import pg from 'pg'
import { describe, expect, onTestFinished, test } from 'vitest'
import { useDatabase } from '../support/database.ts'
import { hasPgbouncer, startPgbouncer } from '../support/pgbouncer.ts'
import { diagnose, loginOf } from './diagnose.ts'

const database = useDatabase('all')

const look = (url = database.directUrl) => diagnose({ DATABASE_URL: url })

/** Settings with which every later session on the database begins; taken back with the test. */
async function set(setting: string, value: string): Promise<void> {
  const name = new URL(database.directUrl).pathname.slice(1)
  await database.query(`ALTER DATABASE "${name}" SET ${setting} = '${value}'`)
  onTestFinished(async () => void (await database.query(`ALTER DATABASE "${name}" RESET ${setting}`)))
}

test('a database as it should be: primary, durable, without a pooler, a right clock, nothing old', async () => {
  const { level, of } = await look()
  for (const check of ['primary', 'version', 'durability', 'isolation', 'pooler', 'clock', 'database encryption', 'horizon']) {
    expect([check, level(check)]).toEqual([check, 'ok'])
  }
  expect(of('durability').finding).toBe('synchronous_commit is on, fsync on.')
  expect(of('isolation').finding).toMatch(/^Default isolation read committed, /)
})

test('one whose sessions begin read-only takes no relay', async () => {
  await set('default_transaction_read_only', 'on')
  expect((await look()).of('primary')).toMatchObject({ level: 'failure', fix: 'Point DATABASE_URL at the primary.' })
})

test.each([
  ['off', 'warning'],
  ['local', 'ok'],
])('synchronous_commit = %s is %s, and named', async (value, level) => {
  await set('synchronous_commit', value)
  const verdict = (await look()).of('durability')
  expect([verdict.level, verdict.finding]).toEqual([level, expect.stringContaining(`synchronous_commit is ${value}`)])
})

test('isolation and time zone are named: they change nothing for a relay, which sets its own', async () => {
  await set('default_transaction_isolation', 'serializable')
  await set('TimeZone', 'Asia/Kolkata')
  expect((await look()).of('isolation')).toMatchObject({
    level: 'ok',
    finding: 'Default isolation serializable, time zone Asia/Kolkata; the relay sets its own.',
  })
})

if (!hasPgbouncer) console.log('PgBouncer is not installed (apt-get install pgbouncer): its check is not run.')
test.skipIf(!hasPgbouncer)('PgBouncer in between is a warning, though every other check goes through it', async () => {
  const pooler = await startPgbouncer(database.directUrl, 2)
  onTestFinished(() => pooler.stop())
  const { level, of } = await look(pooler.url)
  expect(of('pooler')).toMatchObject({ level: 'warning', fix: expect.stringContaining('OUTBOX_LISTEN_URL') })
  expect([level('primary'), level('tables'), level('sequence'), level('relays')]).toEqual(['ok', 'ok', 'ok', 'warning'])
})

describe('what holds dead rows back', () => {
  test('a young transaction is no finding; to a role that may not see it, it is one that cannot be judged', async () => {
    const client = new pg.Client(database.directUrl)
    await client.connect()
    onTestFinished(() => client.end())
    await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1')
    expect((await look()).level('horizon')).toBe('ok')
    const { role, url } = await loginOf(database)
    expect((await look(url)).of('horizon')).toMatchObject({
      level: 'unseen',
      finding: '1 session of other roles cannot be seen.',
    })
    await database.query(`GRANT pg_read_all_stats TO ${role}`)
    expect((await look(url)).level('horizon')).toBe('ok')
  })
})
