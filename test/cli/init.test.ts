import { describe, expect, test } from 'vitest'
import { fragment, migration } from '../../src/cli/fragment.ts'
import { report } from '../../src/cli/init.ts'
import { datasource, order, project, refusal, stamped } from './init-project.ts'

describe('finds the schema and the migrations', () => {
  test('of a single prisma/schema.prisma, and adds a marked block at its end', () => {
    const shop = project({ 'prisma/schema.prisma': datasource })
    expect(shop.init().files).toEqual([
      { path: 'prisma/schema.prisma', done: 'extended' },
      { path: `prisma/migrations/${stamped}`, done: 'created' },
    ])
    expect(shop.files()).toEqual({
      'prisma/schema.prisma': `${datasource}
// >>> prisma-extension-outbox init
// Kept up to date by this command: changes between the two marks are lost.

${fragment()}
// <<< prisma-extension-outbox
`,
      [`prisma/migrations/${stamped}`]: migration(),
    })
  })

  test('of a single schema.prisma beside package.json', () => {
    const shop = project({ 'schema.prisma': datasource })
    expect(shop.init().files.map((file) => file.path)).toEqual(['schema.prisma', `migrations/${stamped}`])
  })

  test('of a schema folder in prisma.config.ts, and writes outbox.prisma into it', () => {
    const shop = project({
      'prisma.config.ts': `import { defineConfig, env } from 'prisma/config'
// schema: 'old',
export default defineConfig({
  datasource: { url: env('DATABASE_URL'), shadowDatabaseUrl: "postgresql://localhost/shadow" },
  migrations: { seed: 'tsx db/seed.ts', path: 'db/migrations' }, /* path: 'no' */
  schema: "db/models",
})`,
      'db/models/base.prisma': datasource,
      'db/models/orders/order.prisma': order,
    })
    expect(shop.init().files).toEqual([
      { path: 'db/models/outbox.prisma', done: 'created' },
      { path: `db/migrations/${stamped}`, done: 'created' },
    ])
    expect(shop.read('db/models/outbox.prisma')).toContain(fragment())
    expect(shop.read('db/models/base.prisma')).toBe(datasource)
  })

  test('of a config that joins its paths, and of one in the folder .config', () => {
    const joined = `import path from 'node:path'\nexport default {\n  schema: path.join('db', "models"),\n}\n`
    const shop = project({ 'prisma.config.ts': joined, 'db/models/base.prisma': datasource })
    expect(shop.init().files.map((file) => file.path)).toEqual(['db/models/outbox.prisma', `db/models/migrations/${stamped}`])
    const hidden = project({
      '.config/prisma.ts': `export default { schema: '../db/models' }`,
      'db/models/base.prisma': datasource,
    })
    expect(hidden.init().files[0].path).toBe('db/models/outbox.prisma')
  })

  test('of prisma7.config.ts, which prisma init of 7.10 writes and Prisma prefers to prisma.config.ts', () => {
    const shop = project({
      'prisma7.config.ts': `export default { schema: 'db/models' }`,
      'prisma.config.ts': `export default { schema: 'old' }`,
      'db/models/base.prisma': datasource,
    })
    expect(shop.init().files[0].path).toBe('db/models/outbox.prisma')
  })

  test('of a schema that package.json names, as Prisma 6 has it', () => {
    const shop = project({ 'package.json': '{"prisma":{"schema":"db/schema.prisma"}}', 'db/schema.prisma': datasource })
    expect(shop.init().files[0].path).toBe('db/schema.prisma')
  })

  test('of the folder prisma/schema without any configuration', () => {
    const shop = project({ 'prisma/schema/schema.prisma': datasource })
    expect(shop.init().files[0].path).toBe('prisma/schema/outbox.prisma')
  })

  test('where the flags say, whatever the config says', () => {
    const shop = project({
      'prisma.config.ts': `export default { schema: process.env.SCHEMA, migrations: { path: dir() } }`,
      'a/schema.prisma': datasource,
    })
    const [schema, sql] = shop.init({ schemaPath: 'a/schema.prisma', migrationsPath: 'b' }).files
    expect([schema.path, sql.path]).toEqual(['a/schema.prisma', `b/${stamped}`])
  })
})

