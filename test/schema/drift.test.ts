import { randomUUID } from 'node:crypto'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { fragment, migration } from '../../src/cli/fragment.ts'
import { postgresStore } from '../../src/store/postgres/store.ts'
import { createDatabase, type TestDatabase } from '../support/database.ts'
import { createProject, type TestProject } from '../support/prisma-cli.ts'
import { insertRows } from '../support/rows.ts'

/** What an adopter fears most: that Prisma takes the outbox for drift, and wants to drop its tables or reset the database. */
const config = (folder = 'prisma') => `import { defineConfig } from 'prisma/config'
export default defineConfig({
  schema: '${folder}',
  migrations: { path: 'prisma/migrations' },
  datasource: { url: process.env.DATABASE_URL! },
})
`
const shop = `generator client {
  provider = "prisma-client"
  output   = "../generated"
}

datasource db {
  provider = "postgresql"
}

model Order {
  id    Int    @id @default(autoincrement())
  email String
}
`
const orders = 'CREATE TABLE "Order" ("id" SERIAL NOT NULL, "email" TEXT NOT NULL, CONSTRAINT "Order_pkey" PRIMARY KEY ("id"));\n'
const files = {
  'prisma.config.ts': config(),
  'prisma/schema.prisma': shop,
  'prisma/outbox.prisma': fragment({ inbox: true }),
  'prisma/migrations/migration_lock.toml': 'provider = "postgresql"\n',
  'prisma/migrations/20250101000000_orders/migration.sql': orders,
  'prisma/migrations/20250102000000_outbox/migration.sql': migration(),
  'prisma/migrations/20250103000000_inbox/migration.sql': migration({}, 'inbox'),
}

describe('after prisma migrate deploy', () => {
  let project: TestProject
  let database: TestDatabase
  const prisma = (...args: string[]) => project.prisma(args, database.url)

  beforeAll(async () => {
    project = createProject(files)
    database = await createDatabase('', { migrate: false })
    const { code, output } = await prisma('migrate', 'deploy')
    expect(output).toContain('All migrations have been successfully applied.')
    expect(code).toBe(0)
  })
  afterAll(async () => {
    await database?.drop()
    project?.remove()
  })

  test('prisma migrate dev is in sync and writes no migration', async () => {
    const { code, output } = await prisma('migrate', 'dev')
    expect(output).toContain('Already in sync, no schema change or pending migration was found.')
    expect(code).toBe(0)
    expect(Object.keys(project.files()).filter((name) => name.endsWith('.sql'))).toHaveLength(3)
  })

  test.each([
    ['the migrations', ['--from-migrations', 'prisma/migrations']],
    ['the database', ['--from-config-datasource']],
  ])('prisma migrate diff finds nothing between %s and the schema', async (_, from) => {
    const { code, output } = await prisma('migrate', 'diff', ...from, '--to-schema', 'prisma', '--exit-code')
    expect(output).toContain('No difference detected.')
    expect(code).toBe(0)
  })

  test('prisma migrate diff finds nothing in a database whose time zone is not UTC', async () => {
    await database.query(
      `DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET timezone TO ''Asia/Tokyo''', current_database()); END $$`,
    )
    const { code, output } = await prisma('migrate', 'diff', '--from-config-datasource', '--to-schema', 'prisma', '--exit-code')
    expect(output).toContain('No difference detected.')
    expect(code).toBe(0)
  })

  test('prisma db push changes nothing, and leaves CHECK, settings and leases as they are', async () => {
    const { code, output } = await prisma('db', 'push')
    expect(output).toContain('The database is already in sync with the Prisma schema.')
    expect(code).toBe(0)
    const [row] = await database.query(`SELECT (SELECT count(*)::int FROM outbox_lease) AS leases,
      (SELECT count(*)::int FROM pg_constraint WHERE conname = 'outbox_bucket_check') AS checks,
      (SELECT reloptions FROM pg_class WHERE relname = 'outbox') AS settings`)
    expect(row).toMatchObject({ leases: 64, checks: 1, settings: expect.arrayContaining(['autovacuum_vacuum_scale_factor=0']) })
  })

  test('a column that the migration lacks would be seen: the comparison is not blind', async () => {
    await database.query('ALTER TABLE outbox DROP COLUMN type')
    const { code, output } = await prisma('migrate', 'diff', '--from-config-datasource', '--to-schema', 'prisma', '--exit-code')
    expect(output).toContain('outbox')
    expect(code).toBe(2)
    await database.query('ALTER TABLE outbox ADD COLUMN type TEXT')
  })
})

