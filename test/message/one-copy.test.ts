import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'
import { PrismaPg } from '@prisma/adapter-pg'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { PrismaClient } from '../enqueue/generated/client/client.ts'
import { builtMain } from '../support/build.ts'
import { createDatabase, type TestDatabase } from '../support/database.ts'

// The two builds of the package in one process, as an application of ES modules that uses a CommonJS library has them.

type Entry = typeof import('../../src/index.ts')
type Relay = typeof import('../../src/embed.ts')
const require = createRequire(builtMain)
const at = (name: string) => import(pathToFileURL(require.resolve(name)).href)
const module = { main: (await at('../index.js')) as Entry, relay: (await at('../embed.js')) as Relay }
const common = { main: require('../cjs/index.js') as Entry, relay: require('../cjs/embed.js') as Relay }

describe.each([
  ['the ES module', 'the CommonJS one', module, common],
  ['the CommonJS one', 'the ES module', common, module],
])('an error of %s, for %s', (_, __, one, other) => {
  const error = new one.main.OutboxError('INVALID_OPTION', 'Wrong.', { remedy: 'Right it.' })

  test('they are two classes', () => {
    expect(one.main.OutboxError).not.toBe(other.main.OutboxError)
    expect(one.relay.TransportError).not.toBe(other.relay.TransportError)
  })

  test('is an OutboxError of its own', () => {
    expect(error instanceof other.main.OutboxError).toBe(true)
    expect(other.main.isOutboxError(error, 'OUTBOX_INVALID_OPTION')).toBe(true)
    expect(other.main.isOutboxError(error, 'OUTBOX_INVALID_KEY')).toBe(false)
  })

  test('is a TransportError of its own, and no OutboxError', () => {
    const refused = new one.relay.TransportError('X', 'topic', 'no')
    expect(refused instanceof other.relay.TransportError).toBe(true)
    expect(refused instanceof other.main.OutboxError).toBe(false)
    expect(error instanceof other.relay.TransportError).toBe(false)
  })

  test('is no instance of a subclass, and an error of a subclass is one of the class', () => {
    class Special extends one.main.OutboxError {}
    expect(error instanceof Special).toBe(false)
    const special = new Special('INVALID_OPTION', 'Wrong.', { remedy: 'Right it.' })
    expect([special instanceof Special, special instanceof other.main.OutboxError]).toEqual([true, true])
  })

  test.each([undefined, null, 'OutboxError', {}, new Error('x'), { name: 'OutboxError' }])('%s is none', (value) => {
    expect((value as object) instanceof other.main.OutboxError).toBe(false)
    expect(other.main.isOutboxError(value)).toBe(false)
  })

  test('shows no mark of the copies', () => {
    expect(Object.keys(error).concat(Object.getOwnPropertySymbols(error).map(String)).sort()).toEqual([
      'code',
      'docs',
      'field',
      'name',
      'remedy',
    ])
  })
})

describe.each([
  ['the CommonJS copy', 'the ES module', common, module],
  ['the ES module', 'the CommonJS copy', module, common],
])('a transaction that %s began, with an enqueue of %s', (_, __, begun, other) => {
  let database: TestDatabase
  let prisma: ReturnType<typeof open>
  const open = () =>
    new PrismaClient({ adapter: new PrismaPg({ connectionString: database.url }) }).$extends(
      begun.main.outbox({ requireTransaction: false }),
    )
  beforeAll(async () => {
    database = await createDatabase()
    prisma = open()
  })
  afterAll(async () => {
    await prisma?.$disconnect()
    await database?.drop()
  })
  beforeEach(() => database.query('TRUNCATE outbox'))
  const topics = async () =>
    (await database.query<{ topic: string }>('SELECT topic FROM outbox ORDER BY id')).map((row) => row.topic)
  const message = (topic: string) => ({ topic, payload: 1 })

  test('waits for it, also if nobody awaits it, and keeps the order of the calls', async () => {
    await prisma.$transaction(async (tx) => {
      void tx.outbox.enqueue(message('first'))
      void other.main.enqueue(tx, message('second'))
      void tx.outbox.enqueue(message('third'))
    })
    expect(await topics()).toEqual(['first', 'second', 'third'])
  })

  test('fails if it failed, though its error was caught', async () => {
    const run = prisma.$transaction(async (tx) => {
      await tx.outbox.enqueue(message('first'))
      try {
        await other.main.enqueue(tx, message('not a topic!'))
      } catch {}
    })
    await expect(run).rejects.toMatchObject({ code: 'OUTBOX_TRANSACTION_DOOMED' })
    expect(await topics()).toEqual([])
  })

  test('refuses the outer client', async () => {
    const outer = prisma.$extends(other.main.outbox({ requireTransaction: false }))
    const run = prisma.$transaction(async () => outer.outbox.enqueue(message('lost')))
    await expect(run).rejects.toMatchObject({ code: 'OUTBOX_OUTER_CLIENT' })
    expect(await topics()).toEqual([])
  })
})
