import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { MessageMethods } from '../../src/index.ts'
import { drain, enqueued, expectEnqueued, memoryTransport } from '../../src/testing/index.ts'
import { shopSql } from '../enqueue/clients.ts'
import { type Client, versionsFor } from '../inbox/versions.ts'
import { createDatabase, type TestDatabase } from '../support/database.ts'

describe.each(versionsFor('testing'))('$name', (version) => {
  let db: TestDatabase
  let prisma: Client
  beforeAll(async () => {
    db = await createDatabase(shopSql)
    prisma = version.connect(db.url)
  })
  afterAll(async () => {
    await prisma.$disconnect()
    await db.drop()
  })
  beforeEach(() => db.query('TRUNCATE outbox, outbox_dead_letter'))

  const enqueue = (...messages: Parameters<MessageMethods['enqueueMany']>[0]) =>
    version.transaction(prisma, (tx) => tx.outbox.enqueueMany(messages))

  test('messages are told in the order of the enqueues, whatever their bucket, as they were given', async () => {
    const bytes = new Uint8Array([0, 255])
    const ids = await enqueue(
      { topic: 't', key: 12n, payload: { at: new Date(0) }, type: 'Placed', headers: { tenant: 'x' } },
      { topic: 'u', payload: bytes },
      { topic: 't', key: 'k', payload: null },
    )
    const told = { id: ids[0], topic: 't', key: '12', type: 'Placed', headers: { tenant: 'x' } }
    expect(await enqueued(prisma)).toEqual([
      { ...told, payload: { at: '1970-01-01T00:00:00.000Z' } },
      { id: ids[1], topic: 'u', key: null, type: null, payload: bytes, headers: {} },
      { id: ids[2], topic: 't', key: 'k', type: null, payload: null, headers: {} },
    ])
    expect((await enqueued(prisma, 'u')).map(({ id }) => id)).toEqual([ids[1]])
  })

  test('a drain tells the same of what it published', async () => {
    await enqueue(
      { topic: 't', key: 'k', payload: { a: 1 }, type: 'Placed', headers: { tenant: 'x' } },
      { topic: 't', key: 'k', payload: null },
    )
    const waiting = await enqueued(prisma)
    const { records, endedBy } = await drain({ databaseUrl: db.url, transport: memoryTransport({ partitions: 1 }) })
    expect(records).toEqual(waiting.map((message) => ({ ...message, partition: 0 })))
    expect(endedBy).toBe('empty')
    expect(await enqueued(prisma)).toEqual([])
  })

  test('a message of a transaction is seen in it, and not outside', async () => {
    await version.transaction(prisma, async (tx) => {
      await tx.outbox.enqueue({ topic: 't', payload: 1 })
      await expectEnqueued(tx, { topic: 't' })
      expect(await enqueued(prisma)).toEqual([])
    })
  })

  describe('what is expected', () => {
    const payload = { id: 1, lines: [{ sku: 'a', count: 2 }], at: new Date(0) }
    beforeEach(() => enqueue({ topic: 't', key: 5, payload, headers: { a: '1', b: '2' } }))

    test.each([
      ['nothing', {}],
      ['a part of an object', { payload: { lines: [{ sku: 'a' }] } }],
      ['a number as the key', { key: 5 }],
      ['bytes as the key', { key: Buffer.from('5') }],
      ['a date in the payload', { payload: { at: new Date(0) } }],
      ['one of the headers', { headers: { b: '2' } }],
    ])('fits: %s', async (_, expected) => {
      expect(await expectEnqueued(prisma, expected)).toMatchObject({ topic: 't', key: '5' })
    })

    test.each([
      ['topic', { topic: 'u' }, 'topic differs'],
      ['key', { key: 6 }, 'key differs'],
      ['no key', { key: null }, 'key differs'],
      ['value', { payload: { lines: [{ count: 3 }] } }, 'payload.lines[0].count differs'],
      ['shorter list', { payload: { lines: [] } }, 'payload.lines[0] differs'],
      ['field that is not there', { payload: { total: 1 } }, 'payload.total differs'],
      ['header', { headers: { c: '3' } }, 'headers.c differs'],
    ])('does not fit: another %s, and the error says where', async (_, expected, where) => {
      const error = await expectEnqueued(prisma, expected).catch((error) => error)
      expect(error).toMatchObject({ name: 'AssertionError', code: 'ERR_ASSERTION', operator: 'expectEnqueued' })
      expect(error.message).toContain(where)
      expect(error.message).toContain("sku: 'a'")
    })
  })

  test('where nothing waits, the error says so', async () => {
    await expect(expectEnqueued(prisma, { topic: 't' })).rejects.toThrow('None is waiting at all.')
  })

  test('a model and a schema of other names are found as outbox() finds them', async () => {
    const other = version.connect(db.url, { schema: 'Shop "2"' })
    await version.transaction(other, (tx) => tx.outbox.enqueue({ topic: 'there', payload: 1 }))
    expect(await enqueued(prisma)).toEqual([])
    await expectEnqueued(other, { topic: 'there' })
    await expectEnqueued(prisma, { topic: 'there' }, { schema: 'Shop "2"' })
    // With Prisma 8 there is no such option.
    const code = version.name === 'Prisma 8' ? 'OUTBOX_INVALID_OPTION' : 'OUTBOX_MODEL_MISSING'
    await expect(enqueued(prisma, 't', { model: 'order' })).rejects.toMatchObject({ code })
    await other.$disconnect()
  })
})
