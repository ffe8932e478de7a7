import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, test } from 'vitest'
import { migration } from '../../src/cli/fragment.ts'
import { init } from '../../src/cli/init.ts'
import { initPrisma8, type Prisma8Options, printedForPrisma8 } from '../../src/cli/init-prisma8.ts'
import { prisma8Project } from '../../src/cli/prisma8-project.ts'
import { createDatabase } from '../support/database.ts'
import { prisma, write, writeProject } from './project.ts'

// `init` in projects of Prisma 8, judged by Prisma's own commands.

const shop = readFileSync(fileURLToPath(new URL('shop/contract.prisma', import.meta.url)), 'utf8')
const home = mkdtempSync(join(tmpdir(), 'outbox-init-'))
afterAll(() => rmSync(home, { recursive: true, force: true }))

let projects = 0

async function project(config: string, files: Record<string, string> = {}) {
  const path = join(home, `project-${projects++}`)
  await writeProject(path, { 'prisma.config.ts': config, 'contract.prisma': shop, ...files })
  return {
    path,
    config: () => readFileSync(join(path, 'prisma.config.ts'), 'utf8'),
    contract: () => JSON.parse(readFileSync(join(path, 'contract.json'), 'utf8')) as { extensions: Record<string, unknown> },
    init: (options: Prisma8Options = {}) => initPrisma8(prisma8Project(path)!, options),
    run: (command: string) => prisma(path, command),
  }
}

const nowhere = 'postgresql://127.0.0.1/none'

/** As `prisma orm init` of 8.0.0-rc.13 writes it, without dotenv. */
const scaffold = (url = nowhere) => `import { definePrismaConfig } from '@prisma/cli-engine';
import { defineConfig as ormConfig } from '@prisma/orm-postgres/config';

export default definePrismaConfig({
  orm: ormConfig({
    contract: "./contract.prisma",
    db: {
      connection: ${JSON.stringify(url)},
    },
  }),
});
`

const head = `import { definePrismaConfig } from '@prisma/cli-engine'\n`
const other = `const other = { kind: 'extension', id: 'other', familyId: 'sql', targetId: 'postgres', version: '1', create: () => ({ familyId: 'sql', targetId: 'postgres' }) } as const\n`

/** A configuration with these options, whose ORM is imported in this way. */
const written = (
  options: string,
  from = `import { defineConfig as ormConfig } from '@prisma/orm-postgres/config'`,
  name = 'ormConfig',
) => `${head}${from}\n${other}export default definePrismaConfig({ orm: ${name}(${options}) })\n`

/** The characters of a text that another has in the same order, as far as it has them. */
function keptIn(text: string, before: string): string {
  let kept = 0
  for (const character of text) if (character === before[kept]) kept++
  return before.slice(0, kept)
}

