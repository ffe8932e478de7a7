import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { migration } from '../../src/cli/fragment.ts'
import { createProjection, inbox } from '../../src/inbox/index.ts'
import { inboxSet } from '../../src/inbox/table-set.ts'
import { cli } from '../support/cli.ts'
import type { TestDatabase } from '../support/database.ts'
import { type Client, connect, createStage, effect, inboxDatabase, record, start } from './stage.ts'

const tablePrefix = 'p_'

let db: TestDatabase
let prisma: Client
beforeAll(async () => {
  db = await inboxDatabase()
  await db.query(migration({ tablePrefix }, 'inbox'))
  prisma = connect(db.url)
})
beforeEach(() => db.query('TRUNCATE inbox, inbox_dead_letter, p_inbox, p_inbox_dead_letter, p_inbox_projection, effects'))
afterAll(async () => {
  await prisma.$disconnect()
  await db.drop()
})

const unprefixed = () =>
  db.query('SELECT FROM inbox UNION ALL SELECT FROM inbox_dead_letter UNION ALL SELECT FROM inbox_projection')

test('an inbox with a prefix applies, dead-letters and redrives on its own tables only', async () => {
  const stage = await createStage(1)
  const [poison, good] = [randomUUID(), randomUUID()]
  let broken = true
  const { until } = start(stage, prisma, 'mail', {
    tablePrefix,
    deadLetter: { after: 1 },
    handlers: {
      Counted: async (event, tx) => {
        if (broken && event.id === poison) throw new Error('no')
        await effect(tx, 'mail', event)
      },
    },
  })
  await stage.send([record('a', 1, { id: poison }), record('b', 2, { id: good })])
  await until('dead_lettered')
  await expect
    .poll(() => db.query('SELECT message_id AS id FROM p_inbox ORDER BY processed_at'))
    .toEqual([{ id: poison }, { id: good }])
  broken = false
  const redrive = await cli(['inbox', 'redrive', poison], { DATABASE_URL: db.url, OUTBOX_TABLE_PREFIX: tablePrefix })
  expect(redrive).toMatchObject({ code: 0, stdout: expect.stringContaining('Applied: 1 message') })
  expect((await db.query('SELECT n FROM effects ORDER BY seq')).map(({ n }) => n)).toEqual([2, 1])
  expect(await unprefixed()).toEqual([])
})

test('inbox.once and inbox.prune take the prefix; without it the same id is another message', async () => {
  const id = randomUUID()
  const once = (prefix?: string) =>
    prisma.$transaction((tx) => inbox.once(tx, { consumer: 'mail', id, tablePrefix: prefix }, () => 'done'))
  expect([await once(tablePrefix), await once(tablePrefix), await once()]).toEqual([
    { first: true, result: 'done' },
    { first: false },
    { first: true, result: 'done' },
  ])
  await db.query(
    "UPDATE p_inbox SET processed_at = now() - interval '20 days'; UPDATE inbox SET processed_at = now() - interval '20 days'",
  )
  expect(await inbox.prune(prisma, { consumer: 'mail', tablePrefix })).toBe(1)
  expect(await db.query('SELECT FROM inbox')).toHaveLength(1)
  await db.query('TRUNCATE inbox')
})

test('a projection with a prefix keeps its position there', async () => {
  const stage = await createStage(1)
  await stage.send([record('a', 1), record('a', 2)])
  const name = `prefix-${stage.topic}`
  await using projection = createProjection({
    prisma,
    name,
    events: stage.events,
    handlers: { Counted: (event, tx) => effect(tx, name, event) },
    tablePrefix,
  })
  const done = projection.run(stage.kafka)
  await projection.live
  await projection.stop()
  await done
  expect(await db.query('SELECT name, next_offset::int AS next FROM p_inbox_projection')).toEqual([{ name, next: 2 }])
  expect(await unprefixed()).toEqual([])
})

test('tables that are not there are named with their prefix', async () => {
  const act = prisma.$transaction((tx) => inbox.once(tx, { consumer: 'mail', id: randomUUID(), tablePrefix: 'q_' }, () => {}))
  await expect(act).rejects.toThrow('The table public.q_inbox is not there')
})

describe('without the option the models say it', () => {
  const columns = (...names: string[]) => names.map((name) => ({ name }))
  const fields = {
    inbox: columns('consumer', 'message_id', 'processed_at'),
    projection: columns('name', 'topic', 'partition', 'next_offset'),
  }
  /** A client whose schema has these tables, with the columns of an inbox, or with none of ours. */
  const client = (...tables: (string | { own: string })[]) => ({
    _runtimeDataModel: {
      models: Object.fromEntries(
        tables.map((table, n) => [
          `Model${n}`,
          typeof table === 'string' ? { dbName: table, fields: fields.inbox } : { dbName: table.own, fields: columns('id') },
        ]),
      ),
    },
  })

  test.each([
    ['a model with a prefix', client('p_inbox'), 'p_'],
    ['one beside a table inbox of the application', client({ own: 'inbox' }, 'p_inbox'), 'p_'],
    ['one beside a set without a prefix', client('inbox', 'p_inbox'), ''],
    ['a model on another table, which is no inbox', client('received'), ''],
    ['no model', client(), ''],
  ])('%s', (_, one, prefix) => expect(inboxSet(one, 'inbox', {}).prefix).toBe(prefix))

  test('several prefixes are asked for, and a wrong one is refused', () => {
    const refused = { code: 'OUTBOX_INVALID_OPTION', field: 'tablePrefix' }
    const asked = (one: object, tablePrefix?: string) => () => inboxSet(one, 'inbox', { tablePrefix })
    expect(asked(client('p_inbox', 'q_inbox'))).toThrow(expect.objectContaining(refused))
    expect(asked(client('p_inbox', 'q_inbox'), 'q_')().prefix).toBe('q_')
    expect(asked(client('inbox'), 'Q')).toThrow(expect.objectContaining(refused))
  })
})
