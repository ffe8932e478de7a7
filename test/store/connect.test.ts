import { randomUUID } from 'node:crypto'
import pg from 'pg'
import { describe, expect, test } from 'vitest'
import { migration } from '../../src/cli/fragment.ts'
import { postgresStore } from '../../src/store/postgres/store.ts'
import { createDatabase } from '../support/database.ts'
import { insertRows } from '../support/rows.ts'
import { Sessions } from './sessions.ts'

const sessions = new Sessions()

describe('a database that can never serve is refused', () => {
  const refused = (url: string, schema?: string, tablePrefix?: string) =>
    postgresStore({ databaseUrl: url, schema, tablePrefix }).connect({
      id: randomUUID(),
      name: 'r',
      version: '0',
      leaseMs: 10_000,
    })

  test('without our tables', async () => {
    await using empty = await createDatabase('', { migrate: false })
    const remedy = expect.stringContaining('prisma-extension-outbox init')
    await expect(refused(empty.url)).rejects.toMatchObject({ code: 'OUTBOX_TABLES_MISSING', remedy })
  })

  test.each([
    ['another schema', '', {}, 'elsewhere', undefined, 'has public.outbox: choose'],
    ['a prefix', migration({ tablePrefix: 'p_' }), {}, undefined, 'q_', 'has public.outbox, public.p_outbox: choose'],
    ['no prefix', migration({ tablePrefix: 'p_' }), { migrate: false }, undefined, undefined, 'has public.p_outbox: choose'],
  ])('without these tables: those that are there are named, for %s', async (_, sql, how, schema, prefix, words) => {
    await using other = await createDatabase(sql, how)
    const remedy = expect.stringContaining(words)
    await expect(refused(other.url, schema, prefix)).rejects.toMatchObject({ code: 'OUTBOX_TABLES_MISSING', remedy })
  })

  test('with a wrong URL, password or name, and the error shows no secret', async () => {
    expect(() => postgresStore({ databaseUrl: 'not a url with s3cret' })).toThrow(
      expect.objectContaining({ code: 'OUTBOX_DATABASE_REFUSED' }),
    )
    const url = new URL(sessions.database.directUrl)
    url.pathname = '/nowhere'
    const error = await refused(url.href).catch((error: Error) => error)
    expect(error).toMatchObject({ code: 'OUTBOX_DATABASE_REFUSED' })
    expect(String(error)).not.toContain(url.password)
  })

  test.each([
    'sslaccept=nonsense',
    'sslaccept=strict&sslmode=disable',
    'sslaccept=strict&sslmode=no-verify',
    'sslmode=allow',
    'sslmode=verify_full',
    'sslidentity=client.p12',
    'sslpassword=s3cret',
  ])('with a parameter for TLS that would be passed over: %s', (parameters) => {
    const open = () => postgresStore({ databaseUrl: `postgresql://u:s3cret@h/d?${parameters}` })
    expect(open).toThrow(expect.objectContaining({ code: 'OUTBOX_DATABASE_REFUSED', field: 'DATABASE_URL' }))
    expect(open).toThrow(/^(?!.*s3cret)/s)
    expect(() => postgresStore({ databaseUrl: 'postgresql://h/d', listenUrl: `postgresql://h/d?${parameters}` })).toThrow(
      expect.objectContaining({ field: 'OUTBOX_LISTEN_URL' }),
    )
  })

  test('that is read-only, as a replica is', async () => {
    await expect(refused(`${sessions.database.directUrl}?options=-c%20default_transaction_read_only%3Don`)).rejects.toMatchObject(
      {
        code: 'OUTBOX_READ_ONLY_DATABASE',
      },
    )
  })

  test('with a newer table format, a sequence that is behind, a cached sequence, or row-level security', async () => {
    const own = await createDatabase()
    await own.query('UPDATE outbox_lease SET format = 3')
    await expect(refused(own.url)).rejects.toMatchObject({ code: 'OUTBOX_TABLE_FORMAT' })
    await own.query('UPDATE outbox_lease SET format = 1')
    await insertRows(own.pool, [{ topic: 't' }, { topic: 't' }])
    await own.query("SELECT setval('outbox_id_seq', 1)")
    await expect(refused(own.url)).rejects.toMatchObject({ code: 'OUTBOX_SEQUENCE_BEHIND' })
    await own.query("SELECT setval('outbox_id_seq', 2)")
    // The next id is 100, and none was drawn yet.
    await own.query('ALTER SEQUENCE outbox_id_seq RESTART WITH 100')
    await (await refused(own.url)).close()
    await own.query('ALTER SEQUENCE outbox_id_seq CACHE 10')
    await expect(refused(own.url)).rejects.toMatchObject({ code: 'OUTBOX_SEQUENCE_BEHIND' })
    await own.query('ALTER SEQUENCE outbox_id_seq CACHE 1')
    const role = `relay_${randomUUID().replaceAll('-', '')}`
    await own.query(`CREATE ROLE ${role} LOGIN PASSWORD 'pw'`)
    const url = new URL(own.directUrl)
    url.username = role
    url.password = 'pw'
    await expect(refused(url.href)).rejects.toMatchObject({
      code: 'OUTBOX_MISSING_RIGHTS',
      message: expect.stringContaining('SELECT, INSERT, DELETE on outbox; SELECT, INSERT, UPDATE, DELETE on outbox_batch; '),
    })
    await own.query(
      `GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO ${role}; GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO ${role}`,
    )
    await (await refused(url.href)).close()
    await own.query('ALTER TABLE outbox ENABLE ROW LEVEL SECURITY')
    await expect(refused(url.href)).rejects.toMatchObject({ code: 'OUTBOX_ROW_SECURITY' })
    await own.query('ALTER TABLE outbox DISABLE ROW LEVEL SECURITY; ALTER TABLE outbox_relay ENABLE ROW LEVEL SECURITY')
    await expect(refused(url.href)).rejects.toMatchObject({ code: 'OUTBOX_ROW_SECURITY' })
    await own.drop()
    await sessions.database.query(`DROP ROLE ${role}`)
  })
})