describe('prisma migrate dev', () => {
  const opened: (() => unknown)[] = []
  afterEach(async () => {
    for (const close of opened.splice(0)) await close()
  })

  test("a later migration of the user's says nothing about the outbox", async () => {
    const project = createProject(files)
    const database = await createDatabase('', { migrate: false })
    opened.push(project.remove, database.drop)
    await project.prisma(['migrate', 'deploy'], database.url)
    project.write({ 'prisma/schema.prisma': shop.replace('email String', 'email String\n  note String?') })
    const { code, output } = await project.prisma(['migrate', 'dev', '--name', 'note'], database.url)
    expect(output).toContain('Your database is now in sync with your schema.')
    expect(code).toBe(0)
    const [, sql] = Object.entries(project.files()).find(([name]) => name.endsWith('_note/migration.sql'))!
    expect(sql.trim()).toBe('-- AlterTable\nALTER TABLE "Order" ADD COLUMN     "note" TEXT;')
  })

  test('is in sync with prefixed tables, also where Prisma cuts the names of their indexes', async () => {
    const naming = { tablePrefix: `${'p'.repeat(29)}_`, inbox: true }
    const project = createProject({
      ...files,
      'prisma/schema.prisma': `${shop}\nmodel Mine {\n  id Int @id\n\n  @@map("outbox")\n}\n`,
      'prisma/migrations/20250101000000_orders/migration.sql': `${orders}CREATE TABLE "outbox" ("id" INTEGER NOT NULL, CONSTRAINT "outbox_pkey" PRIMARY KEY ("id"));\n`,
      'prisma/outbox.prisma': fragment(naming),
      'prisma/migrations/20250102000000_outbox/migration.sql': migration(naming),
      'prisma/migrations/20250103000000_inbox/migration.sql': migration(naming, 'inbox'),
    })
    const database = await createDatabase('', { migrate: false })
    opened.push(project.remove, database.drop)
    const deploy = await project.prisma(['migrate', 'deploy'], database.url)
    expect(deploy.output).toContain('All migrations have been successfully applied.')
    const dev = await project.prisma(['migrate', 'dev'], database.url)
    expect(dev.output).toContain('Already in sync, no schema change or pending migration was found.')
    const names = await database.query<{ name: string }>(
      `SELECT relname AS name FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relname ~ '(out|in)box' AND relname !~ '^ppp'`,
    )
    expect(names.map(({ name }) => name).sort()).toEqual(['outbox', 'outbox_pkey'])
  })

  test('is in sync with the tables in a PostgreSQL schema of their own', async () => {
    const naming = { schema: 'shop', inbox: true }
    const project = createProject({
      ...files,
      'prisma/schema.prisma': `${shop.replace('"postgresql"\n', '"postgresql"\n  schemas  = ["public", "shop"]\n').trimEnd().slice(0, -1)}\n  @@schema("public")\n}\n`,
      'prisma/outbox.prisma': fragment(naming),
      'prisma/migrations/20250102000000_outbox/migration.sql': migration(naming),
      'prisma/migrations/20250103000000_inbox/migration.sql': migration(naming, 'inbox'),
    })
    const database = await createDatabase('', { migrate: false })
    opened.push(project.remove, database.drop)
    const deploy = await project.prisma(['migrate', 'deploy'], database.url)
    expect(deploy.output).toContain('All migrations have been successfully applied.')
    const dev = await project.prisma(['migrate', 'dev'], database.url)
    expect(dev.output).toContain('Already in sync, no schema change or pending migration was found.')
    const tables = await database.query(`SELECT table_name FROM information_schema.tables WHERE table_schema = 'shop' ORDER BY 1`)
    expect(tables.map((row) => row.table_name)).toEqual([
      'inbox',
      'inbox_dead_letter',
      'inbox_projection',
      'outbox',
      'outbox_batch',
      'outbox_dead_letter',
      'outbox_lease',
      'outbox_relay',
    ])
  })
})

test('the tables that prisma db push makes carry a message to its end, though they lack the leases', async () => {
  const project = createProject(files)
  await using database = await createDatabase('', { migrate: false })
  const { code } = await project.prisma(['db', 'push'], database.url)
  project.remove()
  expect(code).toBe(0)
  expect(await database.query('SELECT bucket FROM outbox_lease')).toEqual([])
  const me = { id: randomUUID(), name: 'relay', version: '0', leaseMs: 10_000 }
  const session = await postgresStore({ databaseUrl: database.url }).connect(me)
  await session.beat({ alive: true, ackedMsAgo: null, answeredMsAgo: null, trouble: [] })
  expect(await session.take(64)).toHaveLength(64)
  await insertRows(database.pool, [{ topic: 'orders', key: 'k' }])
  const scans = Array.from({ length: 64 }, (_, bucket) => ({ bucket, after: 0, limit: 10, look: 10 }))
  const limits = { limit: 10, withoutTopics: [], withoutIds: [], maxRowBytes: 1000, maxBytes: 1000 }
  const { rows } = await session.fetch({ scans, ...limits })
  expect(rows.map((row) => row.topic)).toEqual(['orders'])
  await session.settle(rows)
  await session.close()
  expect(await database.query('SELECT id FROM outbox')).toEqual([])
})
