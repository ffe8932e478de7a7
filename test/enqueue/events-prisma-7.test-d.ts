import { describe, expectTypeOf, test } from 'vitest'
import { enqueue, enqueueMany, type OutboxTransaction, outbox, withOutbox } from '../../src/index.ts'
import { events } from '../events/catalog.ts'
import { type Prisma, PrismaClient } from './generated/client/client.ts'

const base = new PrismaClient({ adapter: null as never })
const extended = base.$extends(outbox({ events }))
const wrapped = withOutbox(base, { events })

const order = { orderId: 'o', total: { amount: 1, currency: 'EUR' } }
const helper = async (tx: Prisma.TransactionClient) => tx.order.count()

describe('the extension with a catalog', () => {
  test('takes the events of the catalog, with fields that have a default left out', () => {
    void extended.$transaction(async (tx) => {
      expectTypeOf(tx.outbox.enqueue({ type: 'OrderPlaced', payload: order })).toEqualTypeOf<Promise<string>>()
      void tx.outbox.enqueue({ type: 'OrderPlaced', payload: { ...order, channel: 'shop' }, headers: { a: 'b' }, id: 'x' })
      const both = tx.outbox.enqueueMany([
        { type: 'OrderPlaced', payload: order },
        { type: 'StockCounted', payload: { sku: 'a', left: 1 } },
      ])
      expectTypeOf(both).toEqualTypeOf<Promise<string[]>>()
      // A savepoint has it too.
      void tx.$transaction((inner) => inner.outbox.enqueue({ type: 'StockCounted', payload: { sku: 'a', left: 1 } }))
    })
  })

  test('refuses everything else', () => {
    void extended.$transaction(async (tx) => {
      // @ts-expect-error no such event
      void tx.outbox.enqueue({ type: 'OrderLost', payload: order })
      // @ts-expect-error the payload of another event
      void tx.outbox.enqueue({ type: 'StockCounted', payload: order })
      // @ts-expect-error the payload of an older version
      void tx.outbox.enqueue({ type: 'OrderPlaced', payload: { orderId: 'o', total: 1 } })
      // @ts-expect-error no payload
      void tx.outbox.enqueue({ type: 'OrderPlaced' })
      // @ts-expect-error the topic is the event's
      void tx.outbox.enqueue({ type: 'OrderPlaced', payload: order, topic: 'orders' })
      // @ts-expect-error no event of the catalog
      void tx.outbox.enqueue({ topic: 'orders', payload: order })
      // @ts-expect-error a mixed pair among others
      void tx.outbox.enqueueMany([{ type: 'StockCounted', payload: order }])
    })
  })

  test('a model of another name takes them as well, and a model that is not there does not compile', () => {
    void base.$extends(outbox({ events, model: 'outboxMessage' })).$transaction(async (tx) => {
      void tx.outboxMessage.enqueue({ type: 'OrderPlaced', payload: order })
      // @ts-expect-error no such event
      void tx.outboxMessage.enqueue({ type: 'OrderLost', payload: order })
    })
    // @ts-expect-error the schema has no such model
    base.$extends(outbox({ events, model: 'nothing' }))
    // @ts-expect-error not a catalog
    outbox({ events: { OrderPlaced: 1 } })
  })
})

test('withOutbox with a catalog keeps Prisma.TransactionClient', () => {
  void wrapped.$transaction(async (tx) => {
    expectTypeOf(tx).toExtend<Prisma.TransactionClient>()
    await helper(tx)
    expectTypeOf(tx.outbox.enqueue({ type: 'OrderPlaced', payload: order })).toEqualTypeOf<Promise<string>>()
    // @ts-expect-error no such event
    void tx.outbox.enqueue({ type: 'OrderLost', payload: order })
    void tx.$transaction((inner) => inner.outbox.enqueue({ type: 'OrderPlaced', payload: order }))
  })
  expectTypeOf(wrapped).toExtend<PrismaClient>()
})

test('a helper that enqueues events can name its type', () => {
  type Tx = OutboxTransaction<Prisma.TransactionClient, 'outbox', typeof events>
  const announce = (tx: Tx) => tx.outbox.enqueue({ type: 'OrderPlaced', payload: order })
  void wrapped.$transaction(announce)
  // @ts-expect-error its outbox has no catalog
  void withOutbox(base).$transaction(announce)
})

test('the function form takes them with the option events', () => {
  void base.$transaction(async (tx) => {
    expectTypeOf(enqueue(tx, { type: 'OrderPlaced', payload: order }, { events })).toEqualTypeOf<Promise<string>>()
    void enqueueMany(tx, [{ type: 'StockCounted', payload: { sku: 'a', left: 1 } }], { events, maxBytes: 1000 })
    // @ts-expect-error no such event
    void enqueue(tx, { type: 'OrderLost', payload: order }, { events })
    // @ts-expect-error the payload of another event
    void enqueue(tx, { type: 'StockCounted', payload: order }, { events })
    // @ts-expect-error no topic, and no catalog
    void enqueue(tx, { type: 'OrderPlaced', payload: order })
    // @ts-expect-error a topic, and a catalog
    void enqueue(tx, { topic: 'orders', payload: order }, { events })
  })
})
