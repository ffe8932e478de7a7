import { expectTypeOf, test } from 'vitest'
import { enqueue, outbox, withOutbox } from '../../src/index.ts'
import { events } from '../events/catalog.ts'
import { type Prisma, PrismaClient } from '../support/prisma6/generated/client/client.ts'

const base = new PrismaClient({ adapter: null as never })
const order = { orderId: 'o', total: { amount: 1, currency: 'EUR' } }

test('Prisma 6: the extension with a catalog takes its events only', () => {
  void base.$extends(outbox({ events })).$transaction(async (tx) => {
    expectTypeOf(tx.outbox.enqueue({ type: 'OrderPlaced', payload: order })).toEqualTypeOf<Promise<string>>()
    // @ts-expect-error no such event
    void tx.outbox.enqueue({ type: 'OrderLost', payload: order })
    // @ts-expect-error the payload of another event
    void tx.outbox.enqueueMany([{ type: 'StockCounted', payload: order }])
  })
})

test('Prisma 6: withOutbox with a catalog keeps Prisma.TransactionClient', () => {
  void withOutbox(base, { events }).$transaction(async (tx) => {
    expectTypeOf(tx).toExtend<Prisma.TransactionClient>()
    expectTypeOf(tx.outbox.enqueue({ type: 'OrderPlaced', payload: order })).toEqualTypeOf<Promise<string>>()
    // @ts-expect-error the payload of an older version
    void tx.outbox.enqueue({ type: 'OrderPlaced', payload: { orderId: 'o', total: 1 } })
  })
})

test('Prisma 6: the function form takes them with the option events', () => {
  void base.$transaction(async (tx) => {
    expectTypeOf(enqueue(tx, { type: 'OrderPlaced', payload: order }, { events })).toEqualTypeOf<Promise<string>>()
    // @ts-expect-error no such event
    void enqueue(tx, { type: 'OrderLost', payload: order }, { events })
  })
})
