import postgres, { type PostgresClient } from '@prisma/orm-postgres/runtime'
import { describe, expectTypeOf, test } from 'vitest'
import {
  enqueue,
  enqueueMany,
  type OutboxMethods,
  type OutboxTransaction,
  type TransactionOf,
  withOutbox,
} from '../../src/prisma8.ts'
import { events } from '../events/catalog.ts'
import type { Contract } from './shop/contract.d.ts'

const base = postgres<Contract>({ contractJson: {}, url: '' })
const wrapped = withOutbox(base)
const typed = withOutbox(base, { events })

type Tx = TransactionOf<typeof base>
const message = { topic: 'a', payload: { n: 1 } }
const order = { orderId: 'o', total: { amount: 1, currency: 'EUR' } }

describe('the wrapped client', () => {
  test('is the client that it was', () => {
    expectTypeOf(wrapped).toExtend<PostgresClient<Contract>>()
    expectTypeOf(wrapped.orm).toEqualTypeOf<(typeof base)['orm']>()
    // @ts-expect-error only a transaction has the outbox
    void wrapped.outbox
  })

  test('gives the outbox to the callback, and passes its result on', () => {
    const placed = wrapped.transaction(async (tx) => {
      expectTypeOf(tx.outbox).toEqualTypeOf<OutboxMethods>()
      expectTypeOf(tx.outbox.enqueue(message)).toEqualTypeOf<Promise<string>>()
      expectTypeOf(tx.outbox.enqueueMany([message])).toEqualTypeOf<Promise<string[]>>()
      // @ts-expect-error the contract's types hold
      void tx.orm.public.Order.create({ customer: 1 })
      // @ts-expect-error no such field
      void tx.outbox.enqueue({ topic: 'a', payload: 1, keys: 'k' })
      return 7
    })
    expectTypeOf(placed).toEqualTypeOf<Promise<number>>()
  })

  test('what Prisma returns is a payload', () => {
    void wrapped.transaction(async (tx) => {
      const created = await tx.orm.public.Order.create({ customer: 'Ada' })
      await tx.outbox.enqueue({ topic: 'orders', key: created.id, payload: created })
    })
  })

  test('helpers take its transaction, and those of Prisma take it too', () => {
    const own = (tx: TransactionOf<typeof wrapped>) => tx.outbox.enqueue(message)
    const named = (tx: OutboxTransaction<Tx>) => tx.outbox.enqueue(message)
    const prismas = (tx: Tx) => enqueue(tx, message)
    void wrapped.transaction((tx) => Promise.all([own(tx), named(tx), prismas(tx), enqueueMany(tx, [message])]))
  })

  test('options of the wrong type do not compile', () => {
    // @ts-expect-error not a number
    withOutbox(base, { maxBytes: '1' })
    // @ts-expect-error there is no model
    withOutbox(base, { model: 'outbox' })
    // @ts-expect-error no client
    withOutbox({})
  })
})

test('with a catalog it takes its events, and nothing else', () => {
  const helper = (tx: OutboxTransaction<Tx, typeof events>) => tx.outbox.enqueue({ type: 'OrderPlaced', payload: order })
  void typed.transaction(async (tx) => {
    await helper(tx)
    await tx.outbox.enqueueMany([{ type: 'OrderPlaced', payload: order }])
    // @ts-expect-error no such event
    void tx.outbox.enqueue({ type: 'OrderLost', payload: order })
    // @ts-expect-error the payload of another event
    void tx.outbox.enqueue({ type: 'StockCounted', payload: order })
    // @ts-expect-error no event of the catalog
    void tx.outbox.enqueue(message)
    await enqueue(tx, { type: 'OrderPlaced', payload: order }, { events })
    // @ts-expect-error the payload of another event
    void enqueue(tx, { type: 'StockCounted', payload: order }, { events })
  })
})
