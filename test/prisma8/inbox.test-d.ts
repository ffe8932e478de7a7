import postgres from '@prisma/orm-postgres/runtime'
import { describe, expectTypeOf, test } from 'vitest'
import { createInbox, createProjection, inbox, type TransactionOf } from '../../src/inbox/index.ts'
import { type OutboxTransaction, withOutbox } from '../../src/prisma8.ts'
import { events } from '../events/catalog.ts'
import type { Contract } from './shop/contract.d.ts'

const base = postgres<Contract>({ contractJson: {}, url: '' })
const db = withOutbox(base, { events })
type Tx = TransactionOf<typeof base>

const announced = { type: 'StockCounted', payload: { sku: 'a', left: 1 } } as const
const once = { consumer: 'c', id: 'i' }

describe('what a handler gets as tx', () => {
  test('is the transaction of the wrapped client, with its models, the outbox and its catalog', () => {
    createInbox({
      prisma: db,
      consumer: 'c',
      events,
      handlers: {
        async OrderPlaced({ payload }, tx) {
          expectTypeOf(payload.total.amount).toEqualTypeOf<number>()
          const created = await tx.orm.public.Order.create({ customer: payload.orderId })
          expectTypeOf(created.customer).toEqualTypeOf<string>()
          expectTypeOf(tx.outbox.enqueue(announced)).toEqualTypeOf<Promise<string>>()
          // @ts-expect-error no such event
          void tx.outbox.enqueue({ type: 'OrderLost', payload: {} })
          // @ts-expect-error the contract's types hold
          void tx.orm.public.Order.create({ customer: 1 })
        },
      },
    })
  })

  test('also where it takes a batch, and in a projection', () => {
    createInbox({
      prisma: db,
      consumer: 'c',
      events,
      batch: 10,
      handlers: { OrderPlaced: (placed, tx) => tx.outbox.enqueueMany(placed.map(() => announced)) },
    })
    createProjection({ prisma: db, name: 'p', events, handlers: { OrderPlaced: (_, tx) => tx.outbox.enqueue(announced) } })
  })

  test('has no outbox where the client has none', () => {
    createInbox({
      prisma: base,
      consumer: 'c',
      events,
      handlers: {
        OrderPlaced: (_, tx) => {
          expectTypeOf(tx).toEqualTypeOf<Tx>()
        },
      },
    })
  })

  test('has a name, for helpers', () => {
    expectTypeOf<TransactionOf<typeof db>>().toExtend<OutboxTransaction<Tx, typeof events>>()
  })
})

test('inbox.once takes the transaction and gives what was done; the client is none', () => {
  void db.transaction(async (tx) => {
    const done = await inbox.once(tx, once, () => tx.orm.public.Order.create({ customer: 'Ada' }))
    if (done.first) expectTypeOf(done.result.customer).toEqualTypeOf<string>()
  })
  // @ts-expect-error not a transaction
  void inbox.once(db, once, () => {})
  void inbox.prune(db, { consumer: 'c' })
})