test('a session ends as a whole when one of its backends is terminated', async () => {
  const session = await sessions.connect(10_000, sessions.database.directUrl)
  const client = new pg.Client({ connectionString: sessions.database.directUrl })
  await client.connect()
  await client.query(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'prisma-extension-outbox' AND datname = current_database() ORDER BY backend_start DESC LIMIT 1",
  )
  await client.end()
  expect(await session.lost).toBeInstanceOf(Error)
  await expect(session.take(1)).rejects.toThrow()
})

test('default isolation, time zone and time-outs of the role do not reach the statements of the relay', async () => {
  const own = await createDatabase()
  const name = new URL(own.url).pathname.slice(1)
  await own.query(`ALTER DATABASE "${name}" SET default_transaction_isolation = 'serializable'`)
  await own.query(`ALTER DATABASE "${name}" SET statement_timeout = 200`)
  await own.query(`ALTER DATABASE "${name}" SET TimeZone = 'Asia/Kolkata'`)
  const session = await sessions.connect(10_000, own.url)
  const leases = await session.take(64)
  expect(leases).toHaveLength(64)
  expect(await session.renew(leases)).toHaveLength(64)
  const admin = await own.pool.connect()
  await admin.query('BEGIN')
  // A locked row is skipped; for a table there is nothing to do but wait.
  await admin.query('LOCK TABLE outbox_lease IN EXCLUSIVE MODE')
  const releasing = session.release(leases)
  await new Promise((resolve) => setTimeout(resolve, 400))
  await admin.query('ROLLBACK')
  admin.release()
  expect(await releasing).toHaveLength(64)
  await session.close()
  await own.drop()
})
