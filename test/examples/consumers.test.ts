import { randomUUID } from 'node:crypto'
import type { Message } from 'kafkajs'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import type { ShopEvent } from '../../examples/orders/log.ts'
import type { Shop } from '../../examples/orders/shop.ts'
import type { Inbox, Projection } from '../../src/inbox/index.ts'
import type { TestDatabase } from '../support/database.ts'
import { createTopic, testKafka } from '../support/topics.ts'

// What each consumer of the shop makes of one topic, with orders of both versions and a copy. The first transaction of each fails when it
// is nearly over, and is tried again: what was done outside of it would be there twice.

vi.stubEnv('ORDERS_TOPIC', await createTopic('orders', 2))
const { topic } = await import('../../examples/orders/events.ts')
const { readLog } = await import('../../examples/orders/log.ts')
const { createMail } = await import('../../examples/orders/mail.ts')
const { createMyOrders, myOrders } = await import('../../examples/orders/my-orders.ts')
const { createShipping } = await import('../../examples/orders/shipping.ts')
const { openShop } = await import('./ground.ts')

const [ada, bob] = ['ada@example.com', 'bob@example.com']
const orders = [
  { version: 1, orderId: 1, customer: ada, sku: 'tea', quantity: 2, total: 980 },
  { version: 2, orderId: 2, customer: bob, sku: 'cups', quantity: 1, total: 1_250, channel: 'phone' },
  { version: 2, orderId: 3, customer: ada, sku: 'kettle', quantity: 3, total: 11_700, channel: 'web' },
]

/** A record as the relay writes it, enqueued at a second of its own. */
function record(type: string, { version, ...payload }: { version: number; orderId: number }, second: number): Message {
  const at = new Date(Date.UTC(2026, 10, 25, 20, 0, second)).toISOString()
  const headers = { id: randomUUID(), type, version: `${version}`, 'content-type': 'application/json', 'created-at': at }
  return { key: `${payload.orderId}`, value: JSON.stringify(payload), headers, partition: 0 }
}
const placed = orders.map((order) => record('OrderPlaced', order, order.orderId))
const parcel = { version: 1, orderId: 1, parcel: 'P-1' }
const records = [...placed, placed[0]!, record('OrderShipped', parcel, 30)]

const failOnce = `
CREATE SEQUENCE mail; CREATE SEQUENCE shipping;
CREATE FUNCTION fail_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  -- A sequence does not roll back.
  IF nextval(NEW.consumer::regclass) = 1 THEN RAISE 'not yet' USING ERRCODE = 'serialization_failure'; END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER fail_once BEFORE INSERT ON inbox FOR EACH ROW EXECUTE FUNCTION fail_once()`

const kafka = testKafka()
const closing: (() => unknown)[] = [() => vi.unstubAllEnvs()]
let database: TestDatabase
let shop: Shop

async function send(messages: Message[]): Promise<void> {
  const producer = kafka.producer({ allowAutoTopicCreation: false })
  await producer.connect()
  await producer.send({ topic, messages })
  await producer.disconnect()
}

/** Runs a consumer until the file is over; resolves when it has taken care of so many records, copies too. */
async function follow(consumer: Inbox | Projection, run: () => Promise<void>, count: number): Promise<void> {
  let seen = 0
  const done = new Promise<void>((resolve, reject) => {
    const hear = (event: string, { messages = 0, copies = 0, records = 0 }: Record<string, number | undefined>) => {
      seen += messages + copies + records
      if (seen >= count) resolve()
      // A read model without one of its records never comes to an end.
      if (event === 'projection_failed') reject(new Error('The projection failed.'))
    }
    const events: { on(name: '*', handler: typeof hear): unknown } = consumer as never
    events.on('*', hear)
  })
  closing.push(() => consumer.stop())
  await Promise.race([done, run()])
}
const followInbox = (inbox: Inbox, name: string, count: number) =>
  follow(inbox, () => inbox.run(kafka.consumer(inbox.consumerConfig({ groupId: `${name}-${topic}` }))), count)

