import { defineEvents, event } from 'prisma-extension-outbox'
import { z } from 'zod'

export const events = defineEvents({
  OrderPlaced: event({
    topic: 'orders',
    key: (order) => order.id,
    schema: z.object({ id: z.number(), total: z.number(), channel: z.string().default('web') }),
  }),
  OrderShipped: event({ topic: 'orders', key: (order) => order.id, schema: z.object({ id: z.number() }) }),
})
