import { randomUUID } from 'node:crypto'
import { describe, expect, onTestFinished, test } from 'vitest'
import { migration } from '../../src/cli/fragment.ts'
import { postgresStore } from '../../src/store/postgres/store.ts'
import { createDatabase, useDatabase } from '../support/database.ts'
import { diagnose, loginOf } from './diagnose.ts'

const database = useDatabase(
  'all',
  'INSERT INTO outbox_lease (bucket) SELECT generate_series(0, 63) ON CONFLICT DO NOTHING; ANALYZE',
)

/** A relay that starts. */
const relay = { id: randomUUID(), name: 'r', version: '0', leaseMs: 10_000 }

const look = (url = database.directUrl) => diagnose({ DATABASE_URL: url })

const login = (...grants: string[]) => loginOf(database, ...grants)

test('tables as the migration makes them are well', async () => {
  const { level } = await look()
  for (const check of ['tables', 'rights', 'search path', 'triggers', 'row security', 'logged', 'vacuum', 'sequence', 'format']) {
    expect([check, level(check)]).toEqual([check, 'ok'])
  }
})

test('who may create functions where statements search for them, other than the owners, is named', async () => {
  const { role, url } = await login('CREATE ON SCHEMA public')
  const own = `CREATE SCHEMA "${role}"; GRANT USAGE ON SCHEMA "${role}" TO PUBLIC`
  expect((await look()).of('search path')).toMatchObject({
    level: 'warning',
    finding: `${role} may create objects in schema public.`,
    fix: `REVOKE CREATE ON SCHEMA "public" FROM "${role}";`,
  })
  await database.query(`REVOKE CREATE ON SCHEMA public FROM ${role}`)
  // A schema named as the role, which PostgreSQL searches first, and everybody.
  await database.query(`${own}; GRANT CREATE ON SCHEMA "${role}" TO PUBLIC`)
  onTestFinished(async () => void (await database.query(`DROP SCHEMA IF EXISTS "${role}"`)))
  expect((await look()).level('search path')).toBe('ok')
  expect((await look(url)).of('search path').finding).toBe(`PUBLIC may create objects in schema ${role}.`)
  await database.query(`REVOKE CREATE ON SCHEMA "${role}" FROM PUBLIC`)
  expect((await look(url)).level('search path')).toBe('ok')
})

test.each([
  [
    'trigger',
    "CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'; CREATE TRIGGER audit BEFORE DELETE ON outbox FOR EACH ROW EXECUTE FUNCTION audit()",
    'trigger audit on outbox.',
  ],
  ['rule', 'CREATE RULE keep AS ON DELETE TO outbox_dead_letter DO INSTEAD NOTHING', 'rule keep on outbox_dead_letter.'],
])('a %s of another origin is named', async (_, sql, finding) => {
  await database.query(sql)
  const verdict = (await look()).of('triggers')
  expect(verdict).toMatchObject({ level: 'warning', finding })
  await database.query(verdict.fix.replace('If you do not know it: ', ''))
  expect((await look()).level('triggers')).toBe('ok')
})

test.each<[string, Record<string, string>, string[]]>([
  ['a prefix', { OUTBOX_TABLE_PREFIX: 'q_' }, ['public.outbox', 'post.p_outbox']],
  ['a schema', { OUTBOX_SCHEMA: 'nowhere' }, ['public.outbox', 'post.p_outbox']],
])('tables that are missing under %s are a failure that names those that are there, as a relay does', async (_, env, names) => {
  await database.query(migration({ schema: 'post', tablePrefix: 'p_' }))
  onTestFinished(async () => void (await database.query('DROP SCHEMA post CASCADE')))
  const { fix } = (await diagnose({ DATABASE_URL: database.directUrl, ...env })).of('tables')
  for (const name of names) expect(fix).toMatch(new RegExp(`The database has .*\\b${name}\\b.*: choose tables with --schema`))
  const place = { schema: env.OUTBOX_SCHEMA, tablePrefix: env.OUTBOX_TABLE_PREFIX }
  const start = postgresStore({ databaseUrl: database.directUrl, ...place }).connect(relay)
  await expect(start).rejects.toThrow(fix)
})

interface Sickness {
  check: string
  level: 'warning' | 'failure'
  sick: string
  finding: string
  /** A relay starts all the same. */
  starts?: true
  /** What makes it well; where it is absent, the fix that the doctor names does. */
  cure?: string
}

