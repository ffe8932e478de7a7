import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { createAnalytics } from '../../examples/orders/analytics.ts'
import { createApi } from '../../examples/orders/api.ts'
import { History } from '../../examples/orders/history.ts'
import type { ShopEvent } from '../../examples/orders/log.ts'
import { Sales } from '../../examples/orders/sales.ts'
import type { Shop } from '../../examples/orders/shop.ts'
import { startBrowser } from '../support/browser.ts'
import type { TestDatabase } from '../support/database.ts'
import { openShop } from './ground.ts'

// What is made of the events of the shop in memory, and the pages that show it.

const at = (minute: number, second = 0) => new Date(Date.UTC(2026, 10, 25, 20, minute, second))

/** An order as the log tells it. */
function placed(orderId: number, createdAt: Date, { sku = 'tea', quantity = 1, total = 490, channel = 'web', version = 2 } = {}) {
  const payload = { orderId, customer: 'ada@example.com', sku, quantity, total, channel }
  return { type: 'OrderPlaced', version, payload, createdAt } as ShopEvent
}
const shipped = (orderId: number, createdAt: Date) =>
  ({ type: 'OrderShipped', version: 1, payload: { orderId, parcel: `P-${orderId}` }, createdAt }) as ShopEvent

function salesOf(...events: ShopEvent[]): Sales {
  const sales = new Sales()
  for (const event of events) sales.add(event)
  return sales
}

describe('the analytics', () => {
  test('count orders and their revenue, by the minute in which they were placed, by channel and by version', () => {
    const old = { version: 1, total: 980 }
    const { figures } = salesOf(
      placed(1, at(0, 59), old),
      placed(2, at(1), { channel: 'phone' }),
      shipped(1, at(2)),
      placed(3, at(1, 59)),
    )
    expect(figures).toMatchObject({
      orders: 3,
      revenue: 1_960,
      minutes: [
        { minute: '2026-11-25T20:00', revenue: 980 },
        { minute: '2026-11-25T20:01', revenue: 980 },
      ],
      channels: [
        { channel: 'phone', orders: 1 },
        { channel: 'web', orders: 2 },
      ],
      versions: [
        { version: 1, orders: 1 },
        { version: 2, orders: 2 },
      ],
    })
  })

  test('keep the last fifteen minutes in which something was sold, whatever the order in which they are told', () => {
    const minutes = Array.from({ length: 20 }, (_, minute) => minute)
    const { figures } = salesOf(...minutes.toReversed().map((minute) => placed(minute, at(minute))))
    expect(figures.minutes.map(({ minute }) => Number(minute.slice(-2)))).toEqual(minutes.slice(-15))
  })

  test('list five best sellers, the one that brought most first, with the number sold', () => {
    const totals = { cups: 300, tea: 600, kettle: 500, pot: 100, tray: 200, spoon: 400 }
    const events = Object.entries(totals).map(([sku, total], i) => placed(i, at(0), { sku, total, quantity: 10 - i }))
    const { figures } = salesOf(...events, placed(9, at(1), { sku: 'cups', total: 250, quantity: 2 }))
    expect(figures.bestSellers.map(({ sku }) => sku)).toEqual(['tea', 'cups', 'kettle', 'spoon', 'tray'])
    expect(figures.bestSellers[1]).toEqual({ sku: 'cups', sold: 12, revenue: 550 })
  })
})

describe('the history', () => {
  const history = new History()
  for (const event of [placed(1, at(1), { quantity: 2 }), placed(2, at(2)), shipped(1, at(5))]) history.add(event)
  const state = { orderId: 1, quantity: 2, sku: 'tea', total: 490, channel: 'web', placedAt: at(1) }

  test.each([
    ['before it was placed', at(0, 59), undefined],
    ['at the moment in which it was placed', at(1), { ...state, status: 'placed' }],
    ['just before it was shipped', at(4, 59), { ...state, status: 'placed' }],
    ['at the moment in which it was shipped', at(5), { ...state, status: 'shipped', parcel: 'P-1', shippedAt: at(5) }],
  ])('tells an order %s', (_, moment, expected) => {
    expect(history.at(1, moment)).toEqual(expected)
  })

  test('tells the story of one order only', () => {
    expect(history.story(1)).toEqual([
      { type: 'OrderPlaced', version: 2, at: at(1) },
      { type: 'OrderShipped', version: 1, at: at(5) },
    ])
    expect(history.story(3)).toEqual([])
  })
})

async function listen(server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close().closeAllConnections())
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

describe('the pages', () => {
  const markup = '<i>tea</i>'
  let browser: Browser
  let database: TestDatabase
  let shop: Shop
  let close = async () => {}
  beforeAll(async () => {
    browser = await startBrowser()
    ;({ database, shop, close } = await openShop())
    await database.query('INSERT INTO inventory (sku, stock, price) VALUES ($1, 3, 490)', [markup])
  })
  afterAll(async () => {
    await browser?.close()
    await close()
  })
  const open = async (url: string): Promise<Page> => {
    const page = await browser.newPage()
    onTestFinished(() => page.close())
    await page.goto(url)
    return page
  }

  test('the history over HTTP is that of the moment that is asked for, and none of what is no time', async () => {
    const history = new History()
    for (const event of [placed(1, at(1)), shipped(1, at(5))]) history.add(event)
    const url = await listen(createApi(shop, { history }))
    const ask = async (query: string) => {
      const response = await fetch(`${url}/orders/1/history${query}`)
      return [response.status, ((await response.json()) as { state?: { status: string } }).state?.status]
    }
    expect(await ask(`?at=${at(2).toISOString()}`)).toEqual([200, 'placed'])
    expect(await ask('')).toEqual([200, 'shipped'])
    expect(await ask('?at=yesterday')).toEqual([400, undefined])
    expect((await fetch(`${url}/orders/2/history`)).status).toBe(404)
  })

  test('the analytics page shows names as they are, at once and again after each order, also when its stream was cut', async () => {
    const sales = salesOf(placed(1, at(0), { sku: markup }))
    const server = createAnalytics(sales)
    const page = await open(await listen(server))
    await page.locator('#sellers').getByText(markup, { exact: true }).waitFor()
    sales.add(placed(2, at(0), { sku: 'cups' }))
    await page.getByText('2 orders, 9.80 €').waitFor()
    server.closeAllConnections()
    sales.add(placed(3, at(0)))
    await page.getByText('3 orders, 14.70 €').waitFor()
  })

  test('the analytics forget a browser that went away', async () => {
    let listeners = 0
    class Counted extends Sales {
      override listen(listener: () => void) {
        listeners++
        const deaf = super.listen(listener)
        return () => {
          listeners--
          return deaf()
        }
      }
    }
    const page = await open(await listen(createAnalytics(new Counted())))
    await expect.poll(() => listeners).toBe(1)
    await page.goto('about:blank')
    await expect.poll(() => listeners).toBe(0)
  })

  test('the shop page shows names as they are, and goes on looking after a look that failed', async () => {
    const page = await open(await listen(createApi(shop)))
    await page.route('**/my-orders/*', (route) => route.abort(), { times: 1 })
    await database.query(
      `INSERT INTO my_orders (order_id, customer, text, total, placed_at) VALUES (7, 'ada@example.com', $1, 490, now())`,
      [markup],
    )
    await page.locator('#mine').getByText(markup, { exact: true }).waitFor()
    expect(await page.locator('select[name=sku]').textContent()).toBe(`${markup}, 4.90 €`)
  })
})
