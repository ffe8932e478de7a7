import { randomUUID } from 'node:crypto'
import type { Message } from 'kafkajs'
import { createInbox, type Inbox, inbox, type ReadRecord, readEvent } from '../src/inbox/index.ts'
import { connect, effect, eventsOf, record } from '../test/inbox/stage.ts'

/** A handler, and the ways to have it called for each message of a topic. */
export interface Measured {
  name: string
  /** Record `n` of the topic. */
  record(n: number): Message
  /** What a loop without the inbox does with a record: it reads the event and runs the handler in a transaction. */
  plain(record: ReadRecord): Promise<void>
  /** The same with `inbox.once` by hand: the least that knows a copy again. */
  once(record: ReadRecord, consumer: string): Promise<void>
  /** With createInbox, a transaction for each message. */
  single(consumer: string): Inbox
  /** With createInbox, a transaction for up to 100 messages. */
  batches(consumer: string): Inbox
  close(): Promise<void>
}

/** The least that a handler can do: one row, by one statement. What is added weighs most here. */
export function oneStatement(databaseUrl: string, topic: string): Measured {
  const prisma = connect(databaseUrl)
  const events = eventsOf(topic)
  type Transaction = Parameters<Parameters<typeof prisma.$transaction>[0]>[0]
  const write = (event: { id: string; payload: { name: string; n: number } }, tx: Transaction) => effect(tx, 'bench', event)
  return {
    name: 'one statement',
    record: (n) => record(`key-${n % 100}`, n),
    async plain(record) {
      const event = await readEvent(events, record)
      if (event) await prisma.$transaction((tx) => write(event, tx))
    },
    async once(record, consumer) {
      const event = await readEvent(events, record)
      if (event) await prisma.$transaction((tx) => inbox.once(tx, { consumer, id: event.id }, () => write(event, tx)))
    },
    single: (consumer) => createInbox({ prisma, consumer, events, handlers: { Counted: write } }),
    batches: (consumer) =>
      createInbox({
        prisma,
        consumer,
        events,
        batch: 100,
        handlers: {
          async Counted(counted, tx) {
            for (const event of counted) await write(event, tx)
          },
        },
      }),
    close: () => prisma.$disconnect(),
  }
}

/** The shipping service of the example: a parcel, and a message in the outbox of its own. */
export async function shipping(databaseUrl: string, topic: string): Promise<Measured> {
  // The shop reads the name of its topic when it is loaded.
  process.env.ORDERS_TOPIC = topic
  const { connectShop } = await import('../examples/orders/shop.ts')
  const { events } = await import('../examples/orders/events.ts')
  const { createShipping, ship } = await import('../examples/orders/shipping.ts')
  const prisma = connectShop(databaseUrl)
  return {
    name: 'shipping of the shop',
    record(n) {
      const order = { orderId: n, customer: 'ada@example.com', sku: 'tea', quantity: 1, total: 490, channel: 'web' }
      const headers = { id: randomUUID(), type: 'OrderPlaced', version: '2', 'content-type': 'application/json' }
      return { key: String(n), value: JSON.stringify(order), headers }
    },
    async plain(record) {
      const event = await readEvent(events, record)
      if (event?.type === 'OrderPlaced') await prisma.$transaction((tx) => ship([event.payload.orderId], tx))
    },
    async once(record, consumer) {
      const event = await readEvent(events, record)
      if (event?.type !== 'OrderPlaced') return
      await prisma.$transaction((tx) => inbox.once(tx, { consumer, id: event.id }, () => ship([event.payload.orderId], tx)))
    },
    single: (consumer) =>
      createInbox({
        prisma,
        consumer,
        events,
        handlers: { OrderPlaced: ({ payload }, tx) => ship([payload.orderId], tx) },
      }),
    // Under a name of its own: under the service's, the second round would find nothing left to apply.
    batches: (consumer) => createShipping(prisma, consumer),
    close: () => prisma.$disconnect(),
  }
}
