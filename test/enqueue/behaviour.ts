import { AsyncLocalStorage } from 'node:async_hooks'
import pg from 'pg'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { enqueue, enqueueMany, type Message, outbox, withOutbox } from '../../src/index.ts'
import { isOutboxError } from '../../src/message/errors.ts'
import { bucketOf } from '../../src/message/key.ts'
import { refusal } from '../message/refusal.ts'
import { createDatabase, type TestDatabase } from '../support/database.ts'
import { type PrismaVersion, shopSql } from './clients.ts'

/** A message whose topic is all that a test looks at. */
const message = (topic: string): Message => ({ topic, key: 'k', payload: { topic } })
const poison = message('poison')

/** What an application may rely on when it enqueues; the same for every version of Prisma. */
export function describeEnqueue(load: () => Promise<PrismaVersion>, { nested }: { nested: boolean }): void {
  let prismaVersion: PrismaVersion
  let db: TestDatabase
  let base: ReturnType<typeof connect>
  let prisma: ReturnType<typeof extended>
  const statements: string[] = []

  const connect = (url = db.url, options?: { schema: string }) => {
    const adapter = new prismaVersion.PrismaPg({ connectionString: url, max: 10 }, options)
    const client = new prismaVersion.PrismaClient({ adapter, log: [{ emit: 'event', level: 'query' }] })
    client.$on('query', ({ query }) => statements.push(query))
    return client
  }
  const extended = (client: ReturnType<typeof connect>) => client.$extends(outbox({ wake: false }))

  const topics = async (table = '"outbox"') =>
    (await db.query<{ topic: string }>(`SELECT topic FROM ${table} ORDER BY id`)).map((row) => row.topic)
  const customers = async () =>
    (await db.query<{ customer: string }>('SELECT customer FROM orders ORDER BY id')).map((r) => r.customer)
  const rejection = async (promise: Promise<unknown>): Promise<{ code: string; cause: unknown }> => {
    const error = await promise.then(
      () => Promise.reject(new Error('It did not reject.')),
      (error: unknown) => error,
    )
    if (!isOutboxError(error)) throw error
    return { code: error.code, cause: error.cause }
  }

  beforeAll(async () => {
    prismaVersion = await load()
    db = await createDatabase(shopSql)
    base = connect()
    prisma = extended(base)
  })
  afterAll(async () => {
    await base.$disconnect()
    await db.drop()
  })
  beforeEach(() => statements.splice(0))
  afterEach(async () => {
    await db.query('TRUNCATE "outbox", "orders" RESTART IDENTITY')
  })

  describe('what is written', () => {
    test('a message is stored with the business row, column by column', async () => {
      const id = await prisma.$transaction(async (tx) => {
        const order = await tx.order.create({ data: { customer: 'Ada', total: '10.50' } })
        return tx.outbox.enqueue({ topic: 'orders', key: order.id, payload: order, headers: { a: 'ü' }, type: 'OrderPlaced' })
      })
      const [row] = await db.query('SELECT * FROM outbox')
      const { placed_at } = (await db.query<{ placed_at: string }>('SELECT placed_at::text FROM orders'))[0]!
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
      const placedAt = new Date(`${placed_at.replace(' ', 'T')}Z`).toISOString()
      expect(JSON.parse(row!.value.toString())).toEqual({ id: 1, customer: 'Ada', total: '10.5', placedAt })
    })

    test('without a commit there is neither row nor message', async () => {
      const failing = prisma.$transaction(async (tx) => {
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
      await prisma.$transaction(async (tx) => {
        for (let i = 0; i < messages.length; i += size) {
          if (size === 1) await tx.outbox.enqueue(messages[i]!)
          else await tx.outbox.enqueueMany(messages.slice(i, i + size))
        }
      })
      expect(await db.query('SELECT topic, key, value, headers, type FROM outbox ORDER BY id')).toEqual([
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
      const ids = await prisma.$transaction((tx) => tx.outbox.enqueueMany(messages))
      const rows = await db.query<{ message_id: string; topic: string }>('SELECT message_id, topic FROM outbox ORDER BY id')
      expect(rows.map((row) => row.topic)).toEqual(messages.map((m) => m.topic))
      expect(rows.map((row) => row.message_id)).toEqual(ids)
    })

    test('an enqueue costs one statement, whether of one message or of many, and none for no message', async () => {
      const cost = async (act: (tx: Parameters<Parameters<typeof prisma.$transaction>[0]>[0]) => Promise<unknown>) => {
        statements.splice(0)
        await prisma.$transaction(act)
        return statements.filter((sql) => !/^(BEGIN|COMMIT)/.test(sql))
      }
      expect(await cost((tx) => tx.outbox.enqueue(message('a')))).toEqual([
        expect.stringMatching(/^INSERT INTO "public"."outbox"/),
      ])
      expect(await cost((tx) => tx.outbox.enqueueMany([message('a'), message('b')]))).toHaveLength(1)
      expect(await cost((tx) => tx.outbox.enqueueMany([]))).toEqual([])
    })

    test('PostgreSQL itself counts one statement for an enqueue, without RETURNING', async () => {
      await db.query('CREATE EXTENSION IF NOT EXISTS pg_stat_statements')
      const counted = () =>
        db.query<{ query: string; calls: number }>(
          `SELECT query, calls::int FROM pg_stat_statements WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
           AND query !~ 'pg_stat_statements' AND query !~ '^(BEGIN|COMMIT)'`,
        )
      await db.query('SELECT pg_stat_statements_reset(0, (SELECT oid FROM pg_database WHERE datname = current_database()), 0)')
      for (let i = 0; i < 5; i++) await prisma.$transaction((tx) => tx.outbox.enqueue(message('a')))
      const rows = await counted()
      expect(rows).toEqual([{ query: expect.stringMatching(/^INSERT INTO "public"."outbox"/), calls: 5 }])
      expect(rows[0]!.query).not.toMatch(/returning/i)
    })

    test('the id that the caller gives is the id of the message', async () => {
      const id = 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'
      expect(await prisma.$transaction((tx) => tx.outbox.enqueue({ ...message('a'), id }))).toBe(id.toLowerCase())
      expect(await db.query('SELECT message_id FROM outbox')).toEqual([{ message_id: id.toLowerCase() }])
    })
  })

  describe('where it is written', () => {
    test('the model may have a name of its own, and its table another', async () => {
      const client = base.$extends(outbox({ model: 'outboxMessage', wake: false }))
      await client.$transaction((tx) => tx.outboxMessage.enqueue(message('a')))
      expect(await topics('"Shop ""out"" box"')).toEqual(['a'])
    })

    test('the tables may be in a PostgreSQL schema of their own', async () => {
      const client = base.$extends(outbox({ schema: 'Shop "2"', wake: false }))
      await client.$transaction((tx) => tx.outbox.enqueueMany([message('a'), message('b')]))
      await base.$transaction((tx) => enqueue(tx, message('c'), { schema: 'Shop "2"' }))
      expect(await topics('"Shop ""2""".outbox')).toEqual(['a', 'b', 'c'])
    })

    test.each(['the adapter', 'the URL'])('the schema of %s is the default', async (place) => {
      await db.query('TRUNCATE "Shop ""2""".outbox')
      const schema = 'Shop "2"'
      const url = place === 'the URL' ? `${db.url}?schema=${encodeURIComponent(schema)}` : db.url
      const client = connect(url, place === 'the adapter' ? { schema } : undefined)
      try {
        await client.$extends(outbox({ wake: false })).$transaction((tx) => tx.outbox.enqueue(message(place.slice(4))))
      } finally {
        await client.$disconnect()
      }
      expect(await topics('"Shop ""2""".outbox')).toEqual([place.slice(4)])
    })

    test('a schema without the model is refused where the extension is applied', () => {
      expect(refusal(() => base.$extends(outbox({ model: 'nothing' as never })))).toEqual({
        code: 'OUTBOX_MODEL_MISSING',
        field: 'model',
      })
    })

    test('a model of that name which is no outbox is refused, with the fields that it lacks', () => {
      const apply = () => base.$extends(outbox({ model: 'letter' as never }))
      expect(refusal(apply)).toEqual({ code: 'OUTBOX_MODEL_MISSING', field: 'model' })
      expect(apply).toThrow('bucket, message_id, type, key, value, headers, created_at')
    })

    test.each([
      ['model', { model: '' }],
      ['schema', { schema: '' }],
      ['maxBytes', { maxBytes: 0 }],
      ['maxBytes', { maxBytes: '1' }],
      ['wake', { wake: 'no' }],
      ['requireTransaction', { requireTransaction: 1 }],
      ['wak', { wak: false }],
    ])('a wrong option %s is refused at once', (field, options) => {
      expect(refusal(() => outbox(options as never))).toEqual({ code: 'OUTBOX_INVALID_OPTION', field })
    })

    test('tables that are not there are told with their remedy', async () => {
      const client = base.$extends(outbox({ schema: 'elsewhere', wake: false }))
      const failing = client.$transaction((tx) => tx.outbox.enqueue(message('a')))
      expect((await rejection(failing)).code).toBe('OUTBOX_TABLES_MISSING')
    })

    test('the size limit is an option', async () => {
      const client = base.$extends(outbox({ maxBytes: 20, wake: false }))
      const enqueueing = (payload: string) => client.$transaction(async (tx) => tx.outbox.enqueue({ topic: 't', payload }))
      await enqueueing('x'.repeat(18))
      expect((await rejection(enqueueing('x'.repeat(19)))).code).toBe('OUTBOX_MESSAGE_TOO_LARGE')
    })
  })

  describe('order and fate', () => {
    test('enqueues that nobody awaits are written before the commit, in the order of the calls', async () => {
      const called = Array.from({ length: 50 }, (_, i) => `t${i}`)
      await prisma.$transaction(async (tx) => {
        for (const topic of called) void tx.outbox.enqueue(message(topic))
      })
      expect(await topics()).toEqual(called)
    })

    test('one that is called while the transaction waits for others is waited for too', async () => {
      await prisma.$transaction(async (tx) => {
        void tx.outbox.enqueue(message('a')).then(() => void tx.outbox.enqueue(message('b')))
      })
      expect(await topics()).toEqual(['a', 'b'])
    })

    test('both forms of a transaction keep one order', async () => {
      await prisma.$transaction(async (tx) => {
        void tx.outbox.enqueue(message('a'))
        void enqueue(tx, message('b'))
        void tx.outbox.enqueueMany([message('c'), message('d')])
        await enqueueMany(tx, [message('e')])
      })
      expect(await topics()).toEqual(['a', 'b', 'c', 'd', 'e'])
    })

    test('the message is what it was at the call', async () => {
      await prisma.$transaction(async (tx) => {
        const payload = { n: 1 }
        void tx.outbox.enqueue({ topic: 'a', payload })
        payload.n = 2
      })
      expect((await db.query<{ value: Buffer }>('SELECT value FROM outbox'))[0]!.value.toString()).toBe('{"n":1}')
    })

    test('one that fails and is not awaited fails its transaction', async () => {
      const failing = prisma.$transaction(async (tx) => {
        await tx.order.create({ data: { customer: 'Ada' } })
        void tx.outbox.enqueue(poison)
      })
      const { code, cause } = await rejection(failing)
      expect(code).toBe('OUTBOX_TRANSACTION_DOOMED')
      expect(String(cause)).toContain('no_poison')
      expect([await customers(), await topics()]).toEqual([[], []])
    })

    test('one that fails fails its transaction even if the error is caught', async () => {
      const failing = prisma.$transaction(async (tx) => {
        await tx.order.create({ data: { customer: 'Ada' } })
        await tx.outbox.enqueue(poison).catch(() => {})
      })
      expect((await rejection(failing)).code).toBe('OUTBOX_TRANSACTION_DOOMED')
      expect(await customers()).toEqual([])
    })

    test('a refusal that is caught fails its transaction as well, and nothing more is enqueued there', async () => {
      let second: unknown
      const failing = prisma.$transaction(async (tx) => {
        await tx.order.create({ data: { customer: 'Ada' } })
        try {
          void tx.outbox.enqueue({ topic: 'a', payload: 1n as never })
        } catch {}
        second = refusal(() => tx.outbox.enqueue(message('b')))
      })
      const { code, cause } = await rejection(failing)
      expect(code).toBe('OUTBOX_TRANSACTION_DOOMED')
      expect(isOutboxError(cause, 'OUTBOX_INVALID_PAYLOAD')).toBe(true)
      expect(second).toEqual({ code: 'OUTBOX_TRANSACTION_DOOMED', field: undefined })
      expect([await customers(), await topics()]).toEqual([[], []])
    })

    test('a failing enqueue that is awaited rejects with what went wrong', async () => {
      const failing = prisma.$transaction((tx) => tx.outbox.enqueue(poison))
      await expect(failing).rejects.toThrow('no_poison')
    })

    test('an error of the application is passed on as it is', async () => {
      const error = new Error('mine')
      const failing = prisma.$transaction(async (tx) => {
        void tx.outbox.enqueue(poison)
        throw error
      })
      await expect(failing).rejects.toBe(error)
    })

    test('parallel transactions do not share a fate', async () => {
      const one = async (i: number) =>
        prisma.$transaction(async (tx) => {
          const customer = `c${i}`
          await tx.order.create({ data: { customer } })
          void tx.outbox.enqueue(message(customer))
          if (i % 5 === 1) throw new Error('rolled back')
          if (i % 5 === 2) void tx.outbox.enqueue(poison)
          if (i % 5 === 3) await tx.outbox.enqueue({ topic: '', payload: 1 })
        })
      const outcomes = await Promise.allSettled(Array.from({ length: 60 }, (_, i) => one(i)))
      const committed = outcomes.flatMap((outcome, i) => (outcome.status === 'fulfilled' ? [`c${i}`] : []))
      expect(committed).toHaveLength(24)
      expect((await topics()).sort()).toEqual(committed.sort())
      expect((await customers()).sort()).toEqual(committed)
    })

    test('an enqueue belongs to the transaction of its client, wherever it is called', async () => {
      const outcome = await prisma
        .$transaction(async (a) => {
          await a.order.create({ data: { customer: 'a' } })
          // In the asynchronous context of B, and caught by B: still A's message, and A's failure.
          await prisma.$transaction(async (b) => {
            await b.order.create({ data: { customer: 'b' } })
            void a.outbox.enqueue(poison)
          })
        })
        .catch((error: unknown) => error)
      expect(isOutboxError(outcome, 'OUTBOX_TRANSACTION_DOOMED')).toBe(true)
      expect(await customers()).toEqual(['b'])
    })
  })

  describe('refused at the call', () => {
    test('outside of a transaction', () => {
      expect(refusal(() => prisma.outbox.enqueue(message('a')))).toEqual({ code: 'OUTBOX_OUTSIDE_TRANSACTION', field: undefined })
      expect(refusal(() => prisma.outbox.enqueueMany([])).code).toBe('OUTBOX_OUTSIDE_TRANSACTION')
    })

    test('the outer client by the function form, whatever the compiler was told', () => {
      expect(refusal(() => enqueue(base as never, message('a'))).code).toBe('OUTBOX_OUTSIDE_TRANSACTION')
    })

    test('the outer client inside a transaction, which cannot commit then', async () => {
      let code: unknown
      const failing = prisma.$transaction(async (tx) => {
        await tx.order.create({ data: { customer: 'Ada' } })
        code = refusal(() => prisma.outbox.enqueue(message('a'))).code
      })
      expect((await rejection(failing)).code).toBe('OUTBOX_TRANSACTION_DOOMED')
      expect(code).toBe('OUTBOX_OUTER_CLIENT')
      expect([await customers(), await topics()]).toEqual([[], []])
    })

    test('the array form', () => {
      const act = () =>
        prisma.$transaction([prisma.order.create({ data: { customer: 'Ada' } }), prisma.outbox.enqueue(message('a')) as never])
      expect(refusal(act).code).toBe('OUTBOX_OUTSIDE_TRANSACTION')
    })

    test('an enqueue of a transaction in the array form of another', async () => {
      let code: unknown
      const failing = prisma.$transaction(async (tx) => {
        const enqueued = tx.outbox.enqueue(message('a'))
        code = refusal(() => prisma.$transaction([enqueued as never])).code
      })
      expect((await rejection(failing)).code).toBe('OUTBOX_TRANSACTION_DOOMED')
      expect(code).toBe('OUTBOX_ARRAY_FORM')
      expect(await topics()).toEqual([])
    })

    test('a transaction that is over', async () => {
      const leaked = await prisma.$transaction(async (tx) => {
        await tx.outbox.enqueue(message('a'))
        return { tx, later: AsyncLocalStorage.snapshot() }
      })
      const late = () => refusal(() => leaked.tx.outbox.enqueue(message('b'))).code
      expect(leaked.later(late)).toBe('OUTBOX_OUTSIDE_TRANSACTION')
      expect(await topics()).toEqual(['a'])
    })

    test('a message in an array is named by its place', async () => {
      const failing = prisma.$transaction(async (tx) =>
        tx.outbox.enqueueMany([message('a'), { topic: 'b', payload: [1n] as never }]),
      )
      await expect(failing).rejects.toMatchObject({ code: 'OUTBOX_INVALID_PAYLOAD', field: 'messages[1].payload[0]' })
      expect(await topics()).toEqual([])
    })

    test('messages that are no array', async () => {
      const failing = prisma.$transaction(async (tx) => tx.outbox.enqueueMany(message('a') as never))
      await expect(failing).rejects.toMatchObject({ code: 'OUTBOX_INVALID_MESSAGE', field: 'messages' })
    })
  })

  describe('without the rule of a transaction', () => {
    const loose = () => base.$extends(outbox({ requireTransaction: false, wake: false }))

    test('an enqueue outside of one is its own', async () => {
      expect(await loose().outbox.enqueue(message('a'))).toMatch(/^[0-9a-f-]{36}$/)
      expect(await topics()).toEqual(['a'])
    })

    test('the outer client inside a transaction stays refused', async () => {
      const client = loose()
      const failing = client.$transaction(async () => client.outbox.enqueue(message('a')))
      await expect(failing).rejects.toMatchObject({ code: 'OUTBOX_OUTER_CLIENT' })
    })

    test('the array form stays refused, and nothing of it is sent', async () => {
      const client = loose()
      const enqueued = client.outbox.enqueue(message('a'))
      const refused = rejection(enqueued)
      expect(refusal(() => client.$transaction([enqueued as never])).code).toBe('OUTBOX_ARRAY_FORM')
      expect((await refused).code).toBe('OUTBOX_TRANSACTION_DOOMED')
      expect(await topics()).toEqual([])
    })
  })

  describe('without the extension', () => {
    test('the function form writes in the transaction of its client', async () => {
      const id = await base.$transaction(async (tx) => {
        await tx.order.create({ data: { customer: 'Ada' } })
        return enqueue(tx, message('a'))
      })
      expect(await db.query('SELECT message_id, topic FROM outbox')).toEqual([{ message_id: id, topic: 'a' }])
    })

    test('and is rolled back with it', async () => {
      const failing = base.$transaction(async (tx) => {
        await enqueueMany(tx, [message('a'), message('b')])
        throw new Error('no')
      })
      await expect(failing).rejects.toThrow('no')
      expect(await topics()).toEqual([])
    })

    test('its model is an option', async () => {
      await db.query('TRUNCATE "Shop ""out"" box"')
      await base.$transaction((tx) => enqueue(tx, message('a'), { model: 'outboxMessage' }))
      expect(await topics('"Shop ""out"" box"')).toEqual(['a'])
    })
  })

  test('withOutbox does the same at run time', async () => {
    const client = withOutbox(base, { wake: false })
    const failing = client.$transaction(async (tx) => {
      await tx.order.create({ data: { customer: 'Ada' } })
      void tx.outbox.enqueue(poison)
    })
    expect((await rejection(failing)).code).toBe('OUTBOX_TRANSACTION_DOOMED')
    await client.$transaction((tx) => tx.outbox.enqueue(message('a')))
    expect([await customers(), await topics()]).toEqual([[], ['a']])
  })

  describe('next to other extensions', () => {
    const seen: string[] = []
    type Client = ReturnType<typeof connect>
    const watching = <C extends Client>(client: C): C =>
      client.$extends({
        query: {
          $allOperations: ({ operation, args, query }) => {
            seen.push(operation)
            return query(args)
          },
        },
      }) as never
    const overriding = <C extends Client>(client: C): C => {
      const { $transaction } = client
      return client.$extends({
        client: {
          $transaction(this: C, input: never, options: never) {
            seen.push('$transaction')
            return $transaction.call(this, input, options)
          },
        },
      }) as never
    }
    const naming = <C extends Client>(client: C): C =>
      client.$extends({
        result: { order: { label: { needs: { customer: true }, compute: ({ customer }) => `order of ${customer}` } } },
      }) as never
    const boxed = (client: Client) => client.$extends(outbox({ wake: false })) as never as Client

    beforeEach(() => void seen.splice(0))

    const stacks: [string, () => Client, string[]][] = [
      ['a query extension before it', () => boxed(watching(base)), ['create', '$executeRaw']],
      ['a query extension after it', () => watching(boxed(base)), ['create']],
      ['another $transaction before it', () => boxed(overriding(base)), ['$transaction']],
      ['another $transaction after it', () => overriding(boxed(base)), ['$transaction']],
      ['a result extension around it', () => naming(boxed(naming(base))), []],
      ['another outbox before it', () => boxed(base.$extends(outbox({ model: 'outboxMessage', wake: false })) as never), []],
      ['another outbox after it', () => boxed(base).$extends(outbox({ model: 'outboxMessage', wake: false })) as never, []],
    ]

    test.each(stacks)('%s: written with its transaction, and fails it', async (_name, stack, operations) => {
      const client = stack() as never as typeof prisma
      await client.$transaction(async (tx) => {
        const order = await tx.order.create({ data: { customer: 'Ada' } })
        void tx.outbox.enqueue({ topic: 'a', payload: order })
      })
      expect([await customers(), await topics()]).toEqual([['Ada'], ['a']])
      expect(seen).toEqual(expect.arrayContaining(operations))

      const failing = client.$transaction(async (tx) => {
        await tx.order.create({ data: { customer: 'Bob' } })
        void tx.outbox.enqueue(poison)
      })
      expect((await rejection(failing)).code).toBe('OUTBOX_TRANSACTION_DOOMED')
      const rolledBack = client.$transaction(async (tx) => {
        await tx.outbox.enqueue(message('b'))
        throw new Error('no')
      })
      await expect(rolledBack).rejects.toThrow('no')
      expect([await customers(), await topics()]).toEqual([['Ada'], ['a']])
    })

    test('a model method of another extension enqueues in the transaction in which it is called', async () => {
      const client = prisma.$extends({
        model: {
          order: {
            async place(customer: string) {
              const { $parent } = this as never as { $parent: typeof prisma }
              await $parent.order.create({ data: { customer } })
              void $parent.outbox.enqueue(message(customer))
            },
          },
        },
      })
      await client.$transaction((tx) => tx.order.place('Ada'))
      const failing = client.$transaction(async (tx) => {
        await tx.order.place('Bob')
        await tx.order.place('poison')
      })
      expect((await rejection(failing)).code).toBe('OUTBOX_TRANSACTION_DOOMED')
      expect([await customers(), await topics()]).toEqual([['Ada'], ['Ada']])
    })
  })

  test('settings of a transaction reach Prisma, and its answer comes back', async () => {
    const level = await prisma.$transaction(
      async (tx) => {
        await tx.outbox.enqueue(message('a'))
        return tx.$queryRaw<{ level: string }[]>`SELECT current_setting('transaction_isolation') AS level`
      },
      { isolationLevel: 'Serializable', timeout: 4000 },
    )
    expect(level).toEqual([{ level: 'serializable' }])
    expect(await prisma.$transaction([prisma.order.count(), prisma.order.count()])).toEqual([0, 0])
  })

  test('a role that has the application grants of ops/grants.sql, and nothing else, can enqueue', async () => {
    const { readFile } = await import('node:fs/promises')
    await db.query(await readFile(new URL('../../ops/grants.sql', import.meta.url), 'utf8'))
    const role = `app_${process.pid}_${nested ? 7 : 6}`
    await db.query(`CREATE ROLE "${role}" LOGIN PASSWORD 'app' IN ROLE outbox_app`)
    const url = new URL(db.url)
    Object.assign(url, { username: role, password: 'app' })
    const client = connect(url.href)
    try {
      const app = client.$extends(outbox())
      await app.$transaction(async (tx) => {
        await tx.outbox.enqueue(message('a'))
        await tx.outbox.enqueueMany([message('b'), message('c')])
      })
      await expect(client.$queryRaw`SELECT 1 FROM "outbox"`).rejects.toThrow('42501')
      await db.query('REVOKE INSERT ON "outbox" FROM outbox_app')
      expect((await rejection(app.$transaction((tx) => tx.outbox.enqueue(message('d'))))).code).toBe('OUTBOX_MISSING_RIGHTS')
    } finally {
      await client.$disconnect()
      await db.query(`DROP OWNED BY "${role}"; DROP ROLE "${role}"`)
    }
    expect(await topics()).toEqual(['a', 'b', 'c'])
  })

  describe('wake-up', () => {
    /** Hears the channel; `next` resolves with the number of notifications so far once there are `count`. */
    const listen = async () => {
      const client = new pg.Client({ connectionString: db.url })
      await client.connect()
      const heard: number[] = []
      const waiting = new Set<() => void>()
      client.on('notification', () => {
        heard.push(performance.now())
        for (const wake of waiting) wake()
      })
      await client.query('LISTEN outbox_wake')
      return {
        heard,
        until: async (enough: () => boolean) => {
          while (!enough()) {
            await new Promise<void>((resolve) => {
              waiting.add(resolve)
            })
          }
        },
        /** Everything that was sent before has arrived when it returns. */
        async flush() {
          const before = heard.length
          await client.query('NOTIFY outbox_wake')
          await this.until(() => heard.length > before)
          heard.pop()
        },
        [Symbol.asyncDispose]: () => client.end(),
      }
    }

    test('a commit with a message wakes the relays; a rollback, or a commit without one, does not', async () => {
      await using ear = await listen()
      const client = base.$extends(outbox())
      await client.$transaction((tx) => tx.order.create({ data: { customer: 'Ada' } }))
      await client
        .$transaction(async (tx) => {
          await tx.outbox.enqueue(message('a'))
          throw new Error('no')
        })
        .catch(() => {})
      await base.$executeRaw`SELECT 1`
      await ear.flush()
      expect(ear.heard).toHaveLength(0)
      await client.$transaction((tx) => tx.outbox.enqueue(message('a')))
      await ear.until(() => ear.heard.length > 0)
      // Prisma tells a statement after its answer: the notification may be here before.
      await expect.poll(() => statements.at(-1)).toBe('NOTIFY "outbox_wake"')
      expect(statements.indexOf('COMMIT')).toBeLessThan(statements.indexOf('NOTIFY "outbox_wake"'))
    })

    test('a burst of commits wakes at most 20 times a second, and once after the last', async () => {
      await using ear = await listen()
      const client = base.$extends(outbox())
      const begin = performance.now()
      let last = begin
      while (performance.now() - begin < 600) {
        await client.$transaction((tx) => tx.outbox.enqueue(message('a')))
        last = performance.now()
      }
      await ear.until(() => ear.heard.at(-1)! > last)
      const slots = Math.ceil((ear.heard.at(-1)! - begin) / 50) + 1
      expect((await topics()).length).toBeGreaterThan(slots)
      expect(ear.heard.length).toBeLessThanOrEqual(slots)
    })

    test('an enqueue that is its own transaction wakes them too', async () => {
      await using ear = await listen()
      await base.$extends(outbox({ requireTransaction: false })).outbox.enqueue(message('a'))
      await ear.until(() => ear.heard.length > 0)
      expect(await topics()).toEqual(['a'])
    })

    test('wake: false sends none', async () => {
      await using ear = await listen()
      await prisma.$transaction((tx) => tx.outbox.enqueue(message('a')))
      await ear.flush()
      expect(ear.heard).toHaveLength(0)
    })

    test('a wake-up that fails or hangs is nobody`s concern', async () => {
      const asked: string[] = []
      const deaf = (answer: () => Promise<never>) =>
        base
          .$extends({
            query: {
              $executeRawUnsafe: () => {
                asked.push('NOTIFY')
                return answer()
              },
            },
          })
          .$extends(outbox())
      for (const client of [deaf(() => Promise.reject(new Error('deaf'))), deaf(() => new Promise(() => {}))]) {
        await client.$transaction((tx) => tx.outbox.enqueue(message('a')))
      }
      await new Promise((resolve) => setImmediate(resolve))
      expect(asked).toEqual(['NOTIFY', 'NOTIFY'])
      expect(await topics()).toEqual(['a', 'a'])
    })

    test('a client that disconnects is not connected again by a wake-up', async () => {
      const client = connect()
      const app = client.$extends(outbox())
      for (let i = 0; i < 3; i++) await app.$transaction((tx) => tx.outbox.enqueue(message('a')))
      await app.$disconnect()
      const sent = statements.length
      await new Promise((resolve) => setTimeout(resolve, 100))
      expect(statements.length).toBe(sent)
    })
  })

  describe.runIf(nested)('nested transactions', () => {
    test('what is enqueued in a savepoint that rolls back is gone, also if nobody awaited it', async () => {
      await prisma.$transaction(async (tx) => {
        await tx.outbox.enqueue(message('a'))
        await tx
          .$transaction(async (inner) => {
            await inner.outbox.enqueue(message('b'))
            void inner.outbox.enqueue(message('c'))
            throw new Error('inner')
          })
          .catch(() => {})
        await tx.outbox.enqueue(message('d'))
      })
      expect(await topics()).toEqual(['a', 'd'])
    })

    test('what is enqueued in one that is released stays, in the order of the calls', async () => {
      await prisma.$transaction(async (tx) => {
        void tx.outbox.enqueue(message('a'))
        await tx.$transaction(async (inner) => {
          void inner.outbox.enqueue(message('b'))
          await inner.$transaction(async (innermost) => void innermost.outbox.enqueue(message('c')))
          void inner.outbox.enqueue(message('d'))
        })
        void tx.outbox.enqueue(message('e'))
      })
      expect(await topics()).toEqual(['a', 'b', 'c', 'd', 'e'])
    })

    test('what was enqueued before it began, and not awaited, does not roll back with it', async () => {
      await prisma.$transaction(async (tx) => {
        for (let i = 0; i < 20; i++) void tx.outbox.enqueue(message(`t${i}`))
        await tx
          .$transaction(async () => {
            throw new Error('inner')
          })
          .catch(() => {})
      })
      expect(await topics()).toHaveLength(20)
    })

    test('a failed enqueue dooms its savepoint only', async () => {
      let code: unknown
      await prisma.$transaction(async (tx) => {
        await tx.order.create({ data: { customer: 'outer' } })
        const inner = tx.$transaction(async (inner) => {
          await inner.order.create({ data: { customer: 'inner' } })
          await inner.outbox.enqueue(poison).catch(() => {})
        })
        code = (await rejection(inner)).code
        await tx.outbox.enqueue(message('a'))
      })
      expect(code).toBe('OUTBOX_TRANSACTION_DOOMED')
      expect([await customers(), await topics()]).toEqual([['outer'], ['a']])
    })

    test('the outer transaction is refused while one nested in it is open', async () => {
      let code: unknown
      const failing = prisma.$transaction(async (tx) => {
        await tx.$transaction(async () => {
          code = refusal(() => tx.outbox.enqueue(message('a'))).code
        })
      })
      expect((await rejection(failing)).code).toBe('OUTBOX_TRANSACTION_DOOMED')
      expect(code).toBe('OUTBOX_OUTER_CLIENT')
    })

    test('a straggler of a released savepoint fails the transaction; of one that rolled back it does not', async () => {
      const straggle = (fail: boolean) =>
        prisma.$transaction(async (tx) => {
          let late: (() => unknown) | undefined
          await tx
            .$transaction(async (inner) => {
              late = AsyncLocalStorage.bind(() => refusal(() => inner.outbox.enqueue(message('late'))))
              if (fail) throw new Error('inner')
            })
            .catch(() => {})
          expect(late!()).toEqual({ code: 'OUTBOX_OUTSIDE_TRANSACTION', field: undefined })
          await tx.order.create({ data: { customer: 'Ada' } })
        })
      expect((await rejection(straggle(false))).code).toBe('OUTBOX_TRANSACTION_DOOMED')
      await straggle(true)
      expect(await customers()).toEqual(['Ada'])
    })

    test('a message of a savepoint wakes the relays after the commit, not before', async () => {
      const client = base.$extends(outbox())
      await client.$transaction(async (tx) => {
        await tx.$transaction((inner) => inner.outbox.enqueue(message('a')))
        // Time enough for a NOTIFY on another connection.
        for (let i = 0; i < 5; i++) await tx.order.count()
      })
      await client.$disconnect()
      expect(statements).toContain('NOTIFY "outbox_wake"')
      expect(statements.indexOf('COMMIT')).toBeLessThan(statements.indexOf('NOTIFY "outbox_wake"'))
    })
  })
}