test.each<Sickness>([
  {
    check: 'tables',
    level: 'failure',
    starts: true,
    sick: 'ALTER TABLE outbox ALTER topic TYPE varchar(20)',
    finding: 'outbox.topic is character varying(20), not text',
    cure: 'ALTER TABLE outbox ALTER topic TYPE text',
  },
  {
    check: 'tables',
    level: 'failure',
    sick: 'ALTER TABLE outbox_dead_letter RENAME requested_action TO requests',
    finding: 'outbox_dead_letter.requested_action is missing',
    cure: 'ALTER TABLE outbox_dead_letter RENAME requests TO requested_action',
  },
  {
    check: 'tables',
    level: 'failure',
    starts: true,
    sick: 'ALTER TABLE outbox ALTER message_id DROP NOT NULL',
    finding: 'outbox.message_id is nullable',
    cure: 'ALTER TABLE outbox ALTER message_id SET NOT NULL',
  },
  {
    check: 'tables',
    level: 'failure',
    sick: 'ALTER TABLE outbox_relay RENAME TO outbox_gone',
    finding: 'Not in schema public: outbox_relay.',
    cure: 'ALTER TABLE outbox_gone RENAME TO outbox_relay',
  },
  {
    check: 'logged',
    level: 'failure',
    starts: true,
    sick: 'ALTER TABLE outbox_dead_letter SET UNLOGGED',
    finding: 'UNLOGGED: outbox_dead_letter.',
  },
  {
    check: 'vacuum',
    level: 'warning',
    starts: true,
    sick: 'ALTER TABLE outbox SET (autovacuum_enabled = false)',
    finding: 'Autovacuum is off for outbox.',
    cure: 'ALTER TABLE outbox RESET (autovacuum_enabled)',
  },
  {
    check: 'sequence',
    level: 'failure',
    sick: 'ALTER SEQUENCE outbox_id_seq CACHE 50',
    finding: 'Each session draws 50 ids ahead.',
    cure: 'ALTER SEQUENCE outbox_id_seq CACHE 1',
  },
  {
    check: 'sequence',
    level: 'failure',
    sick: "INSERT INTO outbox (bucket, id, message_id, topic) VALUES (0, 1000, gen_random_uuid(), 'none')",
    finding: 'behind id 1000.',
  },
  {
    check: 'format',
    level: 'failure',
    sick: 'UPDATE outbox_lease SET format = 7',
    finding: 'The tables have format 7',
    cure: 'UPDATE outbox_lease SET format = 1',
  },
])(
  '$check: $level after "$sick", as a relay that starts says, and well after the fix',
  async ({ check, level, starts, sick, finding, cure }) => {
    await database.query(sick)
    const verdict = (await look()).of(check)
    expect(verdict).toMatchObject({ level, finding: expect.stringContaining(finding), why: expect.stringMatching(/.+/) })
    const start = postgresStore({ databaseUrl: database.directUrl }).connect(relay)
    if (starts) await (await start).close()
    else await expect(start).rejects.toThrow(verdict.finding)
    await database.query(cure ?? verdict.fix)
    expect((await look()).level(check)).toBe('ok')
  },
)

test('dead rows that nobody removes are a warning, and VACUUM as the fix says it makes it well', async () => {
  // Autovacuum is on, and so far behind as on a table whose threshold was raised.
  await database.query('ALTER TABLE outbox SET (autovacuum_vacuum_threshold = 2000000000)')
  await database.query(
    "INSERT INTO outbox (bucket, message_id, topic) SELECT 0, gen_random_uuid(), 't' FROM generate_series(1, 100001)",
  )
  await database.query('DELETE FROM outbox')
  await expect.poll(async () => (await look()).level('vacuum'), { timeout: 20_000 }).toBe('warning')
  const { finding, fix } = (await look()).of('vacuum')
  expect(finding).toBe('More dead rows than live ones in outbox.')
  await database.query(fix.slice(0, fix.indexOf(';')))
  await expect.poll(async () => (await look()).level('vacuum'), { timeout: 20_000 }).toBe('ok')
})

describe('a login of its own', () => {
  test('lacks rights, and the statements of the fix give them', async () => {
    const { role, url } = await login('SELECT ON outbox, outbox_lease, outbox_dead_letter')
    const { of, level } = await look(url)
    expect(of('rights')).toMatchObject({ level: 'failure', finding: expect.stringContaining('INSERT, DELETE on outbox;') })
    expect([level('sequence'), level('relays')]).toEqual(['unseen', 'unseen'])
    const grants = of('rights').fix.match(/GRANT [^;]+;/g)!
    for (const grant of grants) await database.query(grant.replace('…', role))
    expect((await look(url)).level('rights')).toBe('ok')
    await database.query(`GRANT SELECT ON SEQUENCE outbox_id_seq TO ${role}`)
    expect([(await look(url)).level('sequence'), (await look(url)).level('dead')]).toEqual(['ok', 'ok'])
  })

  test('does not see the format without a right to the leases', async () => {
    const { url } = await login('SELECT ON outbox')
    expect((await look(url)).of('format')).toMatchObject({ level: 'unseen', fix: 'See the check rights.' })
  })

  test('is under row-level security, and either fix ends it', async () => {
    await database.query('ALTER TABLE outbox ENABLE ROW LEVEL SECURITY')
    onTestFinished(async () => void (await database.query('ALTER TABLE outbox DISABLE ROW LEVEL SECURITY')))
    const { role, url } = await login('SELECT ON outbox, outbox_lease, outbox_dead_letter, outbox_relay')
    const { level, finding, fix } = (await look(url)).of('row security')
    expect([level, finding]).toEqual(['failure', 'Row-level security is active on outbox.'])
    const [bypass, disable] = fix.split(' or: ')
    await database.query(bypass!.replace('…', role))
    expect((await look(url)).level('row security')).toBe('ok')
    await database.query(`ALTER ROLE ${role} NOBYPASSRLS`)
    expect((await look(url)).level('row security')).toBe('failure')
    await database.query(disable!)
    expect((await look(url)).level('row security')).toBe('ok')
  })
})

test('a database without the tables', async () => {
  await using empty = await createDatabase('', { migrate: false })
  const { of } = await look(empty.directUrl)
  expect(of('tables')).toMatchObject({ level: 'failure', fix: expect.stringContaining('init') })
})
