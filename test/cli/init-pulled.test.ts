import { describe, expect, test } from 'vitest'
import { fragment } from '../../src/cli/fragment.ts'
import { createDatabase } from '../support/database.ts'
import { datasource, order, project } from './init-project.ts'

// "prisma db pull" writes the whole schema from the database: comments outside of models, and with them the marks of init, are gone.

const config = `import { defineConfig } from 'prisma/config'
export default defineConfig({
  schema: 'prisma/schema.prisma',
  migrations: { path: 'prisma/migrations' },
  datasource: { url: process.env.DATABASE_URL! },
})
`

/** The fragment as a text without marks, between models of the application. */
const unmarked = (text = fragment()) => `${datasource}\n${text}\n${order}`

describe('after prisma db pull', { timeout: 120_000 }, () => {
  test.each([
    ['of the outbox', {}],
    ['of outbox and inbox, with names of their own', { model: 'OutboxMessage', inbox: true, inboxModel: 'InboxMessage' }],
    ['of outbox and inbox, with a prefix', { tablePrefix: 'p_', inbox: true }],
  ])('init puts the marks around the models %s again, and prisma finds no difference', async (_, naming) => {
    const shop = project({ 'prisma.config.ts': config, 'prisma/schema.prisma': datasource })
    await using database = await createDatabase('', { migrate: false })
    shop.init(naming)
    const before = shop.read('prisma/schema.prisma')
    expect((await shop.prisma(['migrate', 'deploy'], database.url)).code).toBe(0)
    const pulled = await shop.prisma(['db', 'pull'], database.url)
    expect([pulled.code, pulled.output]).toEqual([0, expect.any(String)])
    expect(shop.read('prisma/schema.prisma')).not.toContain('>>> prisma-extension-outbox')
    expect(shop.init().files[0]).toEqual({ path: 'prisma/schema.prisma', done: 'extended' })
    const text = shop.read('prisma/schema.prisma')
    expect(text).toContain(fragment(naming))
    expect(text.match(/^model /gm)).toHaveLength(before.match(/^model /gm)!.length)
    expect((await shop.prisma(['migrate', 'dev'], database.url)).output).toContain('Already in sync')
  })

  test('a schema that was pulled before init ran names the models as the tables: init takes them over', async () => {
    const shop = project({ 'prisma.config.ts': config, 'prisma/schema.prisma': datasource })
    await using database = await createDatabase()
    expect((await shop.prisma(['db', 'pull'], database.url)).code).toBe(0)
    expect(shop.read('prisma/schema.prisma')).toContain('model outbox_lease {')
    const { naming } = shop.init()
    expect(naming.model).toBe('outbox')
    expect(shop.read('prisma/schema.prisma')).toContain(fragment({ model: 'outbox' }))
    expect(shop.read('prisma/schema.prisma')).not.toContain('model outbox_lease {')
  })
})

describe('models of ours without marks', () => {
  test('of two sets are taken for ours by the prefix that is asked for', () => {
    const theirs = fragment({ model: 'Theirs', tablePrefix: 'q_' }).replaceAll('model Outbox', 'model Q')
    const shop = project({ 'prisma/schema.prisma': unmarked(`${fragment({ tablePrefix: 'p_' })}\n${theirs}`) })
    expect(() => shop.init()).toThrow(/the models of 2 outboxes\. .*--table-prefix p_/)
    shop.init({ tablePrefix: 'p_' })
    const text = shop.read('prisma/schema.prisma')
    expect(text).toContain(theirs)
    expect(text.match(/@@map\("p_outbox"\)/g)).toHaveLength(1)
    expect(shop.init().files.every(({ done }) => done === 'unchanged')).toBe(true)
  })

  test('of one file are put between marks, and what stands around them stays', () => {
    const shop = project({ 'prisma/schema.prisma': unmarked() })
    expect(shop.init().files[0]).toEqual({ path: 'prisma/schema.prisma', done: 'extended' })
    const [around, block] = shop.read('prisma/schema.prisma').split('// >>> prisma-extension-outbox init')
    expect(around).toBe(`${datasource}\n${order}\n`)
    expect(block).toContain(fragment())
    expect(shop.init().files.every(({ done }) => done === 'unchanged')).toBe(true)
  })

  test('of a folder leave their file, and come to outbox.prisma', () => {
    const shop = project({
      'prisma/schema/schema.prisma': datasource,
      'prisma/schema/all.prisma': `${fragment()}\n${order}`,
    })
    const paths = shop.init().files.map(({ path, done }) => `${done} ${path}`)
    expect(paths).toEqual(expect.arrayContaining(['created prisma/schema/outbox.prisma', 'extended prisma/schema/all.prisma']))
    expect(shop.read('prisma/schema/all.prisma')).toBe(order)
    expect(shop.read('prisma/schema/outbox.prisma')).toContain(fragment())
  })

  test('that lack a column, or one of the tables, are not taken for ours', () => {
    for (const text of [fragment().replace(/^ {2}topic .*\n/m, ''), fragment().replace(/^model OutboxLease[^}]*\}/m, '')]) {
      const shop = project({ 'prisma/schema.prisma': unmarked(text) })
      expect(() => shop.init()).toThrow(/a model Outbox of its own/)
      expect(shop.read('prisma/schema.prisma')).toBe(unmarked(text))
    }
  })
})
