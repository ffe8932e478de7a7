import { createInbox } from '../../src/inbox/index.ts' // your application: from 'prisma-extension-outbox/inbox'
import { events } from './events.ts'
import type { Shop } from './shop.ts'

// The read model "my orders" (CQRS): the order service writes orders, this reads the events of order and shipping service and keeps a table
// in the shape that a page wants. It is a moment behind, and never wrong. Another shape: a new name, another table, and the topic from its
// beginning, since the topic keeps everything.

/** Keeps the read model up to date. */
export function createMyOrders(prisma: Shop) {
  return createInbox({
    prisma,
    consumer: 'my-orders',
    events,
    batch: 100,
    handlers: {
      async OrderPlaced(placed, tx) {
        const rows = placed.map(({ payload: { orderId, customer, quantity, sku, total }, createdAt }) => ({
          orderId,
          customer,
          text: `${quantity} × ${sku}`,
          total,
          placedAt: createdAt!,
        }))
        await tx.myOrder.createMany({ data: rows })
      },
      async OrderShipped(shipped, tx) {
        // Of one order the parcel comes after the order: both have its key. One statement for all of the batch.
        const ids = shipped.map(({ payload }) => payload.orderId)
        const parcels = shipped.map(({ payload }) => payload.parcel)
        await tx.$executeRaw`UPDATE my_orders SET parcel = s.parcel FROM unnest(${ids}::int[], ${parcels}::text[]) AS s (id, parcel)
          WHERE my_orders.order_id = s.id`
      },
    },
  })
}

/** What a customer sees, newest first. */
export function myOrders(prisma: Shop, customer: string) {
  return prisma.myOrder.findMany({ where: { customer }, orderBy: { orderId: 'desc' }, take: 20 })
}
