import { isOutboxError, OutboxError } from 'prisma-extension-outbox'
import { drain, expectEnqueued } from 'prisma-extension-outbox/testing'
import { base, prisma } from '../src/db'
import { place } from '../src/place'

afterAll(() => base.$disconnect())

test('an order is placed with its message, which a relay publishes', async () => {
  const order = await place(1990)
  await expectEnqueued(prisma, { topic: 'orders', key: order.id, payload: { total: 1990 } })
  const { endedBy, records } = await drain({ databaseUrl: process.env.DATABASE_URL ?? '' })
  expect(endedBy).toBe('empty')
  expect(records.map(({ payload }) => payload)).toContainEqual({ id: order.id, total: 1990 })
})

test('a refusal is an OutboxError', async () => {
  const refused = async () => prisma.outbox.enqueue({ topic: 'orders', payload: 1 })
  const error = await refused().catch((caught: unknown) => caught)
  expect(isOutboxError(error, 'OUTBOX_OUTSIDE_TRANSACTION')).toBe(true)
  expect(error instanceof OutboxError).toBe(true)
})
