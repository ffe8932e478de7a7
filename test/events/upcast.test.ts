import fc from 'fast-check'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { upcast } from '../../src/events/upcast.ts'
import { defineEvents, event } from '../../src/index.ts'
import { checkWire } from '../../src/testing/index.ts'
import { events, OrderPlaced } from './catalog.ts'

const newest = { orderId: 'o', total: { amount: 5, currency: 'EUR' }, channel: 'web' }

test.each([
  [1, { orderId: 'o', total: 5 }],
  [2, { orderId: 'o', total: { amount: 5, currency: 'EUR' } }],
  [3, { orderId: 'o', total: { amount: 5, currency: 'EUR' }, channel: 'web' }],
  [4, { orderId: 'o', total: { amount: 5, currency: 'EUR' }, channel: 'web', coupon: 'new' }],
])('a payload of version %i is read as the newest one that is known', async (version, payload) => {
  expect(await upcast(OrderPlaced, { type: 'OrderPlaced', version, payload })).toEqual(newest)
})

test.each([
  [1, { orderId: 'o', total: 'five' }, 'payload.total does not fit version 1 of OrderPlaced'],
  [2, { orderId: 'o', total: 5 }, 'payload.total does not fit version 2 of OrderPlaced'],
  [4, { orderId: 7 }, 'payload.orderId does not fit version 3 of OrderPlaced'],
])('a payload of version %i that its schema refuses is told with that version', async (version, payload, message) => {
  await expect(upcast(OrderPlaced, { type: 'OrderPlaced', version, payload })).rejects.toThrow(message)
})

test('every payload of every version is read: generated', async () => {
  const money = fc.record({ amount: fc.double({ noNaN: true, noDefaultInfinity: true }), currency: fc.string() })
  const first = fc.record({ orderId: fc.string(), total: fc.double({ noNaN: true, noDefaultInfinity: true }) })
  const second = fc.record({ orderId: fc.string(), total: money })
  const written = fc.oneof(
    first.map((payload) => ({ version: 1, payload })),
    second.map((payload) => ({ version: 2, payload })),
  )
  await fc.assert(
    fc.asyncProperty(written, async ({ version, payload }) => {
      const read = (await upcast(OrderPlaced, { type: 'OrderPlaced', version, payload })) as typeof newest
      const amount = typeof payload.total === 'number' ? payload.total : payload.total.amount
      expect([read.orderId, read.total.amount, read.channel]).toEqual([payload.orderId, amount, 'web'])
    }),
  )
})

test('checkWire passes what a consumer gets as the producer had it', async () => {
  await checkWire(events, {
    OrderPlaced: [{ orderId: 'o', total: newest.total }],
    StockCounted: [{ sku: 'a', left: 0 }],
    SlowlyChecked: [{ key: 'k', waitMs: 0, ok: true }],
  })
})

test('checkWire finds what the compiler cannot see, with its place', async () => {
  const Counted = event({ topic: 't', schema: z.object({ list: z.array(z.object({ n: z.number().transform((n) => n + 1) })) }) })
  const Once = event({
    topic: 't',
    schema: z
      .string()
      .max(3)
      .transform((text) => `${text}${text}`),
  })
  const wrong = defineEvents({ Counted, Once })
  await expect(checkWire(wrong, { Counted: [{ list: [] }, { list: [{ n: 1 }] }] })).rejects.toMatchObject({
    code: 'OUTBOX_INVALID_PAYLOAD',
    field: 'samples.Counted[1].list[0].n',
  })
  await expect(checkWire(wrong, { Once: ['ab'] })).rejects.toThrow('payload does not fit version 1 of Once')
  await expect(checkWire(wrong, { Nothing: [1] } as never)).rejects.toMatchObject({ code: 'OUTBOX_UNKNOWN_EVENT' })
})
