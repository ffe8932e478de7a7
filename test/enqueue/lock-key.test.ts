import { PrismaPg } from '@prisma/adapter-pg'
import pg from 'pg'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { defineEvents, event, type Message, outbox } from '../../src/index.ts'
import { encodeMessage } from '../../src/message/message.ts'
import { refusal } from '../message/refusal.ts'
import { useDatabase } from '../support/database.ts'
import { eventually } from '../support/eventually.ts'
import { shopSql } from './clients.ts'
import { PrismaClient } from './generated/client/client.ts'

// Overlapping transactions of one key: with `lockKey` the one that enqueues first comes first, and the next waits for its end.

const database = useDatabase('emptied', shopSql)
const clientOf = (url: string) =>
  new PrismaClient({ adapter: new PrismaPg({ connectionString: url }) }).$extends(outbox({ wake: false }))
let prisma: ReturnType<typeof clientOf>
/** A transaction that another program has open. */
let other: pg.Client

beforeAll(() => {
  prisma = clientOf(database.directUrl)
})
afterAll(() => prisma?.$disconnect())
beforeEach(async () => {
  other = new pg.Client({ connectionString: database.directUrl })
  await other.connect()
  await other.query('BEGIN')
})
afterEach(() => other.end())

const message = (key: string | null, from: string): Message => ({ topic: 't', key, payload: { from }, lockKey: true })
const lockOther = (key: string | null, payload: object) =>
  other.query(`SELECT outbox_enqueue('t', $1, $2, lock_key => true)`, [key, JSON.stringify(payload)])
const written = async () =>
  (
    await database.query<{ from: string }>(`SELECT convert_from(value, 'UTF8')::json ->> 'from' AS from FROM outbox ORDER BY id`)
  ).map((row) => row.from)
const waiting = (count = 1) =>
  eventually(
    database.pool,
    `SELECT FROM pg_locks JOIN pg_database AS d ON d.oid = database AND datname = current_database()
    WHERE locktype = 'advisory' AND NOT granted HAVING count(*) = ${count}`,
  )
const commitLater = async () => {
  await waiting()
  await other.query('COMMIT')
}

describe('the id of a message with lockKey', () => {
  test.each<[string, () => Promise<unknown>, string[]]>([
    ['enqueue', () => prisma.$transaction((tx) => tx.outbox.enqueue(message('k', 'prisma'))), ['prisma']],
    [
      'enqueueMany',
      () => prisma.$transaction((tx) => tx.outbox.enqueueMany(['b', 'k', 'a'].map((key) => message(key, key)))),
      ['b', 'k', 'a'],
    ],
    [
      'enqueueMany that locks one of its keys',
      () => prisma.$transaction((tx) => tx.outbox.enqueueMany([{ ...message('a', 'a'), lockKey: false }, message('k', 'k')])),
      ['a', 'k'],
    ],
  ])('of %s is drawn after the commit of the transaction that holds the key', async (_, write, names) => {
    await lockOther('k', { from: 'other' })
    const [{ last }] = (await database.query('SELECT last_value AS last FROM outbox_id_seq')) as [{ last: string }]
    const done = write()
    await waiting()
    expect(await database.query('SELECT last_value AS last FROM outbox_id_seq')).toEqual([{ last }])
    // Later in the order of ids, though it was called before: the key is locked until the commit.
    await lockOther('k', { from: 'other again' })
    await other.query('COMMIT')
    await done
    expect(await written()).toEqual(['other', 'other again', ...names])
  })

  test('of a SQL function is drawn after the commit of the Prisma transaction that holds the key', async () => {
    await prisma.$transaction(async (tx) => {
      await tx.outbox.enqueue(message('Zoë', 'prisma'))
      const done = lockOther('Zoë', { from: 'other' })
      await waiting()
      await tx.outbox.enqueue(message('Zoë', 'prisma again'))
      void done.then(() => other.query('COMMIT'))
    })
    await eventually(database.pool, 'SELECT FROM outbox HAVING count(*) = 3')
    expect(await written()).toEqual(['prisma', 'prisma again', 'other'])
  })

  test('without a key waits for the messages of its topic without one', async () => {
    await lockOther(null, { from: 'other' })
    const done = prisma.$transaction((tx) => tx.outbox.enqueue(message(null, 'prisma')))
    await commitLater()
    await done
    expect(await written()).toEqual(['other', 'prisma'])
  })
})

