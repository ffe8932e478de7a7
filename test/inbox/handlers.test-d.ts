import { describe, expectTypeOf, test } from 'vitest'
import { createInbox, createProjection, type TransactionOf } from '../../src/inbox/index.ts'
import { type OutboxTransaction, outbox, withOutbox } from '../../src/index.ts'
import { type Prisma, PrismaClient } from '../enqueue/generated/client/client.ts'
import { events } from '../events/catalog.ts'

const base = new PrismaClient({ adapter: null as never })
const announced = { type: 'StockCounted', payload: { sku: 'a', left: 1 } } as const
const helper = async (tx: Prisma.TransactionClient) => tx.order.count()

describe('what a handler gets as tx', () => {
  test('is the transaction of a client that withOutbox() made, with the outbox and its catalog', () => {
    const prisma = withOutbox(base, { events })
    createInbox({
      prisma,
      consumer: 'c',
      events,
      handlers: {
        async OrderPlaced(placed, tx) {
          expectTypeOf(placed.payload.total.amount).toEqualTypeOf<number>()
          expectTypeOf(tx.outbox.enqueue(announced)).toEqualTypeOf<Promise<string>>()
          expectTypeOf(tx.outbox.enqueueMany([announced])).toEqualTypeOf<Promise<string[]>>()
          await tx.outbox.enqueueMany(
            [placed].map(({ payload }) => ({ type: 'StockCounted', payload: { sku: payload.orderId, left: 1 } })),
          )
          await helper(tx)
          // @ts-expect-error no such event
          void tx.outbox.enqueue({ type: 'OrderLost', payload: {} })
          // A savepoint has it too.
          await tx.$transaction((inner) => inner.outbox.enqueue(announced))
        },
      },
    })
  })

  test('also where it takes a batch, and in a projection', () => {
    const prisma = withOutbox(base, { events })
    createInbox({
      prisma,
      consumer: 'c',
      events,
      batch: 10,
      handlers: {
        async OrderPlaced(placed, tx) {
          await tx.outbox.enqueueMany(placed.map(() => announced))
        },
      },
    })
    createProjection({ prisma, name: 'p', events, handlers: { OrderPlaced: (_, tx) => tx.outbox.enqueue(announced) } })
  })

  test('without a catalog it takes messages', () => {
    const prisma = withOutbox(base)
    createInbox({
      prisma,
      consumer: 'c',
      events,
      handlers: {
        OrderPlaced: (_, tx) => tx.outbox.enqueueMany([{ topic: 'a', payload: 1 }]),
        // @ts-expect-error its outbox has no catalog
        StockCounted: (_, tx) => tx.outbox.enqueue(announced),
      },
    })
  })

  test('is that of $extends(outbox()) as well', () => {
    const prisma = base.$extends(outbox({ events }))
    createInbox({
      prisma,
      consumer: 'c',
      events,
      handlers: {
        OrderPlaced: (placed, tx) =>
          tx.outbox.enqueueMany([placed].map(() => ({ type: 'StockCounted', payload: { sku: 'a', left: 1 } }))),
      },
    })
  })

  test('has no outbox where the client has none', () => {
    const order = 'OrderPlaced' as const
    // @ts-expect-error no outbox
    createInbox({ prisma: base, consumer: 'c', events, handlers: { [order]: (_, tx) => tx.outbox.enqueue(announced) } })
  })

  test('has a name, for helpers', () => {
    const prisma = withOutbox(base, { events })
    type Tx = OutboxTransaction<Prisma.TransactionClient, 'outbox', typeof events>
    expectTypeOf<TransactionOf<typeof prisma>>().toExtend<Tx>()
    // The idiom of Prisma's users.
    expectTypeOf<Parameters<Parameters<typeof prisma.$transaction>[0]>[0]>().toExtend<Tx>()
  })
})
