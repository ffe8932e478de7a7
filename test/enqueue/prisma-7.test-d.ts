import { describe, expectTypeOf, test } from 'vitest'
import {
  enqueue,
  enqueueMany,
  type OutboxMethods,
  type OutboxTransaction,
  outbox,
  type TransactionOf,
  withOutbox,
} from '../../src/index.ts'
import { type Prisma, PrismaClient } from './generated/client/client.ts'

const base = new PrismaClient({ adapter: null as never })
const extended = base.$extends(outbox())
const wrapped = withOutbox(base)

const helper = async (tx: Prisma.TransactionClient) => tx.order.count()
const message = { topic: 'a', payload: { n: 1 } }

describe('the extension', () => {
  test('enqueue gives an id, enqueueMany ids', () => {
    void extended.$transaction(async (tx) => {
      expectTypeOf(tx.outbox.enqueue(message)).toEqualTypeOf<Promise<string>>()
      expectTypeOf(tx.outbox.enqueueMany([message])).toEqualTypeOf<Promise<string[]>>()
      expectTypeOf(tx.order.count()).resolves.toEqualTypeOf<number>()
    })
  })

  test('a model that is not in the schema does not compile', () => {
    // @ts-expect-error the schema has no such model
    base.$extends(outbox({ model: 'nothing' }))
    // @ts-expect-error an order is no outbox
    base.$extends(outbox({ model: 'order' }))
  })

  test('a model of another name has the methods, and no other has them', () => {
    const client = base.$extends(outbox({ model: 'outboxMessage' }))
    void client.$transaction(async (tx) => {
      expectTypeOf(tx.outboxMessage.enqueue).toEqualTypeOf<OutboxMethods['enqueue']>()
      // @ts-expect-error this is Prisma's model only
      void tx.outbox.enqueue(message)
    })
  })

  test('options of the wrong type do not compile', () => {
    // @ts-expect-error not a number
    outbox({ maxBytes: '1' })
    // @ts-expect-error no such option
    outbox({ wakes: true })
  })

  test('other extensions keep their types, before and after it', () => {
    const label = { order: { label: { needs: { customer: true }, compute: () => 'x' as const } } } as const
    const before = base.$extends({ result: label }).$extends(outbox())
    const after = base.$extends(outbox()).$extends({ result: label })
    void before.$transaction(async (tx) => {
      expectTypeOf((await tx.order.findFirstOrThrow()).label).toEqualTypeOf<'x'>()
      expectTypeOf(tx.outbox.enqueue(message)).toEqualTypeOf<Promise<string>>()
    })
    void after.$transaction(async (tx) => {
      expectTypeOf((await tx.order.findFirstOrThrow()).label).toEqualTypeOf<'x'>()
      expectTypeOf(tx.outbox.enqueue(message)).toEqualTypeOf<Promise<string>>()
    })
  })

  test('a nested transaction has the methods too', () => {
    void extended.$transaction((tx) => tx.$transaction((inner) => inner.outbox.enqueue(message)))
  })
})

describe('a message', () => {
  test('what Prisma returns is a payload', () => {
    void extended.$transaction(async (tx) => {
      const order = await tx.order.create({ data: { customer: 'Ada' } })
      await tx.outbox.enqueue({ topic: 'orders', key: order.id, payload: order })
      await tx.outbox.enqueue({ topic: 'orders', key: 1n, payload: [order] })
      await tx.outbox.enqueue({ topic: 'orders', key: new Uint8Array(1), payload: null })
      await tx.outbox.enqueue({ topic: 'orders', key: null, payload: Buffer.from('x'), headers: { a: 'b' } })
    })
  })

  test('what is no message does not compile', () => {
    void extended.$transaction(async (tx) => {
      // @ts-expect-error no topic
      void tx.outbox.enqueue({ payload: 1 })
      // @ts-expect-error no payload
      void tx.outbox.enqueue({ topic: 'a' })
      // @ts-expect-error undefined is no payload
      void tx.outbox.enqueue({ topic: 'a', payload: undefined })
      // @ts-expect-error JSON has no BigInt
      void tx.outbox.enqueue({ topic: 'a', payload: 1n })
      // @ts-expect-error a topic is a string
      void tx.outbox.enqueue({ topic: 7, payload: 1 })
      // @ts-expect-error a Date is no key
      void tx.outbox.enqueue({ topic: 'a', payload: 1, key: new Date() })
      // @ts-expect-error header values are strings
      void tx.outbox.enqueue({ topic: 'a', payload: 1, headers: { n: 1 } })
      // @ts-expect-error nothing obeys a partition
      void tx.outbox.enqueue({ topic: 'a', payload: 1, partition: 3 })
      // @ts-expect-error enqueueMany takes an array
      void tx.outbox.enqueueMany(message)
      // @ts-expect-error and enqueue takes one
      void tx.outbox.enqueue([message])
    })
  })

  test('an enqueue cannot stand in the array form', () => {
    // @ts-expect-error not a promise of Prisma's
    void extended.$transaction([extended.order.count(), extended.outbox.enqueue(message)])
  })
})

