import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, describe, expect, test } from 'vitest'
import { fragment, migration } from '../../src/cli/fragment.ts'
import { type InitOptions, init, initCommand, printed, report } from '../../src/cli/init.ts'
import { isOutboxError } from '../../src/message/errors.ts'
import { createDatabase } from '../support/database.ts'
import { createProject, type TestProject } from '../support/prisma-cli.ts'

const now = new Date('2026-03-04T05:06:07.890Z')
const stamped = '20260304050607_outbox/migration.sql'
const datasource = 'datasource db {\n  provider = "postgresql"\n}\n'
const order = 'model Order {\n  id Int @id\n}\n'

const opened: TestProject[] = []
afterEach(() => {
  for (const project of opened.splice(0)) project.remove()
})

function project(files: Record<string, string>): TestProject & { init(options?: Partial<InitOptions>): ReturnType<typeof init> } {
  const created = createProject(files)
  opened.push(created)
  return { ...created, init: (options) => init({ cwd: created.path, now, ...options }) }
}

/** The error that `init` throws, and the proof that it has written nothing. */
function refusal(files: Record<string, string>, options?: Partial<InitOptions>): Error {
  const shop = project(files)
  const before = shop.files()
  try {
    shop.init(options)
  } catch (error) {
    expect(shop.files()).toEqual(before)
    if (isOutboxError(error)) return error
    throw error
  }
  throw new Error('init refused nothing')
}

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

${fragment()}// <<< prisma-extension-outbox
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
    const outdated = fresh.replace(/^ {2}wish .*\n/m, '')
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

describe('--model', () => {
  test('names the message model and leaves the tables as they are', () => {
    const shop = project({ 'prisma/schema.prisma': `${datasource}\nmodel Outbox {\n  id Int @id\n\n  @@map("letters")\n}\n` })
    shop.init({ model: 'OutboxMessage' })
    const text = shop.read('prisma/schema.prisma')
    expect(text).toContain('// >>> prisma-extension-outbox init --model OutboxMessage\n')
    expect(text).toMatch(/^model OutboxMessage \{[^}]*@@map\("outbox"\)\n\}/m)
    expect(shop.read(`prisma/migrations/${stamped}`)).toBe(migration())
  })

  test.each(['model Outbox {\n  id Int @id\n}\n', 'model outbox {\n  id Int @id\n}\n', 'enum Outbox {\n  A\n}\n'])(
    'is asked for where the name is taken: %s',
    (taken) => {
      const error = refusal({ 'prisma/schema.prisma': `${datasource}${taken}` })
      expect(error.message).toMatch(/has a model [Oo]utbox of its own\. .* --model OutboxMessage\. \[OUTBOX_PRISMA_PROJECT/)
    },
  )

  test('cannot help where a table has the name of ours', () => {
    const taken = 'model Letter {\n  id Int @id\n  note String @default("}")\n\n  @@map("outbox")\n}\n'
    expect(refusal({ 'prisma/schema.prisma': `${datasource}${taken}` }).message).toMatch(
      /The model Letter has the table "outbox"\. .*--schema/,
    )
  })

  test('is refused where Prisma would refuse the name', () => {
    expect(refusal({ 'prisma/schema.prisma': datasource }, { model: '2nd' }).message).toMatch(
      /--model 2nd .*OUTBOX_INVALID_OPTION/,
    )
  })
})

describe('--inbox', () => {
  // A second later: it sorts after the other.
  const inboxStamped = '20260304050608_inbox/migration.sql'

  test('adds the models and the migration of consumers, and later runs keep them', () => {
    const shop = project({ 'prisma/schema.prisma': datasource })
    shop.init()
    expect(shop.init({ inbox: true }).files).toEqual([
      { path: 'prisma/schema.prisma', done: 'updated' },
      { path: `prisma/migrations/${stamped}`, done: 'unchanged' },
      { path: `prisma/migrations/${inboxStamped}`, done: 'created' },
    ])
    expect(shop.read('prisma/schema.prisma')).toContain(fragment({ inbox: true }))
    expect(shop.read(`prisma/migrations/${inboxStamped}`)).toBe(migration({}, 'inbox'))
    expect(shop.init().files.map((file) => file.done)).toEqual(['unchanged', 'unchanged', 'unchanged'])
  })

  test('is refused where a model has the name of one of them', () => {
    const taken = `${datasource}model Inbox {\n  id Int @id\n}\n`
    expect(refusal({ 'prisma/schema.prisma': taken }, { inbox: true }).message).toMatch(
      /a model Inbox of its own\. .*rename yours/,
    )
  })
})

