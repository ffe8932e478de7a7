import { readFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { createApi } from '../../examples/orders/api.ts'
import { placeOrderBefore } from '../../examples/orders/before/shop.ts'
import { OutOfStock, placeOrder, type Shop } from '../../examples/orders/shop.ts'
import { migrationSql, type TestDatabase } from '../support/database.ts'
import { inboxSql } from '../support/migrations.ts'
import { createProject } from '../support/prisma-cli.ts'
import { example, migration, openShop } from './ground.ts'

let database: TestDatabase
let shop: Shop
let close = async () => {}

beforeAll(async () => {
  ;({ database, shop, close } = await openShop())
})
afterAll(() => close())
beforeEach(() => database.query("INSERT INTO inventory (sku, stock, price) VALUES ('tea', 3, 490)"))
afterEach(() => database.query('TRUNCATE inventory, orders, shipping_requests, outbox RESTART IDENTITY'))

const request = { customer: 'ada@example.com', sku: 'tea', quantity: 2 }
const contents = async () => {
  const [row] = await database.query(`SELECT (SELECT stock FROM inventory) AS stock, (SELECT count(*)::int FROM orders) AS orders,
    (SELECT count(*)::int FROM shipping_requests) AS shipping, (SELECT count(*)::int FROM outbox) AS messages`)
  return row
}

describe('placing an order', () => {
  test('takes it from the inventory, asks for shipping and announces it', async () => {
    const order = await placeOrder(shop, request)
    expect(await contents()).toEqual({ stock: 1, orders: 1, shipping: 1, messages: 1 })
    const [message] = await database.query("SELECT topic, type, headers->>'version' AS version, key, value FROM outbox")
    expect([message!.topic, message!.type, message!.version, String(message!.key)]).toEqual([
      'orders',
      'OrderPlaced',
      '2',
      `${order.id}`,
    ])
    expect(JSON.parse(String(message!.value))).toEqual({ ...request, orderId: order.id, total: 980, channel: 'web' })
  })

  test('by the order service of before announces version 1, of the same events', async () => {
    const order = await placeOrderBefore(shop, request)
    const [message] = await database.query("SELECT type, headers->>'version' AS version, value FROM outbox")
    expect([message!.type, message!.version]).toEqual(['OrderPlaced', '1'])
    expect(JSON.parse(String(message!.value))).toEqual({ ...request, orderId: order.id, total: 980 })
  })

  test('leaves nothing behind when there is too little stock', async () => {
    await expect(placeOrder(shop, { ...request, quantity: 4 })).rejects.toThrow(OutOfStock)
    expect(await contents()).toEqual({ stock: 3, orders: 0, shipping: 0, messages: 0 })
  })

  test('leaves nothing behind when the announcement fails, not even the stock that was taken', async () => {
    await database.query('ALTER TABLE outbox ADD CONSTRAINT full_disk CHECK (false) NOT VALID')
    try {
      await expect(placeOrder(shop, request)).rejects.toThrow()
    } finally {
      await database.query('ALTER TABLE outbox DROP CONSTRAINT full_disk')
    }
    expect(await contents()).toEqual({ stock: 3, orders: 0, shipping: 0, messages: 0 })
  })

  test('announces nothing when the order fails at its very end: the announcement is in its transaction', async () => {
    await database.query(`CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$;
      CREATE CONSTRAINT TRIGGER late AFTER INSERT ON orders DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse()`)
    try {
      await expect(placeOrder(shop, request)).rejects.toThrow()
    } finally {
      await database.query('DROP FUNCTION refuse CASCADE')
    }
    expect(await contents()).toEqual({ stock: 3, orders: 0, shipping: 0, messages: 0 })
  })

  test('gives the last ones to one of two customers who ask at the same time', async () => {
    const results = await Promise.allSettled([placeOrder(shop, request), placeOrder(shop, request)])
    expect(results.map((result) => result.status).sort()).toEqual(['fulfilled', 'rejected'])
    expect(await contents()).toEqual({ stock: 1, orders: 1, shipping: 1, messages: 1 })
  })
})

describe('the HTTP API', () => {
  const serve = async () => {
    const server = createApi(shop).listen(0, '127.0.0.1')
    await new Promise((resolve) => server.once('listening', resolve))
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/orders`
    const post = async (body: unknown) => {
      const response = await fetch(url, { method: 'POST', body: typeof body === 'string' ? body : JSON.stringify(body) })
      return { status: response.status, body: (await response.json()) as Record<string, unknown> }
    }
    const get = async (id: unknown) => {
      const response = await fetch(`${url}/${id}`)
      return { status: response.status, body: (await response.json()) as Record<string, unknown> }
    }
    return { post, get, [Symbol.dispose]: () => void server.close() }
  }

  test('answers 201 with the order, which can then be read with its shipping request', async () => {
    using api = await serve()
    const placed = await api.post(request)
    expect(placed).toMatchObject({ status: 201, body: request })
    const read = await api.get(placed.body.id)
    expect(read).toMatchObject({ status: 200, body: { ...request, shipping: { orderId: placed.body.id } } })
  })

  test('answers 409 when stock is short, and nothing is left of the order', async () => {
    using api = await serve()
    expect((await api.post({ ...request, quantity: 4 })).status).toBe(409)
    expect(await contents()).toEqual({ stock: 3, orders: 0, shipping: 0, messages: 0 })
  })

  test.each([
    ['no JSON', '{'],
    ['a customer without an address', { ...request, customer: 'Ada' }],
    ['no quantity', { ...request, quantity: 0 }],
    ['a field that nobody knows', { ...request, price: 1 }],
  ])('answers 400 to %s', async (_, body) => {
    using api = await serve()
    expect((await api.post(body)).status).toBe(400)
  })

  test.each([404, 'x', '99999999999', '-1'])('answers 404 for the order %s, which does not exist', async (id) => {
    using api = await serve()
    expect((await api.get(id)).status).toBe(404)
  })
})

describe('its Prisma schema', () => {
  test("has the package's own fragment and migration", () => {
    expect(example('prisma/outbox.prisma')).toBe(readFileSync(new URL('../../prisma/outbox.prisma', import.meta.url), 'utf8'))
    expect(migration('20261123000000_outbox')).toBe(migrationSql)
    expect(example('prisma/inbox.prisma')).toBe(readFileSync(new URL('../../prisma/inbox.prisma', import.meta.url), 'utf8'))
    expect(migration('20261125000000_inbox')).toBe(inboxSql)
  })

  test('describes the tables of its migrations: Prisma sees no drift', async () => {
    const project = createProject({
      'prisma.config.ts': example('prisma.config.ts'),
      'prisma/shop.prisma': example('prisma/shop.prisma'),
      'prisma/consumers.prisma': example('prisma/consumers.prisma'),
      'prisma/outbox.prisma': example('prisma/outbox.prisma'),
      'prisma/inbox.prisma': example('prisma/inbox.prisma'),
    })
    try {
      const args = ['migrate', 'diff', '--from-config-datasource', '--to-schema', 'prisma', '--exit-code']
      const { code, output } = await project.prisma(args, database.url)
      expect(output).toContain('No difference detected.')
      expect(code).toBe(0)
    } finally {
      project.remove()
    }
  })
})