describe('withOutbox', () => {
  test('its transactions are taken where Prisma.TransactionClient is wanted', () => {
    void wrapped.$transaction(async (tx) => {
      expectTypeOf(tx).toExtend<Prisma.TransactionClient>()
      await helper(tx)
      expectTypeOf(tx.outbox.enqueue(message)).toEqualTypeOf<Promise<string>>()
    })
  })

  test('a helper that enqueues can name its type', () => {
    const announce = (tx: OutboxTransaction<Prisma.TransactionClient>) => tx.outbox.enqueue(message)
    void wrapped.$transaction(announce)
    void wrapped.$transaction((tx) => tx.$transaction(announce))
    // @ts-expect-error a client without the outbox
    void base.$transaction(announce)
  })

  test('the transactions of the plain extension are not: the reason for it', () => {
    void extended.$transaction(async (tx) => {
      // @ts-expect-error prisma #19949, #20326, #20738, #24966
      await helper(tx)
    })
  })

  test('the client itself cannot enqueue', () => {
    // @ts-expect-error only tx can
    void wrapped.outbox.enqueue(message)
  })

  test('a nested transaction has the methods too, and so has one with settings', () => {
    void wrapped.$transaction((tx) => tx.$transaction((inner) => inner.outbox.enqueue(message)), {
      isolationLevel: 'Serializable',
    })
    // @ts-expect-error no such level
    void wrapped.$transaction(async () => {}, { isolationLevel: 'Wild' })
  })

  test('answers keep their types, in both forms', () => {
    expectTypeOf(wrapped.$transaction(async (tx) => tx.order.count())).toEqualTypeOf<Promise<number>>()
    expectTypeOf(wrapped.$transaction([wrapped.order.count(), wrapped.order.findMany({ select: { id: true } })])).toEqualTypeOf<
      Promise<[number, { id: number }[]]>
    >()
    // @ts-expect-error not a promise of Prisma's
    void wrapped.$transaction([Promise.resolve(1)])
  })

  test('the client is taken where a PrismaClient is wanted', () => {
    expectTypeOf(wrapped).toExtend<PrismaClient>()
  })

  test('a model that is not in the schema does not compile', () => {
    // @ts-expect-error the schema has no such model
    void withOutbox(base, { model: 'nothing' }).$transaction
    void withOutbox(base, { model: 'outboxMessage' }).$transaction((tx) => tx.outboxMessage.enqueue(message))
  })

  test('it takes a client that is extended already', () => {
    const client = withOutbox(base.$extends({ model: { order: { shout: () => 'x' as const } } }))
    void client.$transaction(async (tx) => {
      expectTypeOf(tx.order.shout()).toEqualTypeOf<'x'>()
      expectTypeOf(tx.outbox.enqueue(message)).toEqualTypeOf<Promise<string>>()
    })
  })
})

describe('TransactionOf, the type of helpers', () => {
  const placed = async (tx: TransactionOf<typeof extended>) =>
    (await tx.order.count()) + (await tx.outbox.enqueue(message)).length
  const wrappedPlaced = async (tx: TransactionOf<typeof wrapped>) => {
    await helper(tx)
    return tx.outbox.enqueueMany([message])
  }

  test('fits the transactions of both forms, and their savepoints', () => {
    void extended.$transaction(placed)
    void extended.$transaction((tx) => tx.$transaction(placed))
    void wrapped.$transaction(wrappedPlaced)
    void wrapped.$transaction((tx) => tx.$transaction(wrappedPlaced))
  })

  test('fits a client that was extended before or afterwards', () => {
    const shouting = { model: { order: { shout: () => 'x' as const } } }
    const client = base.$extends(shouting).$extends(outbox())
    void client.$transaction((tx: TransactionOf<typeof client>) => tx.outbox.enqueue({ ...message, type: tx.order.shout() }))
    const later = base.$extends(outbox()).$extends(shouting)
    void later.$transaction((tx: TransactionOf<typeof later>) => tx.outbox.enqueue({ ...message, type: tx.order.shout() }))
  })

  test('refuses the client itself, and a client without the outbox', () => {
    // @ts-expect-error the callback's tx
    void base.$transaction(placed)
    // @ts-expect-error no tx
    void wrappedPlaced(base)
  })
})

describe('the function form', () => {
  test('takes the client of a transaction, extended or not', () => {
    void base.$transaction(async (tx) => {
      expectTypeOf(enqueue(tx, message)).toEqualTypeOf<Promise<string>>()
      expectTypeOf(enqueueMany(tx, [message])).toEqualTypeOf<Promise<string[]>>()
    })
    void extended.$transaction((tx) => enqueue(tx, message))
    void wrapped.$transaction((tx) => enqueue(tx, message))
    const inHelper = (tx: Prisma.TransactionClient) => enqueue(tx, message)
    void wrapped.$transaction(inHelper)
  })

  test('refuses the outer client, extended or not', () => {
    // @ts-expect-error outside of a transaction
    void enqueue(base, message)
    // @ts-expect-error outside of a transaction
    void enqueue(extended, message)
    // @ts-expect-error outside of a transaction
    void enqueue(wrapped, message)
    // @ts-expect-error outside of a transaction
    void enqueueMany(base, [message])
  })

  test('knows no option that only the extension can keep', () => {
    // @ts-expect-error the function cannot know when the transaction commits
    void base.$transaction((tx) => enqueue(tx, message, { wake: true }))
  })
})
