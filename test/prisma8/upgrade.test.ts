import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { initPrisma8 } from '../../src/cli/init-prisma8.ts'
import { prisma8Project } from '../../src/cli/prisma8-project.ts'
import { contractSpace } from '../../src/prisma/contract-space.ts'
import { createDatabase } from '../support/database.ts'
import { config, prisma, upgrade, writeProject } from './project.ts'
import { extendedSpace, type Space, spaceModels } from './space.ts'

// A version of this package with one more migration, in a project that has the tables of the version before.

const shop = readFileSync(fileURLToPath(new URL('shop/contract.prisma', import.meta.url)), 'utf8')
const home = mkdtempSync(join(tmpdir(), 'outbox-upgrade-'))
afterAll(() => rmSync(home, { recursive: true, force: true }))

/** The next version: the table "outbox" has one more column. */
let next: Space

beforeAll(async () => {
  const column = `SELECT FROM information_schema.columns WHERE table_schema = 'public' AND table_name = 'outbox' AND column_name = 'note'`
  const check = (not: string) => [{ description: 'the column', sql: `SELECT ${not} EXISTS (${column}) AS "result"`, params: [] }]
  const operation = {
    id: 'outbox:add-note',
    label: 'Add the column "note"',
    operationClass: 'additive',
    invariantId: 'outbox:add-note',
    target: { id: 'postgres' },
    precheck: check('NOT') as never,
    execute: [{ description: 'the column', sql: 'ALTER TABLE "public"."outbox" ADD COLUMN "note" TEXT', params: [] }],
    postcheck: check('') as never,
  }
  const models = (await spaceModels()).replace('  headers   Jsonb?\n', '  headers   Jsonb?\n  note String?\n')
  const migration = { dirName: '20261201T0000_add_note', createdAt: '2026-12-01T00:00:00.000Z', ops: [operation] }
  next = await extendedSpace(contractSpace as Space, models, migration, join(home, 'space'))
})

test.each([
  ['db migrate', 'db migrate'],
  ['db migrate', 'db update'],
  ['db migrate --advance-ref db', 'db migrate'],
  ['db init', 'db init'],
  ['db update', 'db update'],
])('after "%s" of a version, "%s" applies the migration of the next one once it is planned', async (first, second) => {
  await using db = await createDatabase('', { migrate: false })
  const folder = join(home, `${first} ${second}`.replaceAll(' ', '-'))
  await writeProject(folder, { 'prisma.config.ts': config(db.directUrl, 'extensions: [outbox]'), 'contract.prisma': shop })
  const run = (command: string) => prisma(folder, command)
  for (const command of ['contract emit', 'migration plan --name init', first])
    expect(await run(command)).toMatchObject({ ok: true })
  await db.query("INSERT INTO outbox (bucket, message_id, topic) VALUES (0, gen_random_uuid(), 'a')")
  await upgrade(folder, next)
  // Prisma 8 says that all is well until the migration is planned.
  expect(await run('db verify --strict')).toMatchObject({ ok: true })
  expect(await run(second)).toMatchObject({ ok: true })
  expect(await db.query('SELECT * FROM outbox')).not.toMatchObject([{ note: null }])

  const said = initPrisma8(prisma8Project(folder, next)!, {})
  const [, plan] = /^ {2}1\. npx prisma (migration plan.*?) {2}/m.exec(said) ?? []
  expect(await run(plan!)).toMatchObject({ ok: true, result: { noOp: true } })
  expect(await run(second)).toMatchObject({ ok: true })
  expect(await db.query('SELECT topic, note FROM outbox')).toEqual([{ topic: 'a', note: null }])
  expect(await run('db verify --strict')).toMatchObject({ ok: true, result: { unclaimed: [] } })
  expect(await run('db update --dry-run')).toMatchObject({ ok: true, result: { plan: { operations: [] } } })
  expect(initPrisma8(prisma8Project(folder, next)!, {})).toMatch(/^Nothing to do/)
})
