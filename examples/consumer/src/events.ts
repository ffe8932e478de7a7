import { defineEvents, event } from 'prisma-extension-outbox'
import { z } from 'zod'

export const events = defineEvents({
  OrderPlaced: event({
    topic: 'orders',
    key: (order) => order.orderId,
    schema: z.object({ orderId: z.string(), customer: z.string(), total: z.number() }),
  }),
  LetterWritten: event({
    topic: 'letters',
    key: (letter) => letter.orderId,
    schema: z.object({ orderId: z.string() }),
  }),
})
