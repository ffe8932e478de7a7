import pg from 'pg'
import { afterAll, beforeAll, describe, expect, inject, onTestFinished, test } from 'vitest'
import type { Verdict } from '../../src/doctor/verdict.ts'
import { cli } from '../support/cli.ts'
import { createDatabase, type TestDatabase } from '../support/database.ts'
import { freePort } from '../support/ports.ts'
import { startRelayProcess } from '../support/relay-process.ts'
import { insertRows } from '../support/rows.ts'
import { createTopic } from '../support/topics.ts'

let database: TestDatabase
let env: Record<string, string>
beforeAll(async () => {
  database = await createDatabase()
  env = { DATABASE_URL: database.directUrl, KAFKA_BROKERS: inject('brokers'), OUTBOX_LEASE_MS: '3000' }
})
afterAll(() => database.drop())

const doctor = async (more: Record<string, string> = {}) => {
  const { code, stdout, stderr } = await cli(['doctor', '--json'], { ...env, ...more })
  expect(stderr).toBe('')
  const verdicts = JSON.parse(stdout) as Verdict[]
  const level = (check: string) => verdicts.find((one) => one.check === check)?.level
  return { code, verdicts, level, of: (check: string) => verdicts.find((one) => one.check === check)! }
}

test('with a relay that works nothing fails, and what a command cannot see is said', async () => {
  const relay = startRelayProcess(env)
  await relay.until((line) => line.event === 'leases_taken')
  const { code, verdicts, level } = await doctor()
  expect(verdicts.filter((one) => one.level === 'failure')).toEqual([])
  expect(code).toBe(0)
  for (const check of [
    'primary',
    'tables',
    'rights',
    'row security',
    'logged',
    'vacuum',
    'sequence',
    'format',
    'relays',
    'kafka',
  ]) {
    expect([check, level(check)]).toEqual([check, 'ok'])
  }
  expect([level('kafka rights'), level('partition count')]).toEqual(['unseen', 'unseen'])
  await relay.end('SIGTERM')
  const { stdout } = await cli(['doctor'], env)
  expect(stdout).toMatch(/^! relays: No relay is alive\.\n {4}Why: .+\n {4}Fix: .+relay$/m)
})

test.each([
  ['logged', 'failure', 'ALTER TABLE outbox_dead SET UNLOGGED', 'ALTER TABLE "outbox_dead" SET LOGGED;'],
  [
    'vacuum',
    'warning',
    'ALTER TABLE outbox SET (autovacuum_enabled = false)',
    'ALTER TABLE "outbox" RESET (autovacuum_enabled);',
  ],
  ['tables', 'failure', 'ALTER TABLE outbox ALTER topic TYPE varchar(20)', 'ALTER TABLE outbox ALTER topic TYPE text'],
  ['sequence', 'failure', 'ALTER SEQUENCE outbox_id_seq CACHE 50', 'ALTER SEQUENCE outbox_id_seq CACHE 1'],
  ['format', 'failure', 'UPDATE outbox_lease SET format = 7', 'UPDATE outbox_lease SET format = 1'],
])('%s: %s after "%s", and well again after the fix', async (check, wanted, sick, fix) => {
  if (check === 'format')
    await database.query('INSERT INTO outbox_lease (bucket) SELECT generate_series(0, 63) ON CONFLICT DO NOTHING')
  await database.query(sick)
  const ill = await doctor()
  expect(ill.of(check)).toMatchObject({ level: wanted, why: expect.stringMatching(/.+/), fix: expect.stringMatching(/.+/) })
  expect(ill.code).toBe(wanted === 'failure' ? 1 : 0)
  if (fix.includes('"')) expect(ill.of(check).fix).toContain(fix)
  await database.query(fix)
  expect((await doctor()).level(check)).toBe('ok')
})

test('a role without rights, under row-level security, with synchronous_commit off and in an old place of the sequence is told each', async () => {
  const role = `doctor_${Date.now()}`
  await database.query(`CREATE ROLE ${role} LOGIN PASSWORD 'p'; GRANT SELECT ON outbox, outbox_lease, outbox_dead TO ${role};
    ALTER ROLE ${role} SET synchronous_commit = off; ALTER TABLE outbox ENABLE ROW LEVEL SECURITY`)
  await database.query("INSERT INTO outbox (bucket, id, message_id, topic) VALUES (0, 1000, gen_random_uuid(), 'none')")
  onTestFinished(async () => {
    await database.query(
      `ALTER TABLE outbox DISABLE ROW LEVEL SECURITY; DROP OWNED BY ${role}; DROP ROLE ${role}; TRUNCATE outbox`,
    )
  })
  const url = new URL(database.directUrl)
  url.username = role
  url.password = 'p'
  const { code, of, level } = await doctor({ DATABASE_URL: url.href })
  expect(code).toBe(1)
  expect(of('rights')).toMatchObject({ level: 'failure', finding: expect.stringContaining('INSERT, DELETE on outbox') })
  expect([level('row security'), level('durability'), level('relays')]).toEqual(['failure', 'warning', 'unseen'])
  expect((await doctor()).of('sequence')).toMatchObject({ level: 'failure', fix: expect.stringContaining('setval') })
})

describe('Kafka', () => {
  test('a missing topic, one that is too small for what waits, and brokers that do not answer', async () => {
    const small = await createTopic('doctor', 1, { config: { 'max.message.bytes': '2000' } })
    await insertRows(database.pool, [{ topic: 'not-there' }, { topic: small, value: 'x'.repeat(5_000) }])
    onTestFinished(async () => void (await database.query('TRUNCATE outbox')))
    const { code, of, verdicts } = await doctor()
    expect(code).toBe(1)
    expect(of('topic not-there')).toMatchObject({ level: 'failure', fix: expect.stringContaining('--create --topic not-there') })
    const findings = verdicts.filter((one) => one.check === `topic ${small}`)
    expect(findings.map((one) => one.level)).toEqual(['warning', 'failure'])
    expect(findings[1]!.finding).toContain('max.message.bytes is 2000')
    const silent = await doctor({ KAFKA_BROKERS: `127.0.0.1:${await freePort()}` })
    expect(silent.of('kafka')).toMatchObject({ level: 'failure', finding: expect.stringContaining('ECONNREFUSED') })
  })
})

test('a database without the tables, and one that does not answer', async () => {
  await using empty = await createDatabase('', { migrate: false })
  const { code, of } = await doctor({ DATABASE_URL: empty.directUrl })
  expect(code).toBe(1)
  expect(of('tables')).toMatchObject({ level: 'failure', fix: expect.stringContaining('init') })
  const url = `postgresql://u:p@127.0.0.1:${await freePort()}/d`
  expect(await cli(['doctor'], { ...env, DATABASE_URL: url })).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('ECONNREFUSED'),
  })
})

test('a transaction that is open is young: it is no finding', async () => {
  const client = new pg.Client(database.directUrl)
  await client.connect()
  await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1')
  expect((await doctor()).level('horizon')).toBe('ok')
  await client.end()
})
