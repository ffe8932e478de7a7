import { createInbox } from '../../src/inbox/index.ts' // your application: from 'prisma-extension-outbox/inbox'
import { events } from './before/events.ts'
import type { Shop } from './shop.ts'

// The mail service: a consumer that writes each confirmation once, however often Kafka holds the message. The row of the inbox commits with
// the letter. It still has the catalog of before the channel: messages of version 2 fit, so nobody had to deploy it.

/** The mail service; `prisma` is its own client, of its own database if you like. */
export function createMail(prisma: Shop) {
  return createInbox({
    prisma,
    consumer: 'mail',
    events,
    batch: 100, // one transaction for up to 100 confirmations
    deadLetter: { after: 10 },
    handlers: {
      async OrderPlaced(placed, tx) {
        const letters = placed.map(({ payload: { orderId, customer, quantity, sku } }) => ({
          orderId,
          customer,
          text: `Thank you for your order ${orderId}, ${quantity} × ${sku}.`,
        }))
        // A mail cannot be rolled back. Another process sends what stands in the table, with its id as the idempotency key.
        await tx.letter.createMany({ data: letters })
      },
    },
  })
}
