import { createInbox } from '../../src/inbox/index.ts' // your application: from 'prisma-extension-outbox/inbox'
import { events } from './events.ts'
import type { Shop, ShopTransaction } from './shop.ts'

// The shipping service: hears of an order, and answers with an event of its own. The row of the inbox, the parcel and the answer in its own
// outbox commit together: each order is shipped once and answered once, without Kafka's transactions.

/** The shipping service. `prisma` has the outbox of the service's own database, with a relay of its own. */
export function createShipping(prisma: Shop, consumer = 'shipping') {
  return createInbox({
    prisma,
    consumer,
    events,
    batch: 100,
    deadLetter: { after: 10 },
    handlers: {
      OrderPlaced: (placed, tx) =>
        ship(
          placed.map(({ payload }) => payload.orderId),
          tx,
        ),
    },
  })
}

/** A parcel for each of these orders, and the answer that it was sent. */
export async function ship(orders: readonly number[], tx: ShopTransaction): Promise<void> {
  const parcels = orders.map((orderId) => ({ orderId, number: `P-${orderId}` }))
  await tx.parcel.createMany({ data: parcels })
  await tx.outbox.enqueueMany(
    parcels.map(({ orderId, number }) => ({ type: 'OrderShipped', payload: { orderId, parcel: number } })),
  )
}
