import { expectTypeOf, test } from 'vitest'
import { enqueue, outbox, withOutbox } from '../../src/index.ts'
import { type Prisma, PrismaClient } from '../support/prisma6/generated/client/client.ts'

const base = new PrismaClient({ adapter: null as never })
const extended = base.$extends(outbox())
const wrapped = withOutbox(base)
const message = { topic: 'a', payload: { n: 1 } }

test('Prisma 6: the extension types tx', () => {
  void extended.$transaction(async (tx) => {
    expectTypeOf(tx.outbox.enqueue(message)).toEqualTypeOf<Promise<string>>()
    // @ts-expect-error no payload
    void tx.outbox.enqueue({ topic: 'a' })
  })
  // @ts-expect-error the schema has no such model
  base.$extends(outbox({ model: 'nothing' }))
})

test('Prisma 6: withOutbox keeps Prisma.TransactionClient', () => {
  void wrapped.$transaction(async (tx) => {
    expectTypeOf(tx).toExtend<Prisma.TransactionClient>()
    expectTypeOf(tx.outbox.enqueue(message)).toEqualTypeOf<Promise<string>>()
    // @ts-expect-error savepoints came with 7.5
    void tx.$transaction
  })
  expectTypeOf(wrapped.$transaction([wrapped.order.count()])).toEqualTypeOf<Promise<[number]>>()
  expectTypeOf(wrapped).toExtend<PrismaClient>()
  // @ts-expect-error only tx can
  void wrapped.outbox.enqueue(message)
})

test('Prisma 6: the function form refuses the outer client', () => {
  void base.$transaction((tx) => enqueue(tx, message))
  // @ts-expect-error outside of a transaction
  void enqueue(base, message)
  // @ts-expect-error outside of a transaction
  void enqueue(extended, message)
})
