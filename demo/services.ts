import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createAnalytics } from '../examples/orders/analytics.ts'
import { createApi } from '../examples/orders/api.ts'
import { placeOrderBefore } from '../examples/orders/before/shop.ts'
import { topic } from '../examples/orders/events.ts'
import { History } from '../examples/orders/history.ts'
import { readLog } from '../examples/orders/log.ts'
import { createMail } from '../examples/orders/mail.ts'
import { createMyOrders } from '../examples/orders/my-orders.ts'
import type { Sales } from '../examples/orders/sales.ts'
import { createShipping } from '../examples/orders/shipping.ts'
import { connectShop, type Shop } from '../examples/orders/shop.ts'
import { createRelay } from '../src/embed.ts' // your application: from 'prisma-extension-outbox/relay'
import type { Inbox, Projection } from '../src/inbox/index.ts'
import type { Closing } from './closing.ts'
import type { Ground } from './ground.ts'
import { Progress } from './progress.ts'

/** Consumers with an inbox, by what they do. */
export type Consumers = Record<'mail' | 'shipping' | 'myOrders', Progress>

/**
 * Starts mail, shipping and "my orders"; `shipping` is the client of that service. A consumer that ends on its own ends the demo: elsewhere
 * an orchestrator starts it again.
 */
export async function startConsumers(
  { databaseUrl, shipping: prisma }: { databaseUrl: string; shipping: Shop },
  ground: Ground,
  closing: Closing,
): Promise<Consumers> {
  const watch = (consumer: Inbox | Projection, run: () => Promise<void>): Progress => {
    const progress = new Progress(consumer)
    const running = run()
    closing.add(() => consumer.stop())
    running.catch((error) => {
      process.nextTick(() => {
        throw error
      })
    })
    return progress
  }
  // A client of each service's own: a busy consumer must not take the connections of the order service.
  const own = () => {
    const client = connectShop(databaseUrl)
    closing.add(() => client.$disconnect())
    return client
  }
  const run = (inbox: Inbox, name: string): Progress =>
    watch(inbox, () => inbox.run(ground.kafka.consumer(inbox.consumerConfig({ groupId: `${name}-${topic}` }))))
  const mail = run(createMail(own()), 'mail')
  const shipping = run(createShipping(prisma), 'shipping')
  const projection = createMyOrders(own())
  const myOrders = watch(projection, () => projection.run(ground.kafka, { groupId: `my-orders-${topic}` }))
  await Promise.all([mail, myOrders, shipping].map((progress) => progress.ready))
  return { mail, myOrders, shipping }
}

/** The shipping service's own database, with its outbox, and a relay in the service's own process. */
export async function openShipping(ground: Ground, closing: Closing): Promise<Shop> {
  const databaseUrl = await ground.createDatabase('shipping')
  const shipping = connectShop(databaseUrl)
  closing.add(() => shipping.$disconnect())
  const relay = createRelay({ databaseUrl, kafka: { brokers: ground.brokers.split(',') } })
  await relay.start()
  closing.add(() => relay.stop())
  return shipping
}

/** Where the shop is served. */
export interface Addresses {
  shop: string
  analytics: string
  /** The order service of before, which takes orders beside the new one. */
  before: string
}

/** Serves the order service, old and new, and the views that are made from the topic. */
export async function serveShop(shop: Shop, sales: Sales, { kafka }: Ground, closing: Closing): Promise<Addresses> {
  const history = new History()
  const log = await readLog(kafka, (event) => {
    history.add(event)
    sales.add(event)
  })
  closing.add(() => log.close())
  return {
    shop: await listen(createApi(shop, { history }), closing),
    before: await listen(createApi(shop, { place: (request) => placeOrderBefore(shop, request) }), closing),
    analytics: await listen(createAnalytics(sales), closing),
  }
}

async function listen(server: Server, closing: Closing): Promise<string> {
  server.listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  closing.add(() => server.close().closeAllConnections())
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}