describe('may run again', () => {
  test.each([
    ['a single file', { 'prisma/schema.prisma': `${datasource}\n${order}` }],
    ['a schema folder', { 'prisma/schema/schema.prisma': datasource, 'prisma/schema/order.prisma': order }],
    ['Windows line ends', { 'prisma/schema.prisma': datasource.replaceAll('\n', '\r\n') }],
    ['a file without an end of line', { 'prisma/schema.prisma': datasource.trimEnd() }],
  ])('and changes nothing, and says so: %s', (_, files) => {
    const shop = project(files)
    shop.init()
    const before = shop.files()
    const again = shop.init({ now: new Date('2026-05-05') })
    expect(again.files.map((file) => file.done)).toEqual(['unchanged', 'unchanged'])
    expect(report(again)).toMatch(/^Nothing to do: prisma\/schema.* and prisma\/.*_outbox\/migration.sql are up to date.\n$/)
    expect(shop.files()).toEqual(before)
  })

  test('and keeps the line ends of the file', () => {
    const shop = project({ 'prisma/schema.prisma': datasource.replaceAll('\n', '\r\n') })
    shop.init()
    expect(shop.read('prisma/schema.prisma').replaceAll('\r\n', '')).not.toContain('\n')
  })

  test('and replaces an outdated block where it stands, and nothing around it', () => {
    const shop = project({ 'prisma/schema.prisma': datasource })
    shop.init()
    const fresh = shop.read('prisma/schema.prisma')
    const outdated = fresh.replace(/^ {2}requestedAction .*\n/m, '')
    expect(outdated).not.toBe(fresh)
    shop.write({ 'prisma/schema.prisma': `${outdated}\n${order}` })
    expect(shop.init().files.map((file) => file.done)).toEqual(['updated', 'unchanged'])
    expect(shop.read('prisma/schema.prisma')).toBe(`${fresh}\n${order}`)
  })

  test('and finds the block in whatever file of the folder it was moved to', () => {
    const shop = project({ 'prisma/schema/schema.prisma': datasource })
    shop.init()
    shop.write({ 'prisma/schema/messages.prisma': shop.read('prisma/schema/outbox.prisma'), 'prisma/schema/outbox.prisma': '' })
    expect(shop.init().files[0]).toEqual({ path: 'prisma/schema/messages.prisma', done: 'unchanged' })
  })

  test('and keeps the names that it was given at first', () => {
    const shop = project({ 'prisma/schema.prisma': datasource })
    shop.init({ model: 'OutboxMessage' })
    expect(shop.init().files.map((file) => file.done)).toEqual(['unchanged', 'unchanged'])
  })

  test('and takes a migration of another tool that creates the tables for the one it wants', () => {
    const squashed = 'prisma/migrations/20200101000000_squashed/migration.sql'
    const shop = project({ 'prisma/schema.prisma': datasource, [squashed]: 'CREATE TABLE "public"."outbox_lease" ();' })
    expect(shop.init().files[1]).toEqual({ path: squashed, done: 'unchanged' })
  })

  test('and leaves a block without an end mark alone', () => {
    const error = refusal({ 'prisma/schema.prisma': `${datasource}// >>> prisma-extension-outbox init\nmodel Outbox {\n}\n` })
    expect(error.message).toMatch(/have no end mark.*OUTBOX_PRISMA_PROJECT/)
  })
})

test('a migration sorts after those that are there, also after one from tomorrow: Prisma would want to reset the database', () => {
  const late = 'prisma/migrations/20260304120000_later/migration.sql'
  const shop = project({ 'prisma/schema.prisma': datasource, [late]: 'SELECT 1;' })
  expect(shop.init().files[1].path).toBe('prisma/migrations/20260304120001_outbox/migration.sql')
})

describe('refuses, and writes nothing', () => {
  test('a folder without a Prisma schema', () => {
    expect(refusal({ 'package.json': '{}' }).message).toMatch(/No Prisma schema was found .*--schema-path/)
  })

  test('a schema path that is not there', () => {
    expect(refusal({}, { schemaPath: 'db/schema.prisma' }).message).toContain('No Prisma schema was found at db/schema.prisma.')
  })

  test('a database other than PostgreSQL', () => {
    const error = refusal({ 'prisma/schema.prisma': datasource.replace('postgresql', 'mysql') })
    expect(error.message).toMatch(/The datasource of prisma\/schema.prisma is mysql\. .*OUTBOX_PRISMA_PROJECT/)
  })

  test('a schema without a datasource', () => {
    expect(refusal({ 'prisma/schema.prisma': order }).message).toContain('has no datasource with a provider.')
  })

  test('a config whose path would have to be computed', () => {
    const config = `export default { schema: process.env.SCHEMA ?? 'prisma' }`
    const error = refusal({ 'prisma.config.ts': config, 'prisma/schema.prisma': datasource })
    expect(error.message).toMatch(/"schema" in prisma.config.ts is not a plain string\. .*--schema-path/)
  })
})

test('what it writes is what "prisma format" writes, so that the two do not take turns', { timeout: 60_000 }, async () => {
  const config = "import { defineConfig } from 'prisma/config'\nexport default defineConfig({ schema: 'prisma/schema.prisma' })\n"
  const shop = project({ 'prisma/schema.prisma': datasource, 'prisma.config.ts': config })
  shop.init({ inbox: true })
  const before = shop.read('prisma/schema.prisma')
  expect(await shop.prisma(['format'])).toMatchObject({ code: 0 })
  expect(shop.read('prisma/schema.prisma')).toBe(before)
})
