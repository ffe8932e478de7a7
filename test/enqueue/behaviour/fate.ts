import { describe, expect, test } from 'vitest'
import { isOutboxError } from '../../../src/message/errors.ts'
import { refusal } from '../../message/refusal.ts'
import { message, poison, rejection, type Shop } from './shop.ts'

/** In which order messages are written, and that they share the fate of their transaction. */
export function describeFate(shop: Shop): void {
  const { customers, topics } = shop
  describe('order and fate', () => {
    test('enqueues that nobody awaits are written before the commit, in the order of the calls', async () => {
      const called = Array.from({ length: 50 }, (_, i) => `t${i}`)
      await shop.prisma.$transaction(async (tx) => {
        for (const topic of called) void tx.outbox.enqueue(message(topic))
      })
      expect(await topics()).toEqual(called)
    })

    test('one that is called while the transaction waits for others is waited for too', async () => {
      await shop.prisma.$transaction(async (tx) => {
        void tx.outbox.enqueue(message('a')).then(() => void tx.outbox.enqueue(message('b')))
      })
      expect(await topics()).toEqual(['a', 'b'])
    })

    test('both forms of a transaction keep one order', async () => {
      await shop.prisma.$transaction(async (tx) => {
        void tx.outbox.enqueue(message('a'))
        void shop.enqueue(tx, message('b'))
        void tx.outbox.enqueueMany([message('c'), message('d')])
        await shop.enqueueMany(tx, [message('e')])
      })
      expect(await topics()).toEqual(['a', 'b', 'c', 'd', 'e'])
    })

    test('the message is what it was at the call', async () => {
      await shop.prisma.$transaction(async (tx) => {
        const payload = { n: 1 }
        void tx.outbox.enqueue({ topic: 'a', payload })
        payload.n = 2
      })
      expect((await shop.db.query<{ value: Buffer }>('SELECT value FROM outbox'))[0]!.value.toString()).toBe('{"n":1}')
    })

    test('one that fails and is not awaited fails its transaction', async () => {
      const failing = shop.prisma.$transaction(async (tx) => {
        await tx.order.create({ data: { customer: 'Ada' } })
        void tx.outbox.enqueue(poison)
      })
      const { code, cause } = await rejection(failing)
      expect(code).toBe('OUTBOX_TRANSACTION_DOOMED')
      expect(String(cause)).toContain('no_poison')
      expect([await customers(), await topics()]).toEqual([[], []])
    })

    test('one that fails fails its transaction even if the error is caught', async () => {
      const failing = shop.prisma.$transaction(async (tx) => {
        await tx.order.create({ data: { customer: 'Ada' } })
        await tx.outbox.enqueue(poison).catch(() => {})
      })
      expect((await rejection(failing)).code).toBe('OUTBOX_TRANSACTION_DOOMED')
      expect(await customers()).toEqual([])
    })

    test('a refusal that is caught fails its transaction as well, and nothing more is enqueued there', async () => {
      let second: unknown
      const failing = shop.prisma.$transaction(async (tx) => {
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
      const failing = shop.prisma.$transaction((tx) => tx.outbox.enqueue(poison))
      await expect(failing).rejects.toThrow('no_poison')
    })

    test('an error of the application is passed on as it is', async () => {
      const error = new Error('mine')
      const failing = shop.prisma.$transaction(async (tx) => {
        void tx.outbox.enqueue(poison)
        throw error
      })
      await expect(failing).rejects.toBe(error)
    })

    test('parallel transactions do not share a fate', async () => {
      const one = async (i: number) =>
        shop.prisma.$transaction(async (tx) => {
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
      const outcome = await shop.prisma
        .$transaction(async (a) => {
          await a.order.create({ data: { customer: 'a' } })
          // In the asynchronous context of B, and caught by B: still A's message, and A's failure.
          await shop.prisma.$transaction(async (b) => {
            await b.order.create({ data: { customer: 'b' } })
            void a.outbox.enqueue(poison)
          })
        })
        .catch((error: unknown) => error)
      expect(isOutboxError(outcome, 'OUTBOX_TRANSACTION_DOOMED')).toBe(true)
      expect(await customers()).toEqual(['b'])
    })
  })
}
