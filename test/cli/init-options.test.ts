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
      /The model Letter has the table "outbox"\. .*--table-prefix p_, .*--schema outbox/,
    )
  })

  test('is refused where Prisma would refuse the name', () => {
    expect(refusal({ 'prisma/schema.prisma': datasource }, { model: '2nd' }).message).toMatch(
      /--model must be a name for a Prisma model\..*OUTBOX_INVALID_OPTION/,
    )
  })
})

describe('--table-prefix', () => {
  const own = `${datasource}\nmodel Outbox {\n  id Int @id\n\n  @@map("outbox")\n}\n`

  test('names tables, indexes, constraints and functions beside a table outbox of the application; later runs keep it', () => {
    const shop = project({ 'prisma/schema.prisma': own })
    const { naming } = shop.init({ model: 'OutboxMessage', tablePrefix: 'p_', inbox: true })
    expect(naming).toMatchObject({ tablePrefix: 'p_' })
    const text = shop.read('prisma/schema.prisma')
    expect(text).toContain('// >>> prisma-extension-outbox init --model OutboxMessage --table-prefix p_ --inbox\n')
    expect(text.match(/@@map\("(.*)"\)/g)).toHaveLength(9)
    expect(text.match(/@@map\("p_(out|in)box.*"\)/g)).toHaveLength(8)
    const sql = ['outbox', 'inbox'].map((part) => shop.read(`prisma/migrations/20260304050607_${part}/migration.sql`))
    const unprefixed = sql.join('').match(/"(out|in)box\w*"/g)
    expect(unprefixed).toEqual(['"outbox_dead_letter_request"', '"inbox_dead_letter_request"'])
    expect(shop.init().files.map((file) => file.done)).toEqual(['unchanged', 'unchanged', 'unchanged'])
    expect(shop.init({ tablePrefix: 'p_' }).files.map((file) => file.done)).toEqual(['unchanged', 'unchanged', 'unchanged'])
  })

  test('is told to anyone whose table outbox is in the way', () => {
    expect(refusal({ 'prisma/schema.prisma': own }, { model: 'OutboxMessage' })).toMatchObject({
      field: '--table-prefix',
      remedy: expect.stringContaining('--table-prefix p_'),
    })
  })

  test.each(['P_', '1_', 'p-', 'p'.repeat(31), '"'])('is refused where it would need quotes or be cut: %s', (tablePrefix) => {
    expect(refusal({ 'prisma/schema.prisma': datasource }, { tablePrefix })).toMatchObject({
      code: 'OUTBOX_INVALID_OPTION',
      field: '--table-prefix',
    })
  })

  test('does not make a second set beside the tables of a migration, and accepts one that renames them', () => {
    const shop = project({ 'prisma/schema.prisma': datasource })
    shop.init()
    expect(() => shop.init({ tablePrefix: 'p_' })).toThrow(/_outbox creates the tables with another prefix\. .*RENAME TO/)
    const renaming = 'ALTER TABLE "outbox_lease" RENAME TO "p_outbox_lease";'
    shop.write({ 'prisma/migrations/20270101000000_rename/migration.sql': renaming })
    expect(shop.init({ tablePrefix: 'p_' }).files.map((file) => file.done)).toEqual(['updated', 'unchanged'])
    expect(() => shop.init({ tablePrefix: 'q_' })).toThrow('OUTBOX_PRISMA_PROJECT')
  })

  test('leaves the set of another application, of another prefix, alone', () => {
    const theirs = 'prisma/migrations/20200101000000_outbox/migration.sql'
    const shop = project({ 'prisma/schema.prisma': datasource, [theirs]: migration({ tablePrefix: 'q_' }) })
    expect(shop.init({ tablePrefix: 'p_' }).files[1]).toEqual({ path: `prisma/migrations/${stamped}`, done: 'created' })
    expect(shop.read(theirs)).toBe(migration({ tablePrefix: 'q_' }))
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
    expect(shop.read('prisma/schema.prisma').match(/^ {2}@@schema\("shop"\)$/gm)).toHaveLength(5)
    const sql = shop.read(`prisma/migrations/${stamped}`)
    expect(sql).toContain('CREATE SCHEMA IF NOT EXISTS "shop";')
    expect(sql).not.toMatch(/(?<!"shop"\.|@schema\.)"outbox(_lease|_relay|_dead)?"/)
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
