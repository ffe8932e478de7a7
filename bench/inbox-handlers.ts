import type { Message } from 'kafkajs'
import { channel, placed } from '../examples/orders/events.ts'
import { ship } from '../examples/orders/shipping.ts'
import { connectShop } from '../examples/orders/shop.ts'
import { createInbox, type Inbox, inbox, type ReadRecord, readEvent } from '../src/inbox/index.ts'
import { defineEvents, event } from '../src/index.ts'
import { uuidv7 } from '../src/message/id.ts'
import { connect, effect, eventsOf, record } from '../test/inbox/stage.ts'

/** A handler, and the ways to have it called for each message of a topic. The consumer is called as it likes. */
export interface Measured {
  /** Record `n` of the topic, as the relay writes it. */
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

/** The least that a handler can do: one row for each message, by one statement. What is added weighs most here. */
export function oneStatement(databaseUrl: string, topic: string): Measured {
  const prisma = connect(databaseUrl)
  const events = eventsOf(topic)
  type Transaction = Parameters<Parameters<typeof prisma.$transaction>[0]>[0]
  type Counted = { id: string; payload: { name: string; n: number } }
  const write = (event: Counted, tx: Transaction) => effect(tx, 'bench', event)
  const writeAll = (all: readonly Counted[], tx: Transaction) => {
    const columns = [all.map(({ id }) => id), all.map(({ payload }) => payload.name), all.map(({ payload }) => payload.n)]
    return tx.$executeRaw`INSERT INTO effects (consumer, message_id, name, n)
      SELECT 'bench', * FROM unnest(${columns[0]}::uuid[], ${columns[1]}::text[], ${columns[2]}::int[])`
  }
  return {
    record: (n) => record(`key-${n % 100}`, n, { id: uuidv7() }),
    async plain(record) {
      const event = await readEvent(events, record)
      if (event) await prisma.$transaction((tx) => write(event, tx))
    },
    async once(record, consumer) {
      const event = await readEvent(events, record)
      if (event) await prisma.$transaction((tx) => inbox.once(tx, { consumer, id: event.id }, () => write(event, tx)))
    },
    single: (consumer) => createInbox({ prisma, consumer, events, handlers: { Counted: write } }),
    batches: (consumer) => createInbox({ prisma, consumer, events, batch: 100, handlers: { Counted: writeAll } }),
    close: () => prisma.$disconnect(),
  }
}

/** The shipping service of the example: a parcel, and a message in the outbox of its own. */
export function shipping(databaseUrl: string, topic: string): Measured {
  const prisma = connectShop(databaseUrl)
  // The shop's catalog has one topic.
  const key = ({ orderId }: { orderId: number }) => orderId
  const events = defineEvents({
    OrderPlaced: event({ topic, key, schema: placed }).evolve({
      schema: placed.extend({ channel }),
      up: (old) => ({ ...old, channel: 'web' }),
    }),
  })
  return {
    record(n) {
      const order = { orderId: n, customer: 'ada@example.com', sku: 'tea', quantity: 1, total: 490, channel: 'web' }
      const headers = { id: uuidv7(), type: 'OrderPlaced', version: '2', 'content-type': 'application/json' }
      return { key: String(n), value: JSON.stringify(order), headers }
    },
    async plain(record) {
      const event = await readEvent(events, record)
      if (event) await prisma.$transaction((tx) => ship([event.payload.orderId], tx))
    },
    async once(record, consumer) {
      const event = await readEvent(events, record)
      if (!event) return
      await prisma.$transaction((tx) => inbox.once(tx, { consumer, id: event.id }, () => ship([event.payload.orderId], tx)))
    },
    single: (consumer) =>
      createInbox({ prisma, consumer, events, handlers: { OrderPlaced: ({ payload }, tx) => ship([payload.orderId], tx) } }),
    batches: (consumer) => {
      const ids = (placed: readonly { payload: { orderId: number } }[]) => placed.map(({ payload }) => payload.orderId)
      return createInbox({ prisma, consumer, events, batch: 100, handlers: { OrderPlaced: (all, tx) => ship(ids(all), tx) } })
    },
    close: () => prisma.$disconnect(),
  }
}
