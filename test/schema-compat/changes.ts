import { z } from 'zod'
import type { EventMap, ReadPayloadOf } from '../../src/events/catalog.ts'
import { createInbox, type Inbox } from '../../src/inbox/index.ts'
import { type Catalog, defineEvents, enqueue, event } from '../../src/index.ts'
import { type Lock, lockOf } from '../../src/schema-compat/lock.ts'
import type { Client, Tx } from '../inbox/stage.ts'

/** An order as the ledger has it. */
export interface Order {
  id: number
  customer: string
  /** What it costs, in cents. */
  cents: number
}

/** What is deployed: the code of order service and shipping service with one catalog. */
export interface Code {
  name: 'before' | 'after'
  lock: Lock
  /** The order service: enqueues the announcement of an order. */
  announce(tx: Tx, order: Order): Promise<unknown>
  /** The shipping service: a member of its group. */
  ship(prisma: Client): Inbox
}

/** A change of the events; `topic` is where both run. */
export interface Change {
  before(topic: string): Code
  after(topic: string): Code
}

/** Name of the consumer, over all deployments. */
export const consumer = 'shipping'

/** Code with a catalog: its shipping service ships whatever event of it announces an order. */
function code<E extends EventMap>(
  name: Code['name'],
  events: Catalog<E>,
  announce: Code['announce'],
  orderOf: (payload: ReadPayloadOf<E[keyof E]>) => Order,
): Code {
  /** A row for each time that it ran and committed. */
  const ship = ({ payload }: { payload: ReadPayloadOf<E[keyof E]> }, tx: Tx) => {
    const { id, customer, cents } = orderOf(payload)
    return tx.$executeRaw`INSERT INTO shipped (order_id, customer, cents, code) VALUES (${id}, ${customer}, ${cents}, ${name})`
  }
  const handlers = Object.fromEntries(Object.keys(events.events).map((type) => [type, ship]))
  const settings = { consumer, events, deadLetter: { after: 3 }, retry: { firstMs: 50, maxMs: 100 } }
  return {
    name,
    lock: lockOf(events),
    announce,
    ship: (prisma) => createInbox({ ...settings, prisma, handlers: handlers as never }),
  }
}

const first = z.object({ id: z.int(), customer: z.string(), cents: z.int() })
const placed = (topic: string) => event({ topic, key: ({ customer }) => customer, schema: first })
const asItIs = (order: Order) => order

function before(topic: string): Code {
  const events = defineEvents({ OrderPlaced: placed(topic) })
  return code('before', events, (tx, payload) => enqueue(tx, { type: 'OrderPlaced', payload }, { events }), asItIs)
}

/** A field more within the version, which need not be there. */
const optionalField: Change = {
  before,
  after(topic) {
    const schema = first.extend({ note: z.string().optional() })
    const events = defineEvents({ OrderPlaced: event({ topic, key: ({ customer }) => customer, schema }) })
    const announce: Code['announce'] = (tx, order) =>
      enqueue(tx, { type: 'OrderPlaced', payload: { ...order, note: 'a gift' } }, { events })
    return code('after', events, announce, asItIs)
  },
}

/** A version that has all that the one before has. */
const widerVersion: Change = {
  before,
  after(topic) {
    const schema = first.extend({ channel: z.enum(['web', 'phone']) })
    const events = defineEvents({
      OrderPlaced: placed(topic).evolve({ schema, up: (old) => ({ ...old, channel: 'web' }) }),
    })
    const announce: Code['announce'] = (tx, order) =>
      enqueue(tx, { type: 'OrderPlaced', payload: { ...order, channel: 'phone' } }, { events })
    return code('after', events, announce, asItIs)
  },
}

/** A version that says the same in another way, which the code of before cannot read. */
const otherVersion: Change = {
  before,
  after(topic) {
    const schema = first.omit({ cents: true }).extend({ total: z.object({ amount: z.string(), currency: z.enum(['EUR']) }) })
    const total = (cents: number) => ({ amount: (cents / 100).toFixed(2), currency: 'EUR' as const })
    const events = defineEvents({
      OrderPlaced: placed(topic).evolve({
        schema,
        key: ({ customer }) => customer,
        up: ({ cents, ...old }) => ({ ...old, total: total(cents) }),
      }),
    })
    const announce: Code['announce'] = (tx, { cents, ...order }) =>
      enqueue(tx, { type: 'OrderPlaced', payload: { ...order, total: total(cents) } }, { events })
    return code('after', events, announce, ({ total, ...order }) => ({ ...order, cents: Math.round(Number(total.amount) * 100) }))
  },
}

/** An event more: every second order is announced by it. */
const newEvent: Change = {
  before,
  after(topic) {
    const events = defineEvents({ OrderPlaced: placed(topic), PhoneOrderPlaced: placed(topic) })
    const announce: Code['announce'] = (tx, payload) =>
      enqueue(tx, { type: payload.id % 2 === 0 ? 'OrderPlaced' : 'PhoneOrderPlaced', payload }, { events })
    return code('after', events, announce, asItIs)
  },
}

/** The version itself was changed: what is in Kafka under its number has another shape. */
const changedInPlace: Change = {
  before,
  after(topic) {
    const schema = first.extend({ cents: z.string() })
    const events = defineEvents({ OrderPlaced: event({ topic, key: ({ customer }) => customer, schema }) })
    const announce: Code['announce'] = (tx, order) =>
      enqueue(tx, { type: 'OrderPlaced', payload: { ...order, cents: `${order.cents}` } }, { events })
    return code('after', events, announce, (order) => ({ ...order, cents: Number(order.cents) }))
  },
}

/** What can happen to an event, from harmless to wrong. */
export const changes = { optionalField, widerVersion, otherVersion, newEvent, changedInPlace }