beforeAll(async () => {
  const opened = await openShop()
  ;({ database, shop } = opened)
  closing.push(opened.close)
  await database.query(failOnce)
  await send(records)
  const projection = createMyOrders(shop)
  await Promise.all([
    followInbox(createMail(shop), 'mail', 4),
    followInbox(createShipping(shop), 'shipping', 4),
    follow(projection, () => projection.run(kafka, { groupId: `my-orders-${topic}` }), 5),
  ])
})
afterAll(async () => {
  for (const close of closing.reverse()) await close()
})

test('mail: each order is confirmed once, to its customer, also one of a version that came later', async () => {
  expect(await database.query('SELECT order_id AS "orderId", customer, text FROM letters ORDER BY id')).toEqual([
    { orderId: 1, customer: ada, text: 'Thank you for your order 1, 2 × tea.' },
    { orderId: 2, customer: bob, text: 'Thank you for your order 2, 1 × cups.' },
    { orderId: 3, customer: ada, text: 'Thank you for your order 3, 3 × kettle.' },
  ])
})

test('shipping: each order has one parcel and one answer, which names it under the key of the order', async () => {
  const parcels = [1, 2, 3].map((orderId) => ({ orderId, number: `P-${orderId}` }))
  expect(await database.query('SELECT order_id AS "orderId", number FROM parcels ORDER BY id')).toEqual(parcels)
  const answers = await database.query<{ type: string; key: Buffer; value: Buffer }>(
    'SELECT type, key, value FROM outbox ORDER BY id',
  )
  expect(answers.map(({ type, key, value }) => [type, String(key), JSON.parse(String(value))])).toEqual(
    parcels.map(({ orderId, number }) => ['OrderShipped', `${orderId}`, { orderId, parcel: number }]),
  )
})

test('"my orders": a customer sees the own orders of both versions, newest first, as they were placed and shipped', async () => {
  const at = (second: number) => new Date(Date.UTC(2026, 10, 25, 20, 0, second))
  expect(await myOrders(shop, ada)).toEqual([
    { orderId: 3, customer: ada, text: '3 × kettle', total: 11_700, placedAt: at(3), parcel: null },
    { orderId: 1, customer: ada, text: '2 × tea', total: 980, placedAt: at(1), parcel: 'P-1' },
  ])
  expect((await myOrders(shop, bob)).map(({ orderId }) => orderId)).toEqual([2])
})

describe('the log', () => {
  /** Reads until an event of this order is told. */
  async function read(until: number): Promise<ShopEvent[]> {
    const told: ShopEvent[] = []
    let close = async () => {}
    await new Promise<void>((resolve, reject) => {
      const tell = (event: ShopEvent) => {
        told.push(event)
        if (event.payload.orderId === until) resolve()
      }
      readLog(kafka, tell).then((log) => {
        close = log.close
      }, reject)
    })
    await close()
    return told
  }
  const story = (events: ShopEvent[]) => events.map(({ type, version, payload }) => `${type} ${version} ${payload.orderId}`)

  test('tells each message once, from the first one on, at each start, and passes over what cannot be read', async () => {
    const error = vi.spyOn(console, 'error').mockImplementation(() => {})
    const fourth = { version: 2, orderId: 4, customer: bob, sku: 'tea', quantity: 1, total: 490, channel: 'web' }
    await send([{ ...placed[1]!, headers: { ...placed[1]!.headers, id: randomUUID() }, value: 'no JSON' }])
    await send([placed[2]!, record('OrderPlaced', fourth, 40)])
    const expected = ['OrderPlaced 1 1', 'OrderPlaced 2 2', 'OrderPlaced 2 3', 'OrderShipped 1 1', 'OrderPlaced 2 4']
    expect(story(await read(4))).toEqual(expected)
    expect(story(await read(4))).toEqual(expected)
    expect(error.mock.calls).toHaveLength(2)
    error.mockRestore()
  })
})
