import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { createInbox, inbox } from '../../src/inbox/index.ts'
import { withOutbox } from '../../src/prisma8.ts'
import { createStage, eventsOf, inboxDatabase, record, start } from '../inbox/stage.ts'
import type { TestDatabase } from '../support/database.ts'
import { type ConnectOptions, connect8, type Middleware, order, type Tx } from './shop.ts'

// What is different from Prisma 6 and 7 in a consumer: statements that nobody awaits, and time. The rest is in test/inbox.

let db: TestDatabase
beforeAll(async () => {
  db = await inboxDatabase()
})
beforeEach(() => db.query('TRUNCATE inbox, inbox_dead_letter, orders, outbox'))
afterAll(() => db.drop())

/** A client without the outbox, closed after the test. */
function connect(options: ConnectOptions = {}, url = db.url) {
  const { db: client, end } = connect8(url, options)
  onTestFinished(async () => void (await end()))
  return client
}
const open = (options?: ConnectOptions) => withOutbox(connect(options), { wake: false })

const customers = async () =>
  (await db.query<{ customer: string }>('SELECT customer FROM orders ORDER BY id')).map((row) => row.customer)

type Handler = (event: { payload: { name: string; n: number } }, tx: Tx) => unknown

/** A consumer of one message. */
async function startOne(client: object, handler: Handler, options: { handlerTimeoutMs?: number } = {}) {
  const stage = await createStage(1)
  await stage.send([record('Ada', 1)])
  return start(stage, client, 'mail', { handlers: { Counted: handler as never }, ...options })
}

/** Takes its time before every statement, as a middleware for tracing may. */
const slow: Middleware = { name: 'slow', beforeQuery: () => sleep(30), beforeExecute: () => sleep(30) }

/** A statement that its handler does not await. */
const forget = (statement: PromiseLike<unknown>) => void statement.then(undefined, () => {})

/** Which row was written by which transaction. */
const transactions = async () =>
  (
    await db.query<{ n: number }>(
      'SELECT count(DISTINCT x)::int AS n FROM (SELECT xmin::text AS x FROM orders UNION SELECT xmin::text FROM inbox) AS rows',
    )
  )[0]!.n

describe.each([
  ['at once', []],
  ['after a slow middleware', [slow]],
])('a statement that a handler does not await, and that starts %s', (_, middleware) => {
  test('commits with the row of the inbox', async () => {
    const { until } = await startOne(open({ middleware }), ({ payload }, tx) => forget(order(tx, payload.name)))
    await until('applied')
    expect([await customers(), await transactions()]).toEqual([['Ada'], 1])
  })

  test('is rolled back with its handler, and does not get into the next try', async () => {
    let tries = 0
    const { until } = await startOne(open({ middleware, connections: 1 }), async ({ payload }, tx) => {
      tries++
      forget(order(tx, `${payload.name} ${tries}`))
      if (tries === 1) throw new Error('not yet')
    })
    await until('applied')
    expect([await customers(), await transactions()]).toEqual([['Ada 2'], 1])
  })
})

test('a client without the outbox is a consumer’s too: its handlers’ statements are waited for', async () => {
  const { until } = await startOne(connect({ middleware: [slow] }), ({ payload }, tx) => forget(order(tx, payload.name)))
  await until('applied')
  expect([await customers(), await transactions()]).toEqual([['Ada'], 1])
})

describe('a handler that takes longer than its time', () => {
  test('gives its connection back, also if it never ends; what it sends later is refused', async () => {
    let tries = 0
    let late: unknown
    const { until } = await startOne(
      open({ connections: 1 }),
      async ({ payload }, tx) => {
        await order(tx, payload.name)
        if (++tries > 1) return
        await until('apply_failed')
        await Promise.resolve(order(tx, 'late')).catch((error) => {
          late = error
        })
        await new Promise(() => {})
      },
      { handlerTimeoutMs: 300 },
    )
    expect(await until('apply_failed')).toMatchObject({ code: 'HANDLER_TIMEOUT' })
    await until('applied')
    expect(late).toMatchObject({ code: 'OUTBOX_TRANSACTION_OVER' })
    expect(await customers()).toEqual(['Ada'])
  })

  test('in a statement: the server cancels it', async () => {
    const client = open({ connections: 1 })
    const pause = client.raw.sql`SELECT FROM pg_sleep(60)`.affectedCount()
    let tries = 0
    const { until } = await startOne(
      client,
      async ({ payload }, tx) => {
        await order(tx, payload.name)
        if (++tries === 1) await tx.execute(pause.build())
      },
      { handlerTimeoutMs: 300 },
    )
    expect(await until('apply_failed')).toMatchObject({ code: expect.stringMatching(/^(HANDLER_TIMEOUT|57014)$/) })
    await until('applied')
    expect(await customers()).toEqual(['Ada'])
  })

  test('in a process that stands still: the server ends its transaction', async () => {
    let tries = 0
    let pid: number | undefined
    const client = open()
    const ask = client.raw.sql`SELECT pg_backend_pid() AS pid`.returnsRow({ pid: 'pg/int4@1' })
    const { until } = await startOne(
      client,
      async ({ payload }, tx) => {
        await order(tx, payload.name)
        pid ??= (await tx.query(ask.build()))[0]!.pid
        // Nothing runs meanwhile, no timer either.
        if (++tries === 1) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2_500)
      },
      { handlerTimeoutMs: 300 },
    )
    await until('apply_failed')
    // Without the limit the connection would have been given back, as after every rollback.
    expect(await db.query('SELECT FROM pg_stat_activity WHERE pid = $1', [pid])).toEqual([])
    await until('applied')
    expect(await customers()).toEqual(['Ada'])
  })
})