describe('nothing waits', () => {
  test.each<[string, Message]>([
    ['another key', message('l', 'prisma')],
    ['another topic', { ...message('k', 'prisma'), topic: 'u' }],
    ['no key', message(null, 'prisma')],
    ['an empty key', message('', 'prisma')],
    ['the same key without lockKey, which breaks the order', { ...message('k', 'prisma'), lockKey: false }],
  ])('for %s', async (_, given) => {
    await lockOther('k', { from: 'other' })
    await prisma.$transaction((tx) => tx.outbox.enqueue(given))
    await other.query('COMMIT')
    expect(await written()).toEqual(['other', 'prisma'])
  })
})

describe('deadlocks', () => {
  test('two calls of many keys in opposite order cannot block each other', async () => {
    const keys = Array.from({ length: 20 }, (_, n) => `key-${n}`)
    const write = (order: string[]) =>
      prisma.$transaction((tx) => tx.outbox.enqueueMany(order.map((key) => message(key, key))), { maxWait: 10_000 })
    await Promise.all(Array.from({ length: 20 }, (_, n) => write(n % 2 ? keys : keys.toReversed())))
    expect(await written()).toHaveLength(400)
  })

  test('two transactions that lock two keys in opposite order: one fails whole with 40P01, the other commits', async () => {
    let first = () => {}
    const bothHold = new Promise<void>((resolve) => {
      first = resolve
    })
    let held = 0
    const write = (name: string, keys: [string, string]) =>
      prisma.$transaction(
        async (tx) => {
          await tx.order.create({ data: { customer: name } })
          await tx.outbox.enqueue(message(keys[0], name))
          if (++held === 2) first()
          await bothHold
          await tx.outbox.enqueue(message(keys[1], name))
          return name
        },
        { timeout: 15_000 },
      )
    const outcomes = await Promise.allSettled([write('one', ['a', 'b']), write('two', ['b', 'a'])])
    const [winner] = outcomes.filter((outcome) => outcome.status === 'fulfilled')
    const [loser] = outcomes.filter((outcome) => outcome.status === 'rejected')
    expect(JSON.stringify(loser!.reason)).toContain('40P01')
    expect(await written()).toEqual([winner!.value, winner!.value])
    expect(await database.query('SELECT customer FROM orders')).toEqual([{ customer: winner!.value }])
  })
})

describe('an event', () => {
  const schema = z.object({ id: z.string(), from: z.string() })
  const events = defineEvents({
    Locked: event({ topic: 't', key: ({ id }) => id, lockKey: true, schema }).evolve({ schema, up: (old) => old }),
    Free: event({ topic: 't', key: ({ id }) => id, schema }),
  })

  test.each([
    ['Locked', undefined, true],
    ['Locked', false, false],
    ['Free', true, true],
    ['Free', undefined, false],
  ] as const)('%s with lockKey %s: its key is locked: %s', async (type, lockKey, locks) => {
    const typed = prisma.$extends(outbox({ events, wake: false }))
    await lockOther('k', { from: 'other' })
    const done = typed.$transaction((tx) =>
      tx.outbox.enqueue({ type, payload: { id: 'k', from: 'prisma' }, ...(lockKey !== undefined && { lockKey }) }),
    )
    if (locks) await commitLater()
    await done
    if (!locks) await other.query('COMMIT')
    expect(await written()).toEqual(['other', 'prisma'])
  })
})

test('lockKey is a boolean', () => {
  const wrong = { ...message('k', 'x'), lockKey: 1 as never }
  expect(refusal(() => encodeMessage(wrong))).toEqual({ code: 'OUTBOX_INVALID_MESSAGE', field: 'lockKey' })
  expect(() => event({ topic: 't', lockKey: 'yes' as never, schema: z.object({}) })).toThrow('OUTBOX_INVALID_MESSAGE')
})
