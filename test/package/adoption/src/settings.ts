// Everything that an application writes, under every setting of the compiler.
import { enqueue, isOutboxError, type OutboxTransaction, type TransactionOf } from 'prisma-extension-outbox'
import { createInbox, createProjection } from 'prisma-extension-outbox/inbox'
import { relayLog } from 'prisma-extension-outbox/ops'
import { createRelay } from 'prisma-extension-outbox/relay'
import { drain, expectEnqueued } from 'prisma-extension-outbox/testing'
import { base, prisma, typed, wrapped, wrappedTyped } from './db'

export { place8 } from './eight'

import { events } from './events'
import type { Prisma } from './generated/client'

export const announce = (tx: TransactionOf<typeof prisma>, id: number) =>
  tx.outbox.enqueue({ topic: 'orders', key: id, payload: { id } })
export const announceWrapped = (tx: OutboxTransaction<Prisma.TransactionClient>) =>
  tx.outbox.enqueue({ topic: 'a', key: 1, payload: null })
export const enqueued = () => [
  prisma.$transaction((tx) => announce(tx, 1)),
  wrapped.$transaction((tx) => announceWrapped(tx)),
  wrapped.$transaction((tx) => tx.outbox.enqueueMany([{ topic: 'orders', key: 1, payload: { a: 1 } }])),
  typed.$transaction((tx) => tx.outbox.enqueue({ type: 'OrderPlaced', payload: { id: 1, total: 2 } })),
  wrappedTyped.$transaction((tx) => tx.outbox.enqueue({ type: 'OrderShipped', payload: { id: 1 } })),
  base.$transaction((tx) => enqueue(tx, { topic: 'orders', key: 1, payload: { a: 1 } })),
  base.$transaction((tx) => enqueue(tx, { type: 'OrderShipped', payload: { id: 1 } }, { events })),
]
export const mail = createInbox({
  prisma,
  consumer: 'mail',
  events,
  handlers: {
    OrderPlaced: ({ payload }, tx) => tx.outbox.enqueue({ topic: 'mails', key: payload.id, payload: payload.channel.trim() }),
  },
})
export const bulk = createInbox({
  prisma,
  consumer: 'bulk',
  events,
  batch: 10,
  handlers: { OrderPlaced: (all) => all.map(({ payload }) => payload.total) },
})
export const view = createProjection({
  prisma,
  name: 'view',
  events,
  handlers: { OrderShipped: ({ payload }) => payload.id.toFixed() },
})
export const relay = () => createRelay({ databaseUrl: 'postgresql://host/shop', kafka: { brokers: ['127.0.0.1:9092'] } })
export const watch = () => relayLog(relay())
export const check = async () => {
  await expectEnqueued(prisma, { topic: 'orders' })
  const { records } = await drain({ databaseUrl: 'postgresql://host/shop' })
  return records[0]?.topic
}
export const codeOf = (error: unknown) => (isOutboxError(error) ? error.code : undefined)
// @ts-expect-error not a message
export const noMessage = () => prisma.$transaction((tx) => tx.outbox.enqueue({ topic: 1, payload: {} }))
// @ts-expect-error no such event
export const noEvent = () => typed.$transaction((tx) => tx.outbox.enqueue({ type: 'OrderLost', payload: {} }))
// @ts-expect-error not the payload of this event
export const wrongPayload = () => wrappedTyped.$transaction((tx) => tx.outbox.enqueue({ type: 'OrderShipped', payload: 'x' }))
// @ts-expect-error the outer client
export const outer = () => enqueue(prisma, { topic: 'a', payload: 1 })
