import { defineEvents, event } from '../../../src/index.ts' // your application: from 'prisma-extension-outbox'
import { events as later, placed, topic } from '../events.ts'

/** The catalog as it was before the channel: what a service knows that has not been deployed since. */
export const events = defineEvents({
  OrderPlaced: event({ topic, key: ({ orderId }) => orderId, schema: placed }),
  OrderShipped: later.events.OrderShipped,
})
