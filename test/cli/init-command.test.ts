import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { fragment, migration } from '../../src/cli/fragment.ts'
import { initCommand, printed, report } from '../../src/cli/init.ts'
import { createDatabase } from '../support/database.ts'
import { datasource, now, project } from './init-project.ts'

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
    const said = report(shop.init({ model: 'OutboxMessage', schema: 'shop' }))
    expect(said).toContain(".$extends(outbox({ model: 'outboxMessage', schema: 'shop' }))")
    expect(said).toContain('  4. npx prisma-extension-outbox relay --schema shop\n')
  })

  test('takes the prefix of the environment, as all commands do', () => {
    const shop = project({ 'prisma/schema.prisma': datasource })
    vi.stubEnv('OUTBOX_TABLE_PREFIX', 'p_')
    onTestFinished(() => void vi.unstubAllEnvs())
    expect(run(shop.path)).toContain('  4. npx prisma-extension-outbox relay --table-prefix p_\n')
    expect(shop.read('prisma/schema.prisma')).toContain(fragment({ tablePrefix: 'p_' }))
    expect(run(shop.path, '--print', '--table-prefix', 'q_')).toContain('CREATE TABLE "q_outbox" (')
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
    expect(() => printed({ schema: '"', cwd: project({}).path, now })).toThrow('OUTBOX_INVALID_OPTION')
  })

  test.each([
    ['name', 'model Outbox {\n  id Int @id\n}\n', {}, 'has a model Outbox of its own'],
    ['table', 'model Letter {\n  id Int @id\n\n  @@map("outbox")\n}\n', {}, 'has the table "outbox"'],
    ['table of consumers', 'model Letter {\n  id Int @id\n\n  @@map("inbox")\n}\n', { inbox: true }, 'has the table "inbox"'],
  ])('refuses a %s that the project of the folder has, with --print, too', (_, model, naming, words) => {
    const shop = project({ 'prisma/schema.prisma': `${datasource}\n${model}` })
    expect(() => printed({ ...naming, cwd: shop.path, now })).toThrow(words)
  })

  test('prints for a project that has the models, with marks or without', () => {
    const marked = project({ 'prisma/schema.prisma': datasource })
    marked.init()
    const copied = project({ 'prisma/schema.prisma': `${datasource}\n${fragment()}` })
    for (const { path } of [marked, copied]) expect(printed({ cwd: path, now })).toContain(fragment())
  })

  test('names the steps of a consumer with --inbox, and those of a producer where it added the outbox', () => {
    const shop = project({ 'prisma/schema.prisma': datasource })
    const both = report(shop.init({ inbox: true }))
    expect(both).toContain('  4. npx prisma-extension-outbox relay\n  5. In a consumer: import { createInbox }')
    const later = project({ 'prisma/schema.prisma': datasource })
    later.init()
    const added = report(later.init({ inbox: true }))
    expect(added).toContain('  2. npx prisma generate\n  3. In a consumer: import { createInbox }')
    expect(added).not.toContain('relay')
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
