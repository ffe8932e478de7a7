import { createProjection } from '../../src/inbox/index.ts' // your application: from 'prisma-extension-outbox/inbox'
import { events } from './events.ts'
import type { Shop } from './shop.ts'

// The read model "my orders" (CQRS): the order service writes orders, this reads the events of order and shipping service and keeps a table
// in the shape that a page wants. It is a moment behind, and never wrong. Another shape: a new name, another table, and the topic from its
// beginning, since the topic keeps everything. A projection's handlers are upserts: Kafka may hold a message twice.

/** Keeps the read model up to date; its place in the topic is stored in the transaction that changes it. */
export function createMyOrders(prisma: Shop, name = 'my_orders') {
  return createProjection({
    prisma,
    name,
    events,
    handlers: {
      OrderPlaced({ payload: { orderId, customer, quantity, sku, total }, createdAt }, tx) {
        const row = { customer, text: `${quantity} × ${sku}`, total, placedAt: createdAt! }
        return tx.myOrder.upsert({ where: { orderId }, create: { orderId, ...row }, update: row })
      },
      // Of one order the parcel comes after the order: both have its key.
      OrderShipped: ({ payload: { orderId, parcel } }, tx) => tx.myOrder.update({ where: { orderId }, data: { parcel } }),
    },
  })
}

/** What a customer sees, newest first. */
export function myOrders(prisma: Shop, customer: string) {
  return prisma.myOrder.findMany({ where: { customer }, orderBy: { orderId: 'desc' }, take: 20 })
}
