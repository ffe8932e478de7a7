import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { OpenStatements } from '../../src/prisma/open-statements.ts'
import { withOutbox } from '../../src/prisma8.ts'
import { type ConnectOptions, type Middleware, message, order, Shop8, type Tx } from './shop.ts'

// Statements that are called and not awaited. Each case runs once more with nobody waiting, to see what the waiting is for: a Prisma 8 that
// waits for its statements fails that half.

const shop = new Shop8()
afterEach(() => vi.restoreAllMocks())

/** Takes its time before every statement, as a middleware for tracing or authorization may. */
const slow: Middleware = { name: 'slow', beforeQuery: () => sleep(30), beforeExecute: () => sleep(30) }

type Db = ReturnType<typeof open>
type Outbox = Parameters<Parameters<Db['transaction']>[0]>[0]
const open = (options: ConnectOptions = {}) => withOutbox(shop.connect(options), { wake: false })

/** Statements that a case has not awaited. */
const forgotten: PromiseLike<unknown>[] = []
const forget = (statement: PromiseLike<unknown>): void => {
  forgotten.push(
    statement.then(
      () => {},
      () => {},
    ),
  )
}

const insert = (db: Db, customer: string) => db.raw.sql`INSERT INTO orders (customer) VALUES (${customer})`.affectedCount()

/** A transaction that orders without waiting for it. */
interface Case {
  act: (db: Db) => (tx: Outbox) => PromiseLike<unknown>
  /** What is there afterwards; `transactions`: in how many the rows were written. */
  waiting: { customers: string[]; topics: string[]; transactions: number }
  nobodyWaiting: { customers: string[]; topics: string[]; transactions: number }
}

const nothing = { customers: [], topics: [], transactions: 0 }
const orderAlone = { customers: ['Ada'], topics: [], transactions: 1 }
const both = { customers: ['Ada'], topics: ['a'], transactions: 1 }
const fail = (): never => {
  throw new Error('no')
}

const cases: Record<string, Case> = {
  'the callback throws': {
    act: () => async (tx) => {
      forget(order(tx, 'Ada'))
      fail()
    },
    waiting: nothing,
    nobodyWaiting: orderAlone,
  },
  'Promise.all with what rejects': {
    act: () => (tx) => {
      const ordered = order(tx, 'Ada')
      forget(ordered)
      return Promise.all([ordered, Promise.reject(new Error('no'))])
    },
    waiting: nothing,
    nobodyWaiting: orderAlone,
  },
  'Promise.all with an enqueue that is refused': {
    act: () => async (tx) => {
      const ordered = order(tx, 'Ada')
      forget(ordered)
      return Promise.all([ordered, tx.outbox.enqueue({ topic: 'a', payload: 1n as never })])
    },
    waiting: nothing,
    nobodyWaiting: orderAlone,
  },
  'the callback returns': {
    act: () => async (tx) => {
      await tx.outbox.enqueue(message('a'))
      forget(order(tx, 'Ada'))
    },
    waiting: both,
    nobodyWaiting: { ...both, transactions: 2 },
  },
  'the enqueue comes after it, and is not awaited either': {
    act: () => async (tx) => {
      forget(Promise.resolve(order(tx, 'Ada')).then(() => tx.outbox.enqueue(message('a'))))
    },
    waiting: both,
    nobodyWaiting: orderAlone,
  },
  'raw SQL by execute': {
    act: (db) => async (tx) => {
      forget(tx.execute(insert(db, 'Ada').build()))
      fail()
    },
    waiting: nothing,
    nobodyWaiting: orderAlone,
  },
  'raw SQL by query': {
    act: (db) => async (tx) => {
      const plan = db.raw.sql`INSERT INTO orders (customer) VALUES ('Ada') RETURNING id`.returnsRow({ id: 'pg/int4@1' }).build()
      forget(tx.query(plan).first())
      fail()
    },
    waiting: nothing,
    nobodyWaiting: orderAlone,
  },
  'a prepared statement': {
    act: (db) => async (tx) => {
      const prepared = await db.prepare({ customer: 'pg/text@1' }, ({ customer }) =>
        db.raw.sql`INSERT INTO orders (customer) VALUES (${customer})`.affectedCount().build(),
      )
      forget(prepared.execute(tx as never, { customer: 'Ada' }))
      fail()
    },
    waiting: nothing,
    nobodyWaiting: orderAlone,
  },
}

const outcome = async () => {
  await Promise.all(forgotten.splice(0))
  const [{ transactions }] = (await shop.db.query<{ transactions: number }>(
    'SELECT count(DISTINCT x)::int AS transactions FROM (SELECT xmin::text AS x FROM orders UNION SELECT xmin::text FROM outbox) AS rows',
  )) as [{ transactions: number }]
  return { customers: await shop.customers(), topics: await shop.topics(), transactions }
}

/** Prisma 8 as it is: what the wrapper does for statements is left out. */
function waitForNobody(): void {
  vi.spyOn(OpenStatements.prototype, 'quiet').mockResolvedValue()
  vi.spyOn(OpenStatements.prototype, 'close').mockResolvedValue()
}

describe.each([
  ['at once', []],
  ['after a slow middleware', [slow]],
])('a statement that is not awaited and starts %s', (_, middleware) => {
  test.each(Object.entries(cases))('%s', async (_, { act, waiting, nobodyWaiting }) => {
    const db = open({ middleware })
    await db.transaction(act(db)).catch(() => {})
    expect(await outcome()).toEqual(waiting)
    await shop.db.query('TRUNCATE orders, outbox')

    waitForNobody()
    await db.transaction(act(db)).catch(() => {})
    expect(await outcome()).toEqual(nobodyWaiting)
  })
})

test.each([
  ['waited for', ['Bob']],
  ['nobody waiting', ['Ada', 'Bob']],
])('in the transaction that has its connection next, %s', async (how, customers) => {
  if (how === 'nobody waiting') waitForNobody()
  const db = open({ connections: 1, middleware: [slow] })
  const failed = db.transaction(async (tx) => {
    forget(order(tx, 'Ada'))
    fail()
  })
  const next = db.transaction(async (tx) => {
    await order(tx, 'Bob')
    await tx.outbox.enqueue(message('b'))
    // Those that nobody waits for have arrived.
    await Promise.all(forgotten)
  })
  await expect(failed).rejects.toThrow('no')
  await next
  expect((await outcome()).customers.sort()).toEqual(customers)
  expect(await shop.topics()).toEqual(['b'])
})

test.each([
  ['refused', 'OUTBOX_TRANSACTION_OVER', []],
  // Prisma 8 finds out after it has been written.
  ['let through', 'RUNTIME.TRANSACTION_CLOSED', ['Ada']],
])('one that is called while the ROLLBACK is on its way is %s', async (how, code, customers) => {
  if (how === 'let through') waitForNobody()
  let leaked: Tx | undefined
  let late: unknown
  const onQuery = (sql: string) => {
    if (sql !== 'ROLLBACK' || !leaked) return
    const called = Promise.resolve(order(leaked, 'Ada')).catch((error) => {
      late = error
    })
    leaked = undefined
    forget(called)
  }
  const db = open({ onQuery })
  await db
    .transaction(async (tx) => {
      leaked = tx
      fail()
    })
    .catch(() => {})
  expect((await outcome()).customers).toEqual(customers)
  expect((late as { code?: string } | undefined)?.code).toBe(code)
})
