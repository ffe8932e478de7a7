import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, expect, test } from 'vitest'
import { contractFragment, migration, type Naming } from '../../src/cli/fragment.ts'
import { prisma8Project } from '../../src/cli/prisma8-project.ts'
import { judgeSpace } from '../../src/doctor/contract-space.ts'
import { judgePrisma8 } from '../../src/doctor/project.ts'
import { diagnose } from '../doctor/diagnose.ts'
import { createDatabase } from '../support/database.ts'
import { config, prisma, write, writeProject } from './project.ts'

// `doctor` in projects of Prisma 8: what it finds on a real database, what Prisma's commands do in that state, and that its fix ends it.

const shop = readFileSync(fileURLToPath(new URL('shop/contract.prisma', import.meta.url)), 'utf8')
const home = mkdtempSync(join(tmpdir(), 'outbox-doctor-8-'))
afterAll(() => rmSync(home, { recursive: true, force: true }))

const extended = 'extensions: [outbox]'
let projects = 0

/** A project with these options of the ORM, on a database with this SQL. */
async function project(options: string, { sql = '', contract = shop, environment = {} } = {}) {
  const database = await createDatabase(sql, { migrate: false })
  const folder = join(home, `project-${projects++}`)
  await writeProject(folder, { 'prisma.config.ts': config(database.directUrl, options), 'contract.prisma': contract })
  const run = (command: string) => prisma(folder, command)
  const verdict = async () => (await diagnose({ DATABASE_URL: database.directUrl, ...environment }, folder)).of('contract space')
  return { database, folder, run, verdict, [Symbol.asyncDispose]: () => database.drop() }
}

