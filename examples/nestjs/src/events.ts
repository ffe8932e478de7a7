import { defineEvents, event } from 'prisma-extension-outbox'
import { z } from 'zod'

export const events = defineEvents({
  'order.placed': event({
    topic: 'orders',
    key: (order) => order.orderId,
    schema: z.object({ orderId: z.number(), customer: z.string(), total: z.number() }),
  }),
})

export type Events = (typeof events)['events']