describe('declares the extension in prisma.config.ts', () => {
  test('as `prisma orm init` writes it, and changes nothing else', async () => {
    const app = await project(scaffold())
    expect(app.init()).toMatch(/^extended {3}prisma\.config\.ts\n\nNext steps\n {2}1\. npx prisma contract emit\n/)
    expect(app.config()).toBe(
      scaffold()
        .replace("config';\n", "config';\nimport { outbox } from 'prisma-extension-outbox/prisma8';\n")
        .replace('ormConfig({\n', 'ormConfig({\n    extensions: [outbox],\n'),
    )
  })

  test.each([
    ['on one line', written(`{ contract: './contract.prisma' }`)],
    ['with Windows line ends', scaffold().replaceAll('\n', '\r\n')],
    ['with the extensions of others', written(`{ contract: './contract.prisma', extensions: [other] }`)],
    ['with an empty list', written(`{ contract: './contract.prisma', extensions: [] }`)],
    [
      'with a list of several lines',
      written(`{\n  contract: './contract.prisma',\n  extensions: [ // ours\n    // of others\n    other,\n  ],\n}`),
    ],
    [
      'with brackets, marks of comments and the word in strings and comments',
      written(
        `{ // }] outbox\n  /* extensions: [outbox] */\n  'contract': './contract.prisma',\n  db: { connection: 'postgresql://u:}[{@127.0.0.1/outbox' },\n}`,
      ),
    ],
    [
      'without an alias, in double quotes',
      written(`{ contract: './contract.prisma' }`, `import { defineConfig } from "@prisma/orm-postgres/config"`, 'defineConfig'),
    ],
    [
      'of several lines of import',
      written(
        `{ contract: './contract.prisma' }`,
        `import {\n  defineConfig as ormConfig, // the ORM's\n} from '@prisma/orm-postgres/config' // here`,
      ),
    ],
    [
      'that imports it and does not use it',
      written(`{ contract: './contract.prisma' }`).replace(
        /^/,
        `import { outbox as ours } from 'prisma-extension-outbox/prisma8'\n`,
      ),
    ],
  ])('%s', async (_, config) => {
    const app = await project(config)
    expect(app.init()).toMatch(/^extended {3}prisma\.config\.ts\n/)
    expect(await app.run('contract emit')).toMatchObject({ ok: true })
    const others = /extensions: \[[^\]]*other\b/.test(config) ? ['other'] : []
    expect(Object.keys(app.contract().extensions)).toEqual([...others, 'outbox'])
    expect(prisma8Project(app.path)?.declared).toBe(true)
    expect(keptIn(app.config(), config)).toBe(config)
    expect(app.config().length - config.length).toBeLessThan(100)
    const once = app.config()
    expect(app.init()).toMatch(/^unchanged {2}prisma\.config\.ts\n/)
    expect(app.config()).toBe(once)
  })

  test.each([
    ['options from elsewhere', written(`{ contract: './contract.prisma', ...base }`)],
    ['options in a variable', written('options')],
    ['a list that is computed', written(`{ contract: './contract.prisma', extensions: all() }`)],
    [
      'a variable named outbox',
      written(`{ contract: './contract.prisma' }`).replace('const other', 'const outbox = 1\nconst other'),
    ],
    ['two of them', written(`{ contract: './contract.prisma' }`).replace('export', 'ormConfig({})\nexport')],
    [
      'an ORM configuration of another module',
      `${head}import { orm } from './orm'\nexport default definePrismaConfig({ orm })\n`,
    ],
    ['a bracket without an end', `${written(`{ contract: './contract.prisma' `)}`.replace(') })', '')],
  ])('and where the file has %s, leaves it as it was and prints the lines', async (_, config) => {
    const app = await project(config)
    const said = app.init()
    expect(said).toContain('is as it was. Add these lines to it:')
    expect(said).toContain(
      "  import { outbox } from 'prisma-extension-outbox/prisma8'\n  ormConfig({ …, extensions: [outbox] })\n",
    )
    expect(said).toContain('npx prisma migration plan')
    expect(app.config()).toBe(config)
  })
})

/** Commands of Prisma that `init` names, without the explanation beside them. */
const commandsIn = (said: string): string[] =>
  [...said.matchAll(/^ +\d\. npx prisma (.*?)(?: {2,}.*)?$/gm)].map(([, command]) => command!)

describe('its next steps make the tables', () => {
  test.each([
    ['of a new project', []],
    ['of a project that has migrated', ['contract emit', 'migration plan --name init', 'db migrate']],
    ['of a project that only updates its database', ['contract emit', 'db update']],
  ])('%s; then there is nothing to do', async (_, history) => {
    await using db = await createDatabase('', { migrate: false })
    const app = await project(scaffold(db.directUrl))
    for (const command of history) expect(await app.run(command)).toMatchObject({ ok: true })
    const said = app.init({ inbox: true })
    for (const command of commandsIn(said)) expect([command, await app.run(command)]).toMatchObject([command, { ok: true }])
    expect(await db.query('SELECT count(*)::int AS leases FROM outbox_lease')).toEqual([{ leases: 64 }])
    expect(await app.run('db verify --strict')).toMatchObject({ ok: true, result: { unclaimed: [] } })
    expect(said).toContain(
      'withOutbox(postgres<Contract>({ contractJson, url, extensions: [outboxRuntime], verifyMarker: false }))',
    )
    expect(said).toContain("import { createInbox } from 'prisma-extension-outbox/inbox'")
    expect(app.init()).toBe('Nothing to do: prisma.config.ts has the extension, and migrations/outbox is up to date.\n')
  })
})

describe('refuses', () => {
  test.each([
    ['schemaPath', '--schema-path', 'prisma.config.ts says where'],
    ['migrationsPath', '--migrations-path', 'prisma.config.ts says where'],
    ['schema', '--schema', 'add --print'],
    ['tablePrefix', '--table-prefix', 'add --print'],
    ['model', '--model', 'add --print'],
    ['inboxModel', '--inbox-model', 'add --print'],
  ])('%s, and writes nothing', async (name, flag, words) => {
    const app = await project(scaffold())
    expect(() => app.init({ [name]: 'p_' })).toThrow(expect.objectContaining({ code: 'OUTBOX_INVALID_OPTION', field: flag }))
    expect(() => app.init({ [name]: 'p_' })).toThrow(words)
    expect(app.config()).toBe(scaffold())
  })

  test('a contract that has a table of ours, until it is emitted without it', async () => {
    const config = scaffold()
    const app = await project(config, {
      'contract.prisma': `// use prisma-8\nmodel Letter {\n  id Int @id\n  @@map("inbox")\n}\n`,
    })
    await app.run('contract emit')
    expect(() => app.init()).toThrow(expect.objectContaining({ code: 'OUTBOX_PRISMA_PROJECT' }))
    expect(() => app.init()).toThrow('The contract has a table "inbox".')
    expect(app.config()).toBe(config)
  })

  test('migrations of a version that it does not know', async () => {
    const app = await project(scaffold(), { 'migrations/outbox/refs/head.json': '{"hash":"0"}' })
    expect(() => app.init()).toThrow('is of another version of this package')
  })
})

describe('with --print', () => {
  test('prints the lines of both files, and the SQL of the extension', () => {
    const text = printedForPrisma8({})
    expect(text).toContain('extensions: [outbox]')
    expect(text).toContain('extensions: [outboxRuntime]')
    for (const part of ['outbox', 'inbox'] as const) expect(text).toContain(migration({}, part))
  })

  test.each<[string, Prisma8Options]>([
    ['a prefix', { tablePrefix: 'p_', model: 'Letter', inboxModel: 'Applied', inbox: true }],
    ['a prefix, without the tables of consumers', { tablePrefix: 'p_' }],
    ['a schema that the contract has', { schema: 'post' }],
    ['both', { schema: 'post', tablePrefix: 'p_', inbox: true }],
  ])('prints models and SQL for %s, which Prisma 8 leaves alone', async (_, options) => {
    const text = printedForPrisma8(options)
    const [models, sql] = [text.slice(0, text.indexOf('\n-- ')), text.slice(text.indexOf('\n-- '))]
    await using db = await createDatabase(sql, { migrate: false })
    const config = scaffold(db.directUrl)
    const app = await project(config, { 'contract.prisma': `${shop}\n${models}` })
    expect(await app.run('contract emit')).toMatchObject({ ok: true })
    expect(await app.run('db init')).toMatchObject({ ok: true })
    expect(await app.run('db verify --strict')).toMatchObject({ ok: true, result: { unclaimed: [] } })
    expect(await app.run('db update --dry-run')).toMatchObject({ ok: true, result: { plan: { operations: [] } } })
  })

  test('refuses a schema that a contract cannot name', () => {
    expect(() => printedForPrisma8({ schema: 'my-shop' })).toThrow('names schemas by letters')
  })
})

describe('leaves to Prisma 7 what Prisma 7 owns', () => {
  const datasource = 'datasource db {\n  provider = "postgresql"\n}\n'

  test('a contract that is the schema of Prisma 7, wherever that is', async () => {
    const config = written(
      `{ contract: prisma7Schema('./db/schema.prisma') }`,
      `import { defineConfig as ormConfig, prisma7Schema } from '@prisma/orm-postgres/config'`,
    )
    const app = await project(config, { 'db/schema.prisma': datasource })
    expect(prisma8Project(app.path)).toBeUndefined()
    expect(init({ cwd: app.path, now: new Date(0) }).files[0]).toEqual({ path: 'db/schema.prisma', done: 'extended' })
    expect(app.config()).toBe(config)
  })

  test('a prisma.config.ts of Prisma 7', async () => {
    const app = await project(`import { defineConfig } from 'prisma/config'\nexport default defineConfig({})\n`)
    expect(prisma8Project(app.path)).toBeUndefined()
  })

  test('and names what is missing where the ORM of Prisma 8 is installed and nothing is configured', async () => {
    const app = await project('')
    rmSync(join(app.path, 'prisma.config.ts'))
    await write(app.path, { 'package.json': '{ "dependencies": { "@prisma/orm-postgres": "8.0.0-rc.13" } }' })
    expect(() => init({ cwd: app.path, now: new Date(0) })).toThrow('npx prisma orm init')
  })
})
