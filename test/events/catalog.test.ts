import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { defineEvents, enqueue, enqueueMany, event, outbox, withOutbox } from '../../src/index.ts'
import { isOutboxError, type OutboxError } from '../../src/message/errors.ts'
import { loadPrisma6, type PrismaVersion, prisma7, shopSql } from '../enqueue/clients.ts'
import { refusal } from '../message/refusal.ts'
import { createDatabase, type TestDatabase } from '../support/database.ts'
import { events } from './catalog.ts'

const total = { amount: 1990, currency: 'EUR' }

describe.each<[string, () => Promise<PrismaVersion>]>([
  ['Prisma 7.10', async () => prisma7],
  ['Prisma 6.19', loadPrisma6],
])('%s: the catalog', (_name, load) => {
  let db: TestDatabase
  let base: ReturnType<typeof connect>
  const connect = ({ PrismaClient, PrismaPg }: PrismaVersion) =>
    new PrismaClient({ adapter: new PrismaPg({ connectionString: db.url }) })

  beforeAll(async () => {
    db = await createDatabase(shopSql)
    base = connect(await load())
  })
  afterAll(async () => {
    await base.$disconnect()
    await db.drop()
  })
  beforeEach(() => db.query('TRUNCATE "outbox" RESTART IDENTITY'))

  const extended = () => base.$extends(outbox({ events, wake: false }))
  const stored = async () => {
    const rows = await db.query<{ topic: string; type: string; key: Buffer | null; value: Buffer; headers: object }>(
      'SELECT topic, type, key, value, headers FROM outbox ORDER BY id',
    )
    return rows.map((row) => ({ ...row, key: row.key?.toString() ?? null, value: JSON.parse(row.value.toString()) }))
  }
  const rejection = async (promise: Promise<unknown>): Promise<OutboxError> => {
    const error = await promise.then(
      () => new Error('It did not reject.'),
      (error: unknown) => error,
    )
    if (!isOutboxError(error)) throw error
    return error
  }

  test('an event is stored with topic, key, type and version, as its schema gives it', async () => {
    const payload = { orderId: 'o-1', total, secret: 'not in the schema' }
    const id = await extended().$transaction((tx) =>
      tx.outbox.enqueue({ type: 'OrderPlaced', payload, headers: { tenant: 'acme' } }),
    )
    expect(id).toMatch(/^[0-9a-f-]{36}$/)
    expect(await stored()).toEqual([
      {
        topic: 'orders',
        type: 'OrderPlaced',
        key: 'o-1',
        value: { orderId: 'o-1', total, channel: 'web' },
        headers: { tenant: 'acme', version: '3' },
      },
    ])
  })

  test('events of several libraries go into one INSERT, in the order of the array', async () => {
    const ids = await extended().$transaction((tx) =>
      tx.outbox.enqueueMany([
        { type: 'StockCounted', payload: { sku: 'a', left: 3 } },
        { type: 'SlowlyChecked', payload: { key: 'k', waitMs: 5, ok: true } },
        { type: 'OrderPlaced', payload: { orderId: 'o-2', total, channel: 'shop' } },
      ]),
    )
    const rows = await stored()
    expect(rows.map(({ type, key, headers }) => [type, key, headers])).toEqual([
      ['StockCounted', null, { version: '1' }],
      ['SlowlyChecked', 'k', { version: '1' }],
      ['OrderPlaced', 'o-2', { version: '3' }],
    ])
    expect(new Set(ids).size).toBe(3)
  })

  test('withOutbox and the function form take the same events', async () => {
    await withOutbox(base, { events, wake: false }).$transaction(async (tx) => {
      await tx.outbox.enqueue({ type: 'StockCounted', payload: { sku: 'a', left: 1 } })
    })
    await base.$transaction(async (tx) => {
      await enqueue(tx, { type: 'StockCounted', payload: { sku: 'b', left: 2 } }, { events })
      await enqueueMany(tx, [{ type: 'StockCounted', payload: { sku: 'c', left: 3 } }], { events })
    })
    expect((await stored()).map(({ value }) => value.sku)).toEqual(['a', 'b', 'c'])
  })

  test('the function form without options has the catalog of the extension, and with options it has none', async () => {
    const seen = await extended()
      .$transaction(async (tx) => {
        const plain = { topic: 'orders', key: 'o-3', payload: null }
        await enqueue(tx, plain, {})
        return refusal(() => enqueue(tx, plain))
      })
      .catch((error: OutboxError) => error.cause)
    expect(seen).toMatchObject({ code: 'OUTBOX_UNKNOWN_EVENT', field: 'type' })
  })

  test('ids follow the order of the calls, however long each schema takes', async () => {
    await extended().$transaction(async (tx) => {
      for (const waitMs of [30, 0, 15])
        void tx.outbox.enqueue({ type: 'SlowlyChecked', payload: { key: `${waitMs}`, waitMs, ok: true } })
      void tx.outbox.enqueue({ type: 'StockCounted', payload: { sku: 'last', left: 0 } })
    })
    expect((await stored()).map(({ key, value }) => key ?? value.sku)).toEqual(['30', '0', '15', 'last'])
  })

  test('what the caller changes after the call is not what is stored', async () => {
    await extended().$transaction(async (tx) => {
      const message = { type: 'SlowlyChecked' as const, payload: { key: 'a', waitMs: 5, ok: true }, headers: { h: 'before' } }
      const sent = tx.outbox.enqueue(message)
      message.headers.h = 'after'
      message.payload = { key: 'b', waitMs: 0, ok: true }
      await sent
    })
    expect(await stored()).toMatchObject([{ key: 'a', headers: { h: 'before' } }])
  })

  test('a schema that refuses asynchronously dooms the transaction, caught or not awaited', async () => {
    const bad = { type: 'SlowlyChecked' as const, payload: { key: 'k', waitMs: 5, ok: false } }
    const caught = extended().$transaction(async (tx) => {
      await tx.order.create({ data: { customer: 'caught' } })
      await tx.outbox.enqueue(bad).catch(() => {})
    })
    const alone = extended().$transaction(async (tx) => {
      await tx.order.create({ data: { customer: 'alone' } })
      void tx.outbox.enqueue(bad)
    })
    for (const error of await Promise.all([caught, alone].map(rejection))) {
      expect(error).toMatchObject({ code: 'OUTBOX_TRANSACTION_DOOMED', cause: { code: 'OUTBOX_INVALID_PAYLOAD' } })
    }
    expect(await base.order.count()).toBe(0)
    expect(await stored()).toEqual([])
  })

  test('a refusal at the call beside one that comes later leaves no rejection unhandled', async () => {
    const unhandled: unknown[] = []
    const listen = (error: unknown) => unhandled.push(error)
    process.on('unhandledRejection', listen)
    await extended()
      .$transaction(async (tx) => {
        const late = { type: 'SlowlyChecked' as const, payload: { key: 'k', waitMs: 1, ok: false } }
        expect(refusal(() => tx.outbox.enqueueMany([late, { type: 'Nothing' as never, payload: {} as never }]))).toEqual({
          code: 'OUTBOX_UNKNOWN_EVENT',
          field: 'messages[1].type',
        })
        await new Promise((resolve) => setTimeout(resolve, 20))
      })
      .catch(() => {})
    process.off('unhandledRejection', listen)
    expect(unhandled).toEqual([])
  })

  test('what is not in the catalog is refused at the call, and nothing is written', async () => {
    const refused: unknown[] = []
    await extended()
      .$transaction(async (tx) => {
        const give = (message: unknown) => refused.push(refusal(() => tx.outbox.enqueue(message as never)))
        give({ topic: 'orders', payload: {} })
        give({ type: 'toString', payload: {} })
      })
      .catch((error: OutboxError) => refused.push(error.code))
    expect(refused).toEqual([
      { code: 'OUTBOX_UNKNOWN_EVENT', field: 'type' },
      { code: 'OUTBOX_TRANSACTION_DOOMED', field: undefined },
      'OUTBOX_TRANSACTION_DOOMED',
    ])
    expect(await stored()).toEqual([])
  })
})

