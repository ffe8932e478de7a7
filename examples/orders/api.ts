import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { json } from 'node:stream/consumers'
import { z } from 'zod'
import { findOrder, OutOfStock, placeOrder, type Shop } from './shop.ts'

const orderRequest = z.strictObject({
  customer: z.email(),
  sku: z.string().min(1).max(100),
  quantity: z.int().min(1).max(1_000),
})
const orderId = z.coerce.number().int().min(1).max(2_147_483_647)

/** What a request is answered with. */
type Answer = [status: number, body: unknown]

/** The shop's HTTP API: POST /orders places an order, GET /orders/:id shows one. */
export function createApi(shop: Shop): Server {
  return createServer(async (request, response) => {
    try {
      send(response, await answer(shop, request))
    } catch (error) {
      console.error(error)
      send(response, [500, { error: 'The shop is in trouble. Please try again.' }])
    }
  })
}

async function answer(shop: Shop, request: IncomingMessage): Promise<Answer> {
  const route = `${request.method} ${request.url}`
  if (route === 'POST /orders') return postOrder(shop, await json(request).catch(() => undefined))
  const id = /^GET \/orders\/(\w+)$/.exec(route)?.[1]
  return id === undefined ? [404, { error: 'Not found.' }] : getOrder(shop, id)
}

async function postOrder(shop: Shop, body: unknown): Promise<Answer> {
  const parsed = orderRequest.safeParse(body)
  if (!parsed.success) return [400, { error: 'This is no order.', issues: parsed.error.issues }]
  try {
    return [201, await placeOrder(shop, parsed.data)]
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

function send(response: ServerResponse, [status, body]: Answer): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
}