describe('--schema', () => {
  const listed = datasource.replace('\n}', '\n  schemas  = ["public", "shop"]\n}')

  test('puts @@schema on every model and qualifies every table of the migration', () => {
    const shop = project({ 'prisma/schema.prisma': listed })
    shop.init({ schema: 'shop' })
    expect(shop.read('prisma/schema.prisma').match(/^ {2}@@schema\("shop"\)$/gm)).toHaveLength(4)
    const sql = shop.read(`prisma/migrations/${stamped}`)
    expect(sql).toContain('CREATE SCHEMA IF NOT EXISTS "shop";')
    expect(sql).not.toMatch(/(?<!"shop"\.)"outbox(_lease|_relay|_dead)?"/)
  })

  test('is asked for where the datasource lists schemas, since Prisma wants @@schema on every model then', () => {
    expect(refusal({ 'prisma/schema.prisma': listed }).message).toMatch(/lists several PostgreSQL schemas\. .*--schema public/)
  })

  test.each([datasource, listed.replace('shop', 'store')])('is refused where the datasource does not list it', (text) => {
    expect(refusal({ 'prisma/schema.prisma': text }, { schema: 'shop' }).message).toMatch(
      /does not list the PostgreSQL schema "shop"/,
    )
  })

  test('is refused where it would end the quotes in SQL', () => {
    expect(refusal({ 'prisma/schema.prisma': datasource }, { schema: 'a"b' }).message).toContain('OUTBOX_INVALID_OPTION')
  })

  test('does not move tables that a migration has created elsewhere', () => {
    const files = { 'prisma/schema.prisma': listed, 'prisma/migrations/20200101000000_outbox/migration.sql': migration() }
    expect(refusal(files, { schema: 'shop' }).message).toMatch(
      /20200101000000_outbox creates the tables in another PostgreSQL schema/,
    )
  })
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

describe('the command', () => {
  const root = join(fileURLToPath(import.meta.url), '..', '..', '..')
  const run = (cwd: string, ...args: string[]) => {
    const script = `import('${join(root, 'src/cli/init.ts')}').then(({ initCommand }) => initCommand().parse(${JSON.stringify(args)}, { from: 'user' }))`
    return execFileSync(process.execPath, ['--import', join(root, 'node_modules/tsx/dist/esm/index.mjs'), '-e', script], {
      cwd,
      encoding: 'utf8',
    })
  }

  test('prints both texts with --print and writes nothing, also outside a project', () => {
    const empty = project({})
    const output = run(empty.path, '--print', '--model', 'OutboxMessage', '--schema', 'shop', '--inbox')
    const naming = { model: 'OutboxMessage', schema: 'shop', inbox: true }
    expect(output).toContain(fragment(naming))
    expect(output).toContain(migration(naming))
    expect(output).toContain(migration(naming, 'inbox'))
    expect(empty.files()).toEqual({})
  })

  test('says what it has written and what to do next', () => {
    const shop = project({ 'prisma/schema.prisma': datasource })
    const output = run(shop.path)
    expect(output).toMatch(/^extended {3}prisma\/schema.prisma\ncreated {4}prisma\/migrations\/\d{14}_outbox\/migration.sql\n/)
    for (const step of [
      'npx prisma migrate dev',
      'npx prisma generate',
      '.$extends(outbox())',
      'npx prisma-extension-outbox relay',
    ]) {
      expect(output).toContain(step)
    }
    expect(shop.read('prisma/schema.prisma')).toContain(fragment())
  })

  test('gives the line of code with the names that are in use', () => {
    const shop = project({ 'prisma/schema.prisma': datasource.replace('\n}', '\n  schemas = ["shop"]\n}') })
    expect(report(shop.init({ model: 'OutboxMessage', schema: 'shop' }))).toContain(
      ".$extends(outbox({ model: 'outboxMessage', schema: 'shop' }))",
    )
  })

  test('has the help of a Prisma command, with every option in it', () => {
    const help = initCommand().helpInformation()
    expect(help).toMatch(
      /^\nAdd the outbox .*\n\nUsage\n\n {2}\$ prisma-extension-outbox init \[options\]\n\nOptions\n\n[\s\S]*\n\nExamples\n\n/,
    )
    for (const option of ['--schema-path', '--migrations-path', '--model', '--schema <name>', '--print', '-h, --help']) {
      expect(help).toContain(option)
    }
  })

  test('refuses a bad name with --print, too', () => {
    expect(() => printed({ schema: '"' }, now)).toThrow('OUTBOX_INVALID_OPTION')
  })
})

test('init, prisma migrate deploy and prisma generate make a fresh project ready, and prisma migrate dev finds nothing to do', async () => {
  const shop = project({
    'prisma.config.ts': `import { defineConfig } from 'prisma/config'
export default defineConfig({
  schema: 'prisma/schema.prisma',
  migrations: { path: 'prisma/migrations' },
  datasource: { url: process.env.DATABASE_URL! },
})
`,
    'prisma/schema.prisma': `generator client {\n  provider = "prisma-client"\n  output   = "../generated"\n}\n\n${datasource}`,
  })
  await using database = await createDatabase('', { migrate: false })
  shop.init()
  const deploy = await shop.prisma(['migrate', 'deploy'], database.url)
  expect(deploy.output).toContain('All migrations have been successfully applied.')
  const dev = await shop.prisma(['migrate', 'dev'], database.url)
  expect(dev.output).toContain('Already in sync, no schema change or pending migration was found.')
  const generate = await shop.prisma(['generate'], database.url)
  expect(generate.code).toBe(0)
  expect(Object.keys(shop.files())).toContain('generated/models/Outbox.ts')
  const [row] = await database.query('SELECT count(*)::int AS leases FROM outbox_lease')
  expect(row).toEqual({ leases: 64 })
})