/** Commands of Prisma in a fix, in their order. */
const commandsIn = (fix: string): string[] =>
  [...fix.matchAll(/npx prisma ([\w -]+?)(?=;| \(|$)/g)].map(([, command]) => command!)

const dropsIn = ({ result }: { result: Record<string, never> }): string[] =>
  (result as unknown as { plan: { operations: { label: string }[] } }).plan.operations.flatMap(
    ({ label }) => /Drop table "(\w+)"/.exec(label)?.[1] ?? [],
  )

test('an extension that is declared and not planned is a failure, and its fix makes the tables', async () => {
  await using app = await project(extended)
  await app.run('contract emit')
  const verdict = await app.verdict()
  expect(verdict).toMatchObject({ level: 'failure', finding: expect.stringContaining('migrations/outbox is not there') })
  expect(await app.run('db update')).toMatchObject({ code: 'MIGRATION.CONTRACT_SPACE_LAYOUT_VIOLATION' })
  expect(commandsIn(verdict.fix)).toEqual(['migration plan --name init', 'db migrate --advance-ref db'])
  for (const command of commandsIn(verdict.fix)) expect(await app.run(command)).toMatchObject({ ok: true })
  expect(await app.verdict()).toMatchObject({ level: 'ok' })
})

test.each([
  [
    'the migrations of a version before',
    { migrations: [{ metadata: { to: '' } }], headRef: { hash: 'next' } },
    'failure',
    'lacks a migration',
  ],
  ['those of another version', { migrations: [], headRef: { hash: 'other' } }, 'warning', 'is of another version'],
])('%s are told with the command that plans these', async (_, space, level, words) => {
  await using app = await project(extended)
  for (const command of ['contract emit', 'migration plan --name init', 'db migrate']) await app.run(command)
  const head = JSON.parse(readFileSync(join(app.folder, 'migrations/outbox/refs/head.json'), 'utf8')) as { hash: string }
  for (const { metadata } of space.migrations) metadata.to = head.hash
  const facts = prisma8Project(app.folder, space)!
  const verdict = judgeSpace(facts, { schema: 'public', prefix: '' }, ['outbox'])
  expect(verdict).toMatchObject({ level, finding: expect.stringContaining(words) })
  if (level !== 'failure') return
  // After a plain "db migrate" the command needs the origin.
  expect(commandsIn(verdict.fix)[0]).toMatch(/^migration plan --from \d{8}T\d{4}_init$/)
  expect(await app.run(commandsIn(verdict.fix)[0]!)).toMatchObject({ ok: true })
})

const prefix: Naming = { tablePrefix: 'p_' }

test.each<[string, string, Naming, Record<string, string>]>([
  ['without the extension', '', {}, {}],
  ['under a prefix, with the extension', extended, prefix, { OUTBOX_TABLE_PREFIX: 'p_' }],
])('tables that `prisma db update` would drop are a warning: %s', async (_, options, naming, environment) => {
  await using app = await project(options, { sql: migration(naming), environment })
  await app.run('contract emit')
  await app.run('migration plan --name init')
  const drops = dropsIn(await app.run('db update --dry-run'))
  expect(drops).toHaveLength(5)
  const verdict = await app.verdict()
  expect(verdict).toMatchObject({ level: 'warning' })
  for (const name of drops) expect(verdict.finding).toMatch(new RegExp(`\\b${name}\\b`))

  // The fix: what "init" does, or the models that it prints.
  expect(verdict.fix).toContain(`npx prisma-extension-outbox init${options && ' --print --table-prefix p_'}`)
  const models = options ? { 'contract.prisma': `${shop}\n${contractFragment(naming)}` } : {}
  await write(app.folder, { 'prisma.config.ts': config(app.database.directUrl, extended), ...models })
  for (const command of ['contract emit', ...commandsIn(verdict.fix)]) await app.run(command)
  expect(dropsIn(await app.run('db update --dry-run'))).toEqual([])
  expect(await app.verdict()).toMatchObject({ level: 'ok' })
})

test('migrations/outbox without the extension is told, with what Prisma 8 does then', async () => {
  await using app = await project(extended)
  for (const command of ['contract emit', 'migration plan --name init', 'db migrate']) await app.run(command)
  await write(app.folder, { 'prisma.config.ts': config(app.database.directUrl) })
  rmSync(join(app.folder, 'contract.json'))
  expect(await app.verdict()).toMatchObject({ level: 'unseen', fix: expect.stringContaining('npx prisma contract emit') })
  await app.run('contract emit')
  expect(await app.verdict()).toMatchObject({ level: 'warning', why: expect.stringContaining('refuses every command') })
  expect(await app.run('db update --dry-run')).toMatchObject({ code: 'MIGRATION.CONTRACT_SPACE_LAYOUT_VIOLATION' })
})

test.each<[string, Naming, string, Record<string, string>]>([
  ['in a schema that the contract does not name', { schema: 'post' }, shop, { OUTBOX_SCHEMA: 'post' }],
  ['that are not there', {}, shop, {}],
])('tables %s are well, and Prisma 8 leaves them alone', async (_, naming, contract, environment) => {
  await using app = await project('', { sql: naming.schema ? migration(naming) : '', contract, environment })
  await app.run('contract emit')
  expect(await app.verdict()).toMatchObject({ level: 'ok' })
  expect(dropsIn(await app.run('db update --dry-run'))).toEqual([])
})

test('the version of @prisma/orm-postgres is judged in the place of that of @prisma/client', async () => {
  await using app = await project('')
  const { of } = await diagnose({ DATABASE_URL: app.database.directUrl }, app.folder)
  expect(of('prisma')).toMatchObject({ level: 'ok', finding: expect.stringContaining('@prisma/orm-postgres 8.0.0-rc.13') })
})

test.each([
  [undefined, 'unseen'],
  ['8.0.0-rc.7', 'failure'],
  ['8.0.0-rc.8', 'ok'],
  ['8.1.0', 'ok'],
  ['9.0.0', 'failure'],
])('@prisma/orm-postgres %s is %s', (version, level) => {
  expect(judgePrisma8(version).level).toBe(level)
})
