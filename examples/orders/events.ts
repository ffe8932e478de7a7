import { z } from 'zod'
import { defineEvents, event } from '../../src/index.ts' // your application: from 'prisma-extension-outbox'

// The events of the shop: what its services tell each other. One topic holds the whole story of an order, in its order, since every
// event has the order's id as its key.

/** Kafka topic of all events. */
export const topic = process.env.ORDERS_TOPIC ?? 'orders'

/** Version 1 of OrderPlaced. */
export const placed = z.object({
  orderId: z.int(),
  customer: z.email(),
  sku: z.string(),
  quantity: z.int(),
  /** In cents. */
  total: z.int(),
})

/** Where orders come from. */
export const channel = z.enum(['web', 'phone'])

/** The catalog. Version 2 of OrderPlaced has come later: `before/` has what the shop was until then, and both run side by side. */
export const events = defineEvents({
  OrderPlaced: event({ topic, key: ({ orderId }) => orderId, schema: placed }).evolve({
    schema: placed.extend({ channel }),
    // There was only the web then.
    up: (old) => ({ ...old, channel: 'web' }),
  }),
  OrderShipped: event({
    topic,
    key: ({ orderId }) => orderId,
    schema: z.object({ orderId: z.int(), parcel: z.string() }),
  }),
})
