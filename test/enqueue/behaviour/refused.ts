import { AsyncLocalStorage } from 'node:async_hooks'
import { describe, expect, test } from 'vitest'
import { withOutbox } from '../../../src/index.ts'
import { maxHeaders } from '../../../src/message/headers.ts'
import { refusal } from '../../message/refusal.ts'
import { message, rejection, type Shop } from './shop.ts'

/** What is refused at the call, with the rule of a transaction and without. */
export function describeRefused(shop: Shop): void {
  const { customers, topics } = shop
  describe('refused at the call', () => {
    test('outside of a transaction', () => {
      expect(refusal(() => shop.prisma.outbox.enqueue(message('a')))).toEqual({
        code: 'OUTBOX_OUTSIDE_TRANSACTION',
        field: undefined,
      })
      expect(refusal(() => shop.prisma.outbox.enqueueMany([])).code).toBe('OUTBOX_OUTSIDE_TRANSACTION')
    })

    test('the outer client by the function form, whatever the compiler was told', () => {
      expect(refusal(() => shop.enqueue(shop.base as never, message('a'))).code).toBe('OUTBOX_OUTSIDE_TRANSACTION')
    })

    test('the outer client inside a transaction, which cannot commit then', async () => {
      let code: unknown
      const failing = shop.prisma.$transaction(async (tx) => {
        await tx.order.create({ data: { customer: 'Ada' } })
        code = refusal(() => shop.prisma.outbox.enqueue(message('a'))).code
      })
      expect((await rejection(failing)).code).toBe('OUTBOX_TRANSACTION_DOOMED')
      expect(code).toBe('OUTBOX_OUTER_CLIENT')
      expect([await customers(), await topics()]).toEqual([[], []])
    })

    test.runIf(shop.has('arrayForm'))('the array form', () => {
      const act = () =>
        shop.prisma.$transaction([
          shop.prisma.order.create({ data: { customer: 'Ada' } }),
          shop.prisma.outbox.enqueue(message('a')) as never,
        ])
      expect(refusal(act).code).toBe('OUTBOX_OUTSIDE_TRANSACTION')
    })

    test.runIf(shop.has('arrayForm'))('an enqueue of a transaction in the array form of another', async () => {
      let code: unknown
      const failing = shop.prisma.$transaction(async (tx) => {
        const enqueued = tx.outbox.enqueue(message('a'))
        code = refusal(() => shop.prisma.$transaction([enqueued as never])).code
      })
      expect((await rejection(failing)).code).toBe('OUTBOX_TRANSACTION_DOOMED')
      expect(code).toBe('OUTBOX_ARRAY_FORM')
      expect(await topics()).toEqual([])
    })

    test('a transaction that is over', async () => {
      const leaked = await shop.prisma.$transaction(async (tx) => {
        await tx.outbox.enqueue(message('a'))
        return { tx, later: AsyncLocalStorage.snapshot() }
      })
      const late = () => refusal(() => leaked.tx.outbox.enqueue(message('b'))).code
      expect(leaked.later(late)).toBe('OUTBOX_OUTSIDE_TRANSACTION')
      expect(await topics()).toEqual(['a'])
    })

    test('a message in an array is named by its place', async () => {
      const failing = shop.prisma.$transaction(async (tx) =>
        tx.outbox.enqueueMany([message('a'), { topic: 'b', payload: [1n] as never }]),
      )
      await expect(failing).rejects.toMatchObject({ code: 'OUTBOX_INVALID_PAYLOAD', field: 'messages[1].payload[0]' })
      expect(await topics()).toEqual([])
    })

    const headersOf = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, n) => [`h${n}`, 'v']))
    const many = (count: number) => ({ ...message('a'), headers: headersOf(count) })
    const forms: Record<string, (count: number) => Promise<unknown>> = {
      'the client': (count) => shop.prisma.$transaction((tx) => tx.outbox.enqueue(many(count))),
      'the function': (count) => shop.prisma.$transaction(async (tx) => shop.enqueue(tx, many(count))),
      ...(shop.has('extensions') && {
        'withOutbox()': (count) => withOutbox(shop.base).$transaction((tx) => tx.outbox.enqueue(many(count))),
        'the function alone': (count) => shop.base.$transaction((tx) => shop.enqueue(tx, many(count))),
      }),
    }
    test.each(Object.entries(forms))('more than 100 headers, by %s; 100 are enqueued', async (_, form) => {
      expect(maxHeaders).toBe(100)
      await expect(form(101)).rejects.toMatchObject({ code: 'OUTBOX_INVALID_HEADER', field: 'headers' })
      expect(await topics()).toEqual([])
      await form(100)
      expect(await topics()).toEqual(['a'])
    })

    test('messages that are no array', async () => {
      const failing = shop.prisma.$transaction(async (tx) => tx.outbox.enqueueMany(message('a') as never))
      await expect(failing).rejects.toMatchObject({ code: 'OUTBOX_INVALID_MESSAGE', field: 'messages' })
    })
  })

  describe('without the rule of a transaction', () => {
    const loose = () => shop.boxed({ requireTransaction: false })

    test('an enqueue outside of one is its own', async () => {
      expect(await loose().outbox.enqueue(message('a'))).toMatch(/^[0-9a-f-]{36}$/)
      expect(await topics()).toEqual(['a'])
    })

    test('the outer client inside a transaction stays refused', async () => {
      const client = loose()
      const failing = client.$transaction(async () => client.outbox.enqueue(message('a')))
      await expect(failing).rejects.toMatchObject({ code: 'OUTBOX_OUTER_CLIENT' })
    })

    test.runIf(shop.has('arrayForm'))('the array form stays refused, and nothing of it is sent', async () => {
      const client = loose()
      const enqueued = client.outbox.enqueue(message('a'))
      const refused = rejection(enqueued)
      expect(refusal(() => client.$transaction([enqueued as never])).code).toBe('OUTBOX_ARRAY_FORM')
      expect((await refused).code).toBe('OUTBOX_TRANSACTION_DOOMED')
      expect(await topics()).toEqual([])
    })
  })
}
