import { AsyncLocalStorage } from 'node:async_hooks'
import { describe, expect, test } from 'vitest'
import { outbox } from '../../../src/index.ts'
import { refusal } from '../../message/refusal.ts'
import { message, poison, rejection, type Shop } from './shop.ts'

/** Transactions within transactions. */
export function describeNested(shop: Shop): void {
  const { customers, statements, topics } = shop
  describe.runIf(shop.has('nested'))('nested transactions', () => {
    test('what is enqueued in a savepoint that rolls back is gone, also if nobody awaited it', async () => {
      await shop.prisma.$transaction(async (tx) => {
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
      await shop.prisma.$transaction(async (tx) => {
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
      await shop.prisma.$transaction(async (tx) => {
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
      await shop.prisma.$transaction(async (tx) => {
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
      const failing = shop.prisma.$transaction(async (tx) => {
        await tx.$transaction(async () => {
          code = refusal(() => tx.outbox.enqueue(message('a'))).code
        })
      })
      expect((await rejection(failing)).code).toBe('OUTBOX_TRANSACTION_DOOMED')
      expect(code).toBe('OUTBOX_OUTER_CLIENT')
    })

    test('a straggler of a released savepoint fails the transaction; of one that rolled back it does not', async () => {
      const straggle = (fail: boolean) =>
        shop.prisma.$transaction(async (tx) => {
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
      const client = shop.base.$extends(outbox())
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
