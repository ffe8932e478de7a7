import { PrismaPg } from '@prisma/adapter-pg'
import { outbox } from '../../src/index.ts' // your application: from 'prisma-extension-outbox'
import { events } from './events.ts'
import { PrismaClient } from './generated/client.ts'

// The order service: everything that there is to see of the outbox. `connectShop` brings it, `placeOrder` enqueues.

/** What a customer asks for. */
export interface OrderRequest {
  customer: string
  sku: string
  quantity: number
  /** @default 'web' */
  channel?: 'web' | 'phone'
}

/** The order was refused, and nothing of it is left anywhere: no order, no shipping request, no message. */
export class OutOfStock extends Error {}

export type Shop = ReturnType<typeof connectShop>

/** Its client inside of a transaction. */
export type ShopTransaction = Parameters<Parameters<Shop['$transaction']>[0]>[0]

/** The shop's Prisma client, with the outbox. */
export function connectShop(databaseUrl: string) {
  return new PrismaClient({ adapter: new PrismaPg({ connectionString: databaseUrl }) }).$extends(outbox({ events }))
}

/**
 * Places an order: takes it from the inventory, asks for its shipping and announces it, all or nothing. Anyone who listens to the topic
 * hears of every order that was placed, and of no other.
 *
 * @throws OutOfStock
 */
export function placeOrder(shop: Shop, { channel = 'web', ...request }: OrderRequest) {
  return shop.$transaction(async (tx) => {
    const order = await takeOrder(tx, { ...request, channel })
    // Of the order's row the schema of the event takes what it knows.
    await tx.outbox.enqueue({ type: 'OrderPlaced', payload: { ...order, orderId: order.id, channel } })
    return order
  })
}

/**
 * Takes an order from the inventory and writes it, with its shipping request.
 *
 * @throws OutOfStock
 */
export async function takeOrder(tx: ShopTransaction, { channel, ...request }: OrderRequest) {
  const { sku, quantity } = request
  // The guard is part of the UPDATE: two customers cannot both get the last one.
  const [taken] = await tx.inventory.updateManyAndReturn({
    where: { sku, stock: { gte: quantity } },
    data: { stock: { decrement: quantity } },
  })
  if (!taken) throw new OutOfStock(`There are no ${quantity} of ${sku} left.`)
  const total = quantity * taken.price
  return tx.order.create({ data: { ...request, ...(channel && { channel }), total, shipping: { create: {} } } })
}

/** An order with its shipping request, or null. */
export function findOrder(shop: Shop, id: number) {
  return shop.order.findUnique({ where: { id }, include: { shipping: true } })
}

/** What can be ordered. */
export function listInventory(shop: Shop) {
  return shop.inventory.findMany({ orderBy: { sku: 'asc' } })
}
