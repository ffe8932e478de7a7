import { chmod, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { faketime, hasFaketime } from '../support/faketime.ts'
import { migrationSql } from '../support/migrations.ts'
import { type PostgresServer, startPostgres } from '../support/postgres.ts'
import { copyPostgres } from '../support/postgres-copy.ts'
import { diagnose } from './diagnose.ts'

/** Servers of their own: what is wrong here is wrong for every database of a server. */
let server: PostgresServer
beforeAll(async () => {
  server = await startPostgres({ wal_level: 'logical', max_prepared_transactions: 5 })
  await run(server.url, migrationSql)
})
afterAll(() => server.stop())

const look = (url: string) => diagnose({ DATABASE_URL: url })

/** One statement, or several, in a session that ends. */
async function run(url: string, sql: string): Promise<void> {
  const client = await session(url)
  await client.query(sql).finally(() => client.end())
}

async function session(url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url })
  client.on('error', () => {})
  await client.connect()
  return client
}

/** The statement of a fix, as it stands there. */
const statementOf = (fix: string) => fix.slice(fix.indexOf(': ') + 2)

test('a hot standby takes no relay, and its primary does', async () => {
  const standby = await copyPostgres(server, { standby: true })
  onTestFinished(() => standby.stop())
  const { of, level } = await look(standby.url)
  expect(of('primary')).toMatchObject({ level: 'failure', fix: 'Point DATABASE_URL at the primary.' })
  // What can be read there is judged all the same.
  expect([level('tables'), level('sequence')]).toEqual(['ok', 'ok'])
  expect((await look(server.url)).level('primary')).toBe('ok')
})

test('fsync off is a warning, and the fix turns it on', async () => {
  await run(server.url, 'ALTER SYSTEM SET fsync = off')
  await run(server.url, 'SELECT pg_reload_conf()')
  await expect.poll(async () => (await look(server.url)).level('durability'), { timeout: 20_000 }).toBe('warning')
  const { finding, fix } = (await look(server.url)).of('durability')
  expect(finding).toBe('fsync is off for this role.')
  for (const statement of fix.split(';').filter((one) => one.trim())) await run(server.url, statement)
  await expect.poll(async () => (await look(server.url)).level('durability'), { timeout: 20_000 }).toBe('ok')
})

/** Reads a slot as a subscriber does, until the connection ends. */
async function readSlot(slot: string): Promise<pg.Client> {
  const reader = new pg.Client({ connectionString: server.url, replication: 'database' } as pg.ClientConfig)
  reader.on('error', () => {})
  await reader.connect()
  // It never ends on its own: the server streams from here on.
  reader.query(`START_REPLICATION SLOT ${slot} LOGICAL 0/0 (proto_version '1', publication_names 'none')`).catch(() => {})
  return reader
}

test('a replication slot that somebody reads is well, one that nobody reads a warning, and the fix drops it', async () => {
  await run(server.url, "SELECT pg_create_logical_replication_slot('forgotten', 'pgoutput')")
  const horizon = async () => (await look(server.url)).level('horizon')
  expect(await horizon()).toBe('warning')
  const reader = await readSlot('forgotten')
  await expect.poll(horizon, { timeout: 20_000 }).toBe('ok')
  await reader.end()
  await expect.poll(horizon, { timeout: 20_000 }).toBe('warning')
  const { level, finding, fix } = (await look(server.url)).of('horizon')
  expect([level, finding]).toEqual(['warning', expect.stringContaining('Replication slot forgotten (inactive)')])
  await run(server.url, statementOf(fix))
  expect((await look(server.url)).level('horizon')).toBe('ok')
})

if (!hasFaketime) console.log("Debian's package faketime is not installed: clock and old transactions are not tested.")
test.skipIf(!hasFaketime)('a wrong clock, an old transaction and a prepared one are told, and the fixes end them', async () => {
  const file = join(tmpdir(), `outbox-faketime-doctor-${process.pid}`)
  const clock = async (offset: string) => {
    await writeFile(file, `${offset}\n`)
    await chmod(file, 0o644)
  }
  await clock('+0')
  const copy = await copyPostgres(server, { env: faketime(file) })
  onTestFinished(async () => {
    await copy.stop()
    await rm(file)
  })
  expect((await look(copy.url)).level('clock')).toBe('ok')
  await run(
    copy.url,
    "BEGIN; INSERT INTO outbox_relay (id, name, version) VALUES (gen_random_uuid(), 'r', '1'); PREPARE TRANSACTION 'left'",
  )
  const holder = await session(copy.url)
  const pid = (await holder.query(
    'BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT pg_backend_pid() AS pid',
  )) as unknown as pg.QueryResult[]
  expect((await look(copy.url)).level('horizon')).toBe('ok')

  await clock('+600s')
  const late = await look(copy.url)
  expect(late.of('clock')).toMatchObject({
    level: 'warning',
    finding: expect.stringMatching(/(9 min 59 s|10 min) ahead of this machine's/),
  })
  await clock('-600s')
  expect((await look(copy.url)).of('clock').finding).toContain("behind this machine's")
  await clock('+600s')

  // The oldest first: the prepared transaction, then the session.
  const prepared = (await look(copy.url)).of('horizon')
  expect(prepared.finding).toMatch(/^Prepared transaction left holds dead rows back for 10 min/)
  await run(copy.url, statementOf(prepared.fix))
  const old = (await look(copy.url)).of('horizon')
  expect(old.finding).toMatch(
    new RegExp(`^Process ${pid[1]!.rows[0].pid} \\(idle in transaction\\) holds dead rows back for 10 min`),
  )
  const gone = new Promise((resolve) => holder.once('end', resolve))
  await run(copy.url, statementOf(old.fix))
  await gone
  expect((await look(copy.url)).level('horizon')).toBe('ok')
})
