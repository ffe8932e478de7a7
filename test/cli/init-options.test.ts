import { describe, expect, test } from 'vitest'
import { fragment, migration } from '../../src/cli/fragment.ts'
import { datasource, project, refusal, stamped } from './init-project.ts'

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
      /--model must be a name for a Prisma model\..*OUTBOX_INVALID_OPTION/,
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
      /a model Inbox of its own\. .*name ours differently: --inbox-model InboxMessage/,
    )
    const other = `${datasource}model InboxDeadLetter {\n  id Int @id\n}\n`
    expect(refusal({ 'prisma/schema.prisma': other }, { inbox: true }).message).toMatch(/rename yours/)
  })

  test.each([
    ['a model Inbox', 'model Inbox {\n  id Int @id\n}\n'],
    ['an enum Inbox', 'enum Inbox {\n  MAIL\n}\n'],
    ['a model inbox, which Prisma`s client calls the same', 'model inbox {\n  id Int @id\n  @@map("letters")\n}\n'],
  ])('--inbox-model names ours differently beside %s; later runs keep the name, and the table is inbox', (_, taken) => {
    const shop = project({ 'prisma/schema.prisma': `${datasource}${taken}` })
    shop.init({ inbox: true, inboxModel: 'InboxMessage' })
    const text = shop.read('prisma/schema.prisma')
    expect(text).toContain(`${datasource}${taken.trimEnd()}`)
    expect(text).toContain(fragment({ inbox: true, inboxModel: 'InboxMessage' }))
    expect(text).toMatch(/model InboxMessage \{[^}]*@@map\("inbox"\)/)
    expect(shop.read('prisma/migrations/20260304050607_inbox/migration.sql')).toBe(migration({}, 'inbox'))
    expect(shop.init().files.map((file) => file.done)).toEqual(['unchanged', 'unchanged', 'unchanged'])
  })

  test('--inbox-model is refused where Prisma would refuse the name', () => {
    const error = refusal({ 'prisma/schema.prisma': datasource }, { inbox: true, inboxModel: 'In box' })
    expect(error).toMatchObject({ code: 'OUTBOX_INVALID_OPTION', field: '--inbox-model' })
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