describe('refusals', () => {
  // Never connected: everything is refused before a statement is sent.
  const sent = () => Promise.reject(new Error('A statement was sent.'))
  const tx = { $executeRaw: sent, $queryRaw: sent }
  const refuse = (message: unknown, catalog: object = events): OutboxError => {
    try {
      void enqueue(tx, message as never, { events: catalog as typeof events })
    } catch (error) {
      if (isOutboxError(error)) return error
      throw error
    }
    throw new Error('Nothing was thrown.')
  }

  test.each([
    [{ orderId: 'o', total: { amount: 'SECRET', currency: 'EUR' } }, 'payload.total.amount', 'invalid type, expected number'],
    [{ orderId: 'o', total, channel: 'SECRET' }, 'payload.channel', 'invalid value'],
    [{ total }, 'payload.orderId', 'invalid type, expected string'],
    ['SECRET', 'payload', 'invalid type, expected object'],
  ])('zod: %j is refused with path and reason, and without its value', (payload, field, reason) => {
    const error = refuse({ type: 'OrderPlaced', payload })
    expect(error).toMatchObject({ code: 'OUTBOX_INVALID_PAYLOAD', field, cause: undefined })
    expect(error.message).toContain(`${field} does not fit version 3 of OrderPlaced (${reason})`)
    expect(error.message).not.toContain('SECRET')
  })

  test.each([
    [{ sku: 'a', left: 'SECRET' }, 'payload.left', 'number, expected number'],
    [{ sku: 'a', left: -77077 }, 'payload.left', 'min value, expected >=0'],
  ])('valibot: %j is refused with path and reason, and without its value', (payload, field, reason) => {
    const error = refuse({ type: 'StockCounted', payload })
    expect(error).toMatchObject({ code: 'OUTBOX_INVALID_PAYLOAD', field, cause: undefined })
    expect(error.message).toContain(`${field} does not fit version 1 of StockCounted (${reason})`)
    expect(error.message).not.toMatch(/SECRET|77077/)
  })

  test('the reason is not the message of the schema, which may repeat the value', () => {
    const schema = z.string().refine(() => false, { error: ({ input }) => `what is ${input}` })
    const told = refuse({ type: 'TroubleText', payload: 'SECRET' }, defineEvents({ TroubleText: event({ topic: 't', schema }) }))
    expect(told.message).toContain('payload does not fit version 1 of TroubleText (custom)')
    expect(told.message).not.toContain('SECRET')
  })

  test('topic, key and version are the catalog’s: a message that names them is refused', () => {
    const payload = { sku: 'a', left: 1 }
    for (const more of [{ topic: 'other' }, { key: 'k' }, { version: 1 }]) {
      expect(refuse({ type: 'StockCounted', payload, ...more }).code).toBe('OUTBOX_INVALID_MESSAGE')
    }
    expect(refuse({ type: 'StockCounted', payload, headers: { Version: '7' } }).code).toBe('OUTBOX_INVALID_HEADER')
    expect(refuse({ type: 'StockCounted', payload, id: 'x' }).code).toBe('OUTBOX_INVALID_ID')
  })

  test('a key function that gives undefined is refused: without a key the order would be lost', () => {
    const schema = z.object({ id: z.string().optional() })
    const careless = defineEvents({ Careless: event({ topic: 't', key: (one) => one.id as string, schema }) })
    expect(refuse({ type: 'Careless', payload: {} }, careless)).toMatchObject({ code: 'OUTBOX_INVALID_KEY', field: 'key' })
  })
})

test.each([
  ['a topic that Kafka refuses', () => event({ topic: 'a b', schema: z.string() }), 'OUTBOX_INVALID_TOPIC', 'topic'],
  ['no schema', () => event({ topic: 'a', schema: {} as never }), 'OUTBOX_INVALID_OPTION', 'schema'],
  ['a key that is a name', () => event({ topic: 'a', schema: z.string(), key: 'id' as never }), 'OUTBOX_INVALID_OPTION', 'key'],
  [
    'a step without its function',
    () => event({ topic: 'a', schema: z.string() }).evolve({ schema: z.string() } as never),
    'OUTBOX_INVALID_OPTION',
    'up',
  ],
  ['a plain object', () => defineEvents({ A: { topic: 'a' } } as never), 'OUTBOX_INVALID_OPTION', 'events.A'],
  ['a plain object as catalog', () => outbox({ events: { A: 1 } as never }), 'OUTBOX_INVALID_OPTION', 'events'],
])('%s is refused where it is defined', (_name, act, code, field) => {
  expect(refusal(act)).toEqual({ code, field })
})
