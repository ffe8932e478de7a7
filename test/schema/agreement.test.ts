import { readFileSync } from 'node:fs'
import pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { fragment, migration } from '../../src/cli/fragment.ts'
import { createDatabase, type TestDatabase } from '../support/database.ts'
import { inboxSql } from '../support/migrations.ts'
import { startPostgres } from '../support/postgres.ts'
import { createProject } from '../support/prisma-cli.ts'

/** The fragment and the migration say the same thing twice; here PostgreSQL says whether they do. */
let byPrisma: TestDatabase
let byMigration: TestDatabase

beforeAll(async () => {
  const project = createProject({
    'prisma.config.ts': `export default { schema: 'prisma', datasource: { url: process.env.DATABASE_URL } }`,
    'prisma/schema.prisma': 'datasource db {\n  provider = "postgresql"\n}\n',
    'prisma/outbox.prisma': fragment({ inbox: true }),
  })
  byPrisma = await createDatabase('', { migrate: false })
  byMigration = await createDatabase(inboxSql)
  const { output } = await project.prisma(['db', 'push'], byPrisma.url)
  expect(output).toContain('Your database is now in sync with your Prisma schema.')
  project.remove()
})

afterAll(async () => {
  await byPrisma?.drop()
  await byMigration?.drop()
})

const both = (sql: string) => Promise.all([byPrisma.query(sql), byMigration.query(sql)])

test("the migration creates the columns that Prisma's own DDL for the fragment creates, in the same order", async () => {
  const [prisma, ours] =
    await both(`SELECT table_name, ordinal_position, column_name, udt_name, is_nullable, datetime_precision, column_default
    FROM information_schema.columns WHERE table_schema = 'public' ORDER BY 1, 2`)
  expect(ours).toEqual(prisma)
  expect(ours).toHaveLength(75)
})

test('the migration creates the primary keys and indexes of the fragment', async () => {
  const [prisma, ours] = await both(`SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1`)
  expect(ours).toEqual(prisma)
  expect(ours.map((row) => row.indexname)).toEqual([
    'inbox_consumer_processed_at_idx',
    'inbox_dead_letter_consumer_requested_action_idx',
    'inbox_dead_letter_key_idx',
    'inbox_dead_letter_pkey',
    'inbox_pkey',
    'inbox_projection_pkey',
    'outbox_batch_pkey',
    'outbox_dead_letter_pkey',
    'outbox_dead_letter_requested_action_bucket_idx',
    'outbox_lease_pkey',
    'outbox_pkey',
    'outbox_relay_pkey',
  ])
})

test.each([
  ['outbox', 'id'],
  ['inbox_dead_letter', 'arrival'],
])('%s.%s comes from a sequence that belongs to its column and hands out one number at a time', async (table, column) => {
  const [prisma, ours] = await both(`SELECT seqtypid::regtype::text AS type, seqcache::int AS cache
    FROM pg_sequence WHERE seqrelid = pg_get_serial_sequence('${table}', '${column}')::regclass`)
  expect(ours).toEqual(prisma)
  expect(ours).toEqual([{ type: 'bigint', cache: 1 }])
})

test('each column has the same comment in the fragment and in the migration', () => {
  const inFragment: string[] = []
  for (const [, body] of fragment({ inbox: true }).matchAll(/^model \w+ \{\n([\s\S]*?)^\}/gm)) {
    for (const [, comment, field, rest] of body!.matchAll(/^ {2}\/\/\/ (.*)\n {2}(\w+)(.*)/gm)) {
      inFragment.push(`${/@map\("(\w+)"\)/.exec(rest!)?.[1] ?? field}: ${comment}`)
    }
  }
  const inMigration = [...(migration() + inboxSql).matchAll(/^ {4}-- (.*)\n {4}"(\w+)"/gm)].map(
    ([, comment, column]) => `${column}: ${comment}`,
  )
  expect(inMigration).toEqual(inFragment)
  expect(inMigration).toHaveLength(75)
})

test('there is one lease for each of the 64 buckets, free at once', async () => {
  const rows = await byMigration.query(`SELECT count(*)::int AS leases, min(bucket), max(bucket), bool_and(owner IS NULL) AS free,
    bool_and(leased_until <= clock_timestamp()) AS over, min(epoch)::int AS epoch, max(format) AS format FROM outbox_lease`)
  expect(rows).toEqual([{ leases: 64, min: 0, max: 63, free: true, over: true, epoch: 0, format: 1 }])
})

test.each([-1, 64])('a message in bucket %i, which no relay would read, is refused', async (bucket) => {
  const insert = byMigration.query(`INSERT INTO outbox (bucket, message_id, topic) VALUES (${bucket}, gen_random_uuid(), 't')`)
  await expect(insert).rejects.toMatchObject({ constraint: 'outbox_bucket_check' })
})

test('autovacuum of the outbox goes by a number of dead rows and not by a share of the table', async () => {
  const [row] = await byMigration.query(`SELECT reloptions FROM pg_class WHERE relname = 'outbox'`)
  expect(row!.reloptions).toEqual(
    expect.arrayContaining(['autovacuum_vacuum_scale_factor=0', 'autovacuum_vacuum_threshold=10000']),
  )
})

test('a lease that is claimed and renewed stays on its page and in its place in the index', async () => {
  // A server of its own: an open transaction of any database keeps old row versions on their pages.
  const server = await startPostgres()
  const client = new pg.Client({ connectionString: server.url })
  await client.connect()
  await client.query(migration())
  const renew = `UPDATE outbox_lease SET owner = 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', epoch = epoch + 1, leased_until = clock_timestamp()`
  for (let i = 0; i < 20; i++) await client.query(renew)
  const counts = `SELECT n_tup_upd::int AS updated, n_tup_hot_upd::int AS hot FROM pg_stat_user_tables WHERE relname = 'outbox_lease'`
  const counted = async () => (await client.query(counts)).rows
  await expect.poll(counted, { timeout: 15_000 }).toEqual([{ updated: 20 * 64, hot: 20 * 64 }])
  await client.end()
  await server.stop()
})

test('a semicolon stands only at the end of a statement, so tools that cut the script there cut it rightly', () => {
  const naming = { schema: 'shop' }
  const sql = migration(naming) + migration(naming, 'inbox')
  expect(sql.match(/;/g)).toHaveLength(sql.match(/;$/gm)!.length)
  expect(sql.match(/^--.*;|^ +--.*;/gm)).toBeNull()
})

test('the shipped files are the fragment, word for word', () => {
  const shipped = (name: string) => readFileSync(new URL(`../../prisma/${name}.prisma`, import.meta.url), 'utf8')
  expect(fragment()).toBe(shipped('outbox'))
  expect(fragment({ inbox: true })).toBe(`${shipped('outbox')}\n${shipped('inbox')}`)
})
