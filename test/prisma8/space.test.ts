import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import postgres from '@prisma/orm-postgres/runtime'
import pg from 'pg'
import { afterAll, describe, expect, test } from 'vitest'
import { outboxRuntime, withOutbox } from '../../src/prisma8.ts'
import { createDatabase, type TestDatabase } from '../support/database.ts'
import { inboxSql } from '../support/migrations.ts'
import { type Answer, config, prisma, writeProject } from './project.ts'
import type { Contract } from './shop/contract.d.ts'
import { message } from './shop.ts'
import { contractSpace } from './space.ts'

// The tables as an extension of Prisma 8, with Prisma's own commands.

const read = (path: string) => readFileSync(fileURLToPath(new URL(`../../${path}`, import.meta.url)), 'utf8')
const shop = read('test/prisma8/shop/contract.prisma')
const home = mkdtempSync(join(tmpdir(), 'outbox-prisma8-'))
afterAll(() => rmSync(home, { recursive: true, force: true }))

/** What PostgreSQL knows of our tables: what pg_dump would write. */
async function tablesOf(db: TestDatabase) {
  // PostgreSQL writes times in constraints in the time zone of the session.
  const client = new pg.Client({ connectionString: db.directUrl, options: '-c timezone=UTC' })
  await client.connect()
  try {
    return (await client.query(tablesSql)).rows
  } finally {
    await client.end()
  }
}

const tablesSql = `
    SELECT c.relname, c.reloptions,
      (SELECT jsonb_agg(jsonb_build_array(a.attnum, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
          pg_get_expr(d.adbin, d.adrelid), col_description(c.oid, a.attnum)) ORDER BY a.attnum)
        FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns,
      (SELECT jsonb_agg(jsonb_build_array(conname, pg_get_constraintdef(oid)) ORDER BY conname) FROM pg_constraint WHERE conrelid = c.oid) AS constraints,
      (SELECT jsonb_agg(pg_get_indexdef(indexrelid) ORDER BY indexrelid::regclass::text) FROM pg_index WHERE indrelid = c.oid) AS indexes,
      (SELECT jsonb_agg(pg_get_triggerdef(oid) ORDER BY tgname) FROM pg_trigger WHERE tgrelid = c.oid AND NOT tgisinternal) AS triggers,
      (SELECT jsonb_agg(proname ORDER BY proname) FROM pg_proc WHERE pronamespace = c.relnamespace) AS functions
    FROM pg_class c WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace AND c.relname ~ '^(in|out)box' ORDER BY 1`

let projects = 0

/** A project with the shop's contract, and its commands on a database. */
async function project(db: TestDatabase, files: Record<string, string> = {}) {
  const folder = join(home, `project-${projects++}`)
  const own = { 'prisma.config.ts': config(db.directUrl, 'extensions: [outbox]'), 'contract.prisma': shop }
  await writeProject(folder, { ...own, ...files })
  const run = (command: string): Promise<Answer> => prisma(folder, command)
  expect(await run('contract emit')).toMatchObject({ ok: true })
  return run
}

type Run = Awaited<ReturnType<typeof project>>

/** Nothing is left to do, and nothing is there that Prisma 8 does not know. */
async function expectClean(run: Run): Promise<void> {
  expect(await run('db verify --strict')).toMatchObject({ ok: true, result: { unclaimed: [] } })
  expect(await run('db update --dry-run')).toMatchObject({ ok: true, result: { plan: { operations: [] } } })
}

test('the extension is made of the models and the migrations as they are', async () => {
  expect(await contractSpace(join(home, 'space'))).toBe(read('src/prisma/contract-space.ts'))
})

describe.each(['db migrate', 'db init', 'db update'])('%s', (command) => {
  test('makes on an empty database the tables that our migrations make, with the 64 leases', async () => {
    await using db = await createDatabase('', { migrate: false })
    await using like = await createDatabase(inboxSql)
    const run = await project(db)
    expect(await run('migration plan --name init')).toMatchObject({ ok: true })
    expect(await run(command)).toMatchObject({ ok: true })
    expect(await tablesOf(db)).toEqual(await tablesOf(like))
    expect(await db.query('SELECT count(*)::int AS leases FROM outbox_lease')).toEqual([{ leases: 64 }])
    await expectClean(run)
  })
})

test.each([
  ['all tables', inboxSql],
  ['only those of the outbox', ''],
])('%s that are there are adopted, with their rows; the time zone of the database changes nothing', async (_, more) => {
  await using db = await createDatabase(more)
  await using like = await createDatabase(inboxSql)
  const { pathname } = new URL(db.directUrl)
  await db.query(`ALTER DATABASE "${pathname.slice(1)}" SET timezone = 'Europe/Berlin'`)
  await db.query("INSERT INTO outbox (bucket, message_id, topic) VALUES (0, gen_random_uuid(), 'a')")
  const run = await project(db)
  expect(await run('migration plan --name init')).toMatchObject({ ok: true })
  expect(await run('db migrate')).toMatchObject({ ok: true })
  expect([await tablesOf(db), await db.query('SELECT topic FROM outbox')]).toEqual([await tablesOf(like), [{ topic: 'a' }]])
  await expectClean(run)
})

test('an extension that is declared and not planned is refused by Prisma, until `migration plan`', async () => {
  await using db = await createDatabase('', { migrate: false })
  const run = await project(db)
  expect(await run('db init')).toMatchObject({ ok: false, code: 'MIGRATION.CONTRACT_SPACE_LAYOUT_VIOLATION' })
  await run('migration plan --name init')
  expect(await run('db init')).toMatchObject({ ok: true })
})

describe('without the extension', () => {
  test('`db update` would drop every table of ours', async () => {
    await using db = await createDatabase(inboxSql)
    const run = await project(db, { 'prisma.config.ts': config(db.directUrl) })
    const { result } = await run('db update --dry-run')
    const { operations } = (result as unknown as { plan: { operations: { operationClass: string }[] } }).plan
    expect(operations.filter(({ operationClass }) => operationClass === 'destructive')).toHaveLength(8)
  })

  test('models with @@control(external) in the contract keep it from that, and a column that is missing is found', async () => {
    await using db = await createDatabase(inboxSql)
    const [, models] = read('prisma/prisma-8/outbox.prisma').split('// use prisma-8\n')
    const run = await project(db, { 'prisma.config.ts': config(db.directUrl), 'contract.prisma': `${shop}\n${models}` })
    expect(await run('db init')).toMatchObject({ ok: true })
    expect(await run('db verify')).toMatchObject({ ok: true })
    expect(await run('db update --dry-run')).toMatchObject({ ok: true, result: { plan: { operations: [] } } })
    await db.query('ALTER TABLE outbox DROP COLUMN headers')
    expect(await run('db verify')).toMatchObject({ ok: false })
  })
})

test('a client with outboxRuntime verifies the database at its first statement, and enqueues', async () => {
  await using db = await createDatabase('', { migrate: false })
  const run = await project(db)
  await run('migration plan --name init')
  await run('db init')
  const contractJson = JSON.parse(read('test/prisma8/shop/contract.json'))
  const client = withOutbox(postgres<Contract>({ contractJson, url: db.directUrl, extensions: [outboxRuntime] }))
  try {
    await client.orm.public.Order.all()
    await client.transaction((tx) => tx.outbox.enqueue(message('a')))
  } finally {
    await client.close()
  }
  expect(await db.query('SELECT topic FROM outbox')).toEqual([{ topic: 'a' }])
})
