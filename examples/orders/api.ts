import { readFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { json } from 'node:stream/consumers'
import { z } from 'zod'
import { channel } from './events.ts'
import type { History } from './history.ts'
import { myOrders } from './my-orders.ts'
import { findOrder, listInventory, type OrderRequest, OutOfStock, placeOrder, type Shop } from './shop.ts'

const page = readFileSync(new URL('pages/shop.html', import.meta.url), 'utf8')

const orderRequest = z.strictObject({
  customer: z.email(),
  sku: z.string().min(1).max(100),
  quantity: z.int().min(1).max(1_000),
  channel: channel.default('web'),
})
const orderId = z.coerce.number().int().min(1).max(2_147_483_647)

/** What a request is answered with; a text is a page, everything else JSON. */
type Answer = [status: number, body: unknown]

/** Parts of the API that can be others. */
export interface ApiOptions {
  /** How orders are placed. @default placeOrder */
  place?: (request: OrderRequest) => Promise<unknown>
  /** For GET /orders/:id/history. @default none */
  history?: History
}

/**
 * The shop's HTTP API: the page at /, POST /orders places an order, GET /orders/:id shows one, GET /orders/:id/history?at=<time> tells its
 * story and its state then, GET /my-orders/:customer reads the read model, GET /inventory lists what there is.
 */
export function createApi(shop: Shop, { place = (request) => placeOrder(shop, request), history }: ApiOptions = {}): Server {
  return createServer(async (request, response) => {
    try {
      send(response, await answer(request))
    } catch (error) {
      console.error(error)
      send(response, [500, { error: 'The shop is in trouble. Please try again.' }])
    }
  })

  async function answer(request: IncomingMessage): Promise<Answer> {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://shop')
    const [, what, which = '', more] = pathname.split('/')
    switch (`${request.method} ${what}${which && '/:id'}${more ? `/${more}` : ''}`) {
      case 'GET ':
        return [200, page]
      case 'GET inventory':
        return [200, await listInventory(shop)]
      case 'POST orders':
        return postOrder(place, await json(request).catch(() => undefined))
      case 'GET orders/:id':
        return getOrder(shop, which)
      case 'GET orders/:id/history':
        return getHistory(history, which, searchParams.get('at'))
      case 'GET my-orders/:id':
        return [200, await myOrders(shop, decodeURIComponent(which))]
      default:
        return [404, { error: 'Not found.' }]
    }
  }
}

async function postOrder(place: NonNullable<ApiOptions['place']>, body: unknown): Promise<Answer> {
  const parsed = orderRequest.safeParse(body)
  if (!parsed.success) return [400, { error: 'This is no order.', issues: parsed.error.issues }]
  try {
    return [201, await place(parsed.data)]
  } catch (error) {
    if (error instanceof OutOfStock) return [409, { error: error.message }]
    throw error
  }
}

async function getOrder(shop: Shop, id: string): Promise<Answer> {
  const parsed = orderId.safeParse(id)
  const order = parsed.success ? await findOrder(shop, parsed.data) : null
  return order ? [200, order] : [404, { error: 'There is no such order.' }]
}

function getHistory(history: History | undefined, id: string, at: string | null): Answer {
  const moment = at === null ? new Date() : new Date(at)
  const story = history?.story(Number(id)) ?? []
  if (!history || story.length === 0) return [404, { error: 'Nothing has been heard of such an order.' }]
  if (Number.isNaN(moment.getTime())) return [400, { error: 'This is no time.' }]
  return [200, { story, state: history.at(Number(id), moment) ?? null }]
}

function send(response: ServerResponse, [status, body]: Answer): void {
  const [type, text] = typeof body === 'string' ? ['text/html; charset=utf-8', body] : ['application/json', JSON.stringify(body)]
  response.writeHead(status, { 'content-type': type }).end(text)
}
