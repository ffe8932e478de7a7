import { describe, expect, test } from 'vitest'
import type { Message } from '../../../src/index.ts'
import { bucketOf } from '../../../src/message/key.ts'
import { message, type Shop } from './shop.ts'

/** What is written, column by column. */
export function describeWritten(shop: Shop): void {
  const { customers, statements, topics } = shop
  describe('what is written', () => {
    test('a message is stored with the business row, column by column', async () => {
      const id = await shop.prisma.$transaction(async (tx) => {
        const order = await tx.order.create({ data: { customer: 'Ada', total: '10.50' } })
        return tx.outbox.enqueue({ topic: 'orders', key: order.id, payload: order, headers: { a: 'ü' }, type: 'OrderPlaced' })
      })
      const [row] = await shop.db.query('SELECT * FROM outbox')
      const { placed_at } = (await shop.db.query<{ placed_at: string }>('SELECT placed_at::text FROM orders'))[0]!
      expect(row).toEqual({
        bucket: bucketOf('orders', Buffer.from('1')),
        id: '1',
        message_id: id,
        topic: 'orders',
        type: 'OrderPlaced',
        key: Buffer.from('1'),
        value: expect.any(Buffer),
        headers: { a: 'ü' },
        created_at: expect.any(Date),
      })
      expect(JSON.parse(row!.value.toString())).toEqual({ id: 1, customer: 'Ada', ...shop.rendered('10.50', placed_at) })
    })

    test('without a commit there is neither row nor message', async () => {
      const failing = shop.prisma.$transaction(async (tx) => {
        await tx.order.create({ data: { customer: 'Ada' } })
        await tx.outbox.enqueue(message('a'))
        throw new Error('out of stock')
      })
      await expect(failing).rejects.toThrow('out of stock')
      expect([await customers(), await topics()]).toEqual([[], []])
    })

    test.each([1, 2])('bytes, tombstones and missing keys arrive as they are, %i at a time', async (size) => {
      const every = Buffer.from(Array.from({ length: 256 }, (_, i) => i))
      const messages: Message[] = [
        { topic: 'a', payload: every },
        { topic: 'b', key: every, payload: null },
        { topic: 'c', key: '', payload: '"{},\\NULL' },
        { topic: 'd', payload: new Uint8Array(0), headers: { 'x"{},\\': '\'"{},\\NULL\n\u2028' }, type: 'x"{},\\' },
      ]
      await shop.prisma.$transaction(async (tx) => {
        for (let i = 0; i < messages.length; i += size) {
          if (size === 1) await tx.outbox.enqueue(messages[i]!)
          else await tx.outbox.enqueueMany(messages.slice(i, i + size))
        }
      })
      expect(await shop.db.query('SELECT topic, key, value, headers, type FROM outbox ORDER BY id')).toEqual([
        { topic: 'a', key: null, value: every, headers: { 'content-type': 'application/octet-stream' }, type: null },
        { topic: 'b', key: every, value: null, headers: null, type: null },
        { topic: 'c', key: Buffer.from(''), value: Buffer.from('"\\"{},\\\\NULL"'), headers: null, type: null },
        {
          topic: 'd',
          key: null,
          value: Buffer.from(''),
          headers: { 'x"{},\\': '\'"{},\\NULL\n\u2028', 'content-type': 'application/octet-stream' },
          type: 'x"{},\\',
        },
      ])
    })

    test('enqueueMany keeps the order of the array and gives its ids', async () => {
      const messages = Array.from({ length: 3000 }, (_, i) => ({ topic: `t${i}`, key: (i * 7919) % 3000, payload: i }))
      const ids = await shop.prisma.$transaction((tx) => tx.outbox.enqueueMany(messages))
      const rows = await shop.db.query<{ message_id: string; topic: string }>('SELECT message_id, topic FROM outbox ORDER BY id')
      expect(rows.map((row) => row.topic)).toEqual(messages.map((m) => m.topic))
      expect(rows.map((row) => row.message_id)).toEqual(ids)
    })

    test('an enqueue costs one INSERT of one or of many, and the first of a transaction a question for its id', async () => {
      const cost = async (act: (tx: Parameters<Parameters<typeof shop.prisma.$transaction>[0]>[0]) => Promise<unknown>) => {
        statements.splice(0)
        await shop.prisma.$transaction(act)
        return statements.filter((sql) => !/^(BEGIN|COMMIT|SAVEPOINT|RELEASE)/.test(sql)).map((sql) => sql.slice(0, 32))
      }
      const question = 'SELECT pg_catalog.pg_current_xac'
      const insert = 'INSERT INTO "public"."outbox" ("'
      expect(await cost((tx) => tx.outbox.enqueue(message('a')))).toEqual([question, insert])
      expect(await cost((tx) => tx.outbox.enqueueMany([message('a'), message('b')]))).toEqual([question, insert])
      expect(await cost((tx) => tx.outbox.enqueueMany([]))).toEqual([])
      const three = async (tx: Parameters<Parameters<typeof shop.prisma.$transaction>[0]>[0]) => {
        await tx.outbox.enqueue(message('a'))
        await tx.outbox.enqueue(message('b'))
        await shop.enqueue(tx, message('c'))
      }
      expect(await cost(three)).toEqual([question, insert, insert, insert])
    })

    test('PostgreSQL itself counts two statements for a first enqueue, the INSERT without RETURNING', async () => {
      await shop.db.query('CREATE EXTENSION IF NOT EXISTS pg_stat_statements')
      const counted = () =>
        shop.db.query<{ query: string; calls: number }>(
          `SELECT query, calls::int FROM pg_stat_statements WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
           AND query !~ 'pg_stat_statements' AND query !~ '^(BEGIN|COMMIT)' ORDER BY query`,
        )
      await shop.db.query(
        'SELECT pg_stat_statements_reset(0, (SELECT oid FROM pg_database WHERE datname = current_database()), 0)',
      )
      for (let i = 0; i < 5; i++) await shop.prisma.$transaction((tx) => tx.outbox.enqueue(message('a')))
      const rows = await counted()
      expect(rows).toEqual([
        { query: expect.stringMatching(/^INSERT INTO "public"."outbox"/), calls: 5 },
        { query: expect.stringMatching(/^SELECT pg_catalog.pg_current_xact_id/), calls: 5 },
      ])
      expect(rows[0]!.query).not.toMatch(/returning/i)
    })

    test('the id that the caller gives is the id of the message', async () => {
      const id = 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'
      expect(await shop.prisma.$transaction((tx) => tx.outbox.enqueue({ ...message('a'), id }))).toBe(id.toLowerCase())
      expect(await shop.db.query('SELECT message_id FROM outbox')).toEqual([{ message_id: id.toLowerCase() }])
    })
  })
}
