import { expect, test } from 'vitest'
import { withOutbox as withOutbox7 } from '../../src/index.ts'
import { enqueue, enqueueMany, withOutbox } from '../../src/prisma8.ts'
import { enqueued, expectEnqueued } from '../../src/testing/index.ts'
import { rejection } from '../enqueue/behaviour/shop.ts'
import { refusal } from '../message/refusal.ts'
import { connect8, type Middleware, message, order, Shop8 } from './shop.ts'

// What is different from Prisma 6 and 7; the rest is in test/enqueue/behaviour.

const shop = new Shop8()
const { customers, topics } = shop
const open = (middleware: Middleware[] = []) => withOutbox(shop.connect({ middleware }), { wake: false })

test.each([
  ['no client', undefined],
  ['a client without transactions', { raw: { sql: () => {} } }],
  ['a client without the raw lane', { transaction: () => {} }],
])('the wrapper says which client it needs, given %s', (_, client) => {
  const refused = { code: 'OUTBOX_INVALID_OPTION', field: 'client' }
  expect(refusal(() => withOutbox(client as never))).toEqual(refused)
})

test('a client whose statements cannot be counted begins no transaction of which it is not the master', async () => {
  const changed = { raw: { sql: () => {} }, transaction: (callback: (tx: object) => Promise<number>) => callback({ orm: {} }) }
  const { code } = await rejection(withOutbox(changed).transaction(async () => 1))
  expect(code).toBe('OUTBOX_INVALID_OPTION')
})

test('the wrapper of Prisma 6 and 7 names the right import', () => {
  expect(() => withOutbox7(shop.connect() as never)).toThrow('import withOutbox from "prisma-extension-outbox/prisma8"')
})

test('there is no option model', () => {
  expect(refusal(() => withOutbox(shop.connect(), { model: 'outbox' } as never))).toEqual({
    code: 'OUTBOX_INVALID_OPTION',
    field: 'model',
  })
})

test('the function form takes an object that an application derived from its transaction', async () => {
  await open().transaction(async (tx) => {
    const derived = Object.assign(Object.create(tx), { user: 'Ada' })
    await enqueue(derived, message('a'))
    await enqueueMany(derived, [message('b'), message('c')])
  })
  expect(await topics()).toEqual(['a', 'b', 'c'])
})

test('the function form refuses the transaction of a client without the outbox, with its remedy', async () => {
  const failing = shop.connect().transaction(async (tx) => {
    await order(tx, 'Ada')
    await enqueue(tx, message('a'))
  })
  const error = await failing.catch((error: unknown) => error)
  expect(error).toMatchObject({
    code: 'OUTBOX_OUTSIDE_TRANSACTION',
    remedy: expect.stringContaining('withOutbox(db).transaction'),
  })
  expect([await customers(), await topics()]).toEqual([[], []])
})

test.each([
  ['one message', 1],
  ['several messages', 2],
])('a middleware that answers in the place of the database loses nothing silently: %s', async (_, count) => {
  const swallowing: Middleware = {
    name: 'swallowing',
    interceptExecute: async ({ sql }) =>
      sql.includes('INSERT INTO "public"."outbox"') ? { stats: { affectedRows: 0 } } : undefined,
  }
  const failing = open([swallowing]).transaction(async (tx) => {
    await order(tx, 'Ada')
    await tx.outbox.enqueueMany(Array.from({ length: count }, () => message('a'))).catch(() => {})
  })
  const { code, cause } = await rejection(failing)
  expect([code, (cause as { code: string }).code]).toEqual(['OUTBOX_TRANSACTION_DOOMED', 'OUTBOX_TRANSACTION_OVER'])
  expect([await customers(), await topics()]).toEqual([[], []])
})

test('members of the client stay, its close among them', async () => {
  const db = withOutbox(shop.connect())
  await db.transaction((tx) => tx.outbox.enqueue(message('a')))
  expect(await db.orm.public.Order.all()).toEqual([])
  await db.close()
  await expect(db.transaction(async () => 1)).rejects.toThrow('closed')
})

test('the client itself is no transaction for the function form', async () => {
  const { code } = await rejection((async () => enqueue(open(), message('a')))())
  expect(code).toBe('OUTBOX_OUTSIDE_TRANSACTION')
})

test('tests see messages by any client, in a transaction by that of a client with the outbox', async () => {
  const db = open()
  await db.transaction(async (tx) => {
    await tx.outbox.enqueue(message('a'))
    await expectEnqueued(tx, { topic: 'a' })
    expect(await enqueued(shop.connect())).toEqual([])
  })
  expect(await enqueued(shop.connect(), 'a')).toMatchObject([{ key: 'k', payload: { topic: 'a' } }])
  const { code } = await rejection(shop.connect().transaction((tx) => enqueued(tx)))
  expect(code).toBe('OUTBOX_OUTSIDE_TRANSACTION')
})

test('Prisma 8 keeps the connection of a BEGIN that fails: the page says so', async () => {
  let fails = true
  const onQuery = (sql: string) => {
    if (sql !== 'BEGIN' || !fails) return
    fails = false
    throw new Error('away')
  }
  const { db, end } = connect8(shop.db.url, { connections: 1, connectMs: 500, onQuery })
  const begin = () => withOutbox(db).transaction(async () => 'begun')
  await expect(begin()).rejects.toThrow('away')
  await expect(begin()).rejects.toThrow('timeout exceeded when trying to connect')
  // Its end would wait for that connection.
  void end()
})