describe('the limits that the server has in a transaction', () => {
  const settings = ['statement_timeout', 'idle_in_transaction_session_timeout', 'transaction_timeout']
  const limits = async (client: ReturnType<typeof connect>) => {
    const names = (await db.query<{ name: string }>('SELECT name FROM pg_settings WHERE name = ANY ($1)', [settings])).map(
      ({ name }) => name,
    )
    let found: Record<string, string> = {}
    const { until } = await startOne(
      client,
      async (_, tx) => {
        for (const name of names) {
          const plan = client.raw.sql`SELECT current_setting(${name}) AS value`.returnsRow({ value: 'pg/text@1' }).build()
          found = { ...found, [name]: (await tx.query(plan))[0]!.value }
        }
      },
      { handlerTimeoutMs: 20_000 },
    )
    await until('applied')
    return settings.map((name) => found[name] ?? 'none')
  }

  test('are those of the handler, with a second more for what the client ends itself', async () => {
    const [statement, idle, whole] = await limits(connect())
    expect([statement, idle]).toEqual(['20s', '21s'])
    // Servers before PostgreSQL 17 have no such setting.
    expect(['21s', 'none']).toContain(whole)
  })

  test('are never longer than those that the application has set', async () => {
    const url = new URL(db.url)
    url.searchParams.set('options', '-c statement_timeout=1500ms -c idle_in_transaction_session_timeout=1min')
    expect((await limits(connect({}, url.href))).slice(0, 2)).toEqual(['1500ms', '21s'])
  })
})

test('a COMMIT that fails is named by what the database said', async () => {
  await db.query(`CREATE FUNCTION at_commit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no' USING ERRCODE = '40001'; END $$;
    CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT ON orders DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION at_commit()`)
  onTestFinished(async () => void (await db.query('DROP FUNCTION at_commit CASCADE')))
  const { until } = await startOne(open(), ({ payload }, tx) => order(tx, payload.name))
  // Trouble of the database: it does not count.
  expect(await until('apply_failed')).toMatchObject({ code: '40001', attempt: 0 })
})

describe('inbox.once', () => {
  const message = () => ({ consumer: 'mail', id: randomUUID() })

  test.each([
    ['of a client without the outbox', () => connect()],
    ['of a client', () => ({ transaction: (callback: (tx: Tx) => unknown) => callback(connect() as never) })],
  ])('refuses the transaction %s, with its remedy', async (_, client) => {
    const refused = (async () => client().transaction(async (tx: Tx) => inbox.once(tx, message(), () => expect.unreachable())))()
    await expect(refused).rejects.toMatchObject({
      code: 'OUTBOX_OUTSIDE_TRANSACTION',
      remedy: expect.stringContaining('withOutbox(db).transaction'),
    })
  })

  test('belongs to the transaction that it is given, in the middle of another one too', async () => {
    const client = open()
    const [outer, inner] = [message(), message()]
    await client.transaction(async (tx) => {
      await inbox.once(tx, message(), () => order(tx, 'Ada'))
      await client.transaction(async (other) => {
        expect(await inbox.once(other, inner, () => order(other, 'Bob'))).toMatchObject({ first: true })
        expect(await inbox.once(tx, outer, () => order(tx, 'Eve'))).toMatchObject({ first: true })
      })
    })
    expect((await customers()).sort()).toEqual(['Ada', 'Bob', 'Eve'])
    expect(await db.query('SELECT FROM inbox')).toHaveLength(3)
  })

  test('takes an object that an application derived from its transaction, and the tx of a handler', async () => {
    const inner = message()
    const client = open()
    const { until } = await startOne(client, async ({ payload }, tx) => {
      const derived = Object.assign(Object.create(tx) as Tx, { user: 'Ada' })
      await inbox.once(derived, inner, () => order(derived, payload.name))
    })
    await until('applied')
    expect(await customers()).toEqual(['Ada'])
    expect(await db.query('SELECT FROM inbox')).toHaveLength(2)
  })
})

test('consumers use the tables that withOutbox() names, unless they name others', async () => {
  await db.query('CREATE SCHEMA shop; CREATE TABLE shop.p_inbox (LIKE public.inbox INCLUDING ALL)')
  const client = withOutbox(connect(), { schema: 'shop', tablePrefix: 'p_' })
  const id = randomUUID()
  await client.transaction((tx) => inbox.once(tx, { consumer: 'mail', id }, () => {}))
  await client.transaction((tx) => inbox.once(tx, { consumer: 'mail', id, schema: 'public', tablePrefix: '' }, () => {}))
  for (const table of ['shop.p_inbox', 'public.inbox']) {
    expect(await db.query(`SELECT message_id FROM ${table}`)).toEqual([{ message_id: id }])
  }
})

test('what is no client of Prisma is refused', () => {
  const events = eventsOf('orders')
  const options = { prisma: { transaction: () => {} }, consumer: 'mail', events, handlers: { Counted: () => {} } }
  expect(() => createInbox(options)).toThrow(expect.objectContaining({ code: 'OUTBOX_INVALID_OPTION', field: 'prisma' }))
})
