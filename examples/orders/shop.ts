import { PrismaPg } from '@prisma/adapter-pg'
import { outbox } from '../../src/index.ts' // your application: from 'prisma-extension-outbox'
import { PrismaClient } from './generated/client.ts'

/** Kafka topic that tells the world about new orders. */
export const orderPlaced = process.env.ORDER_PLACED_TOPIC ?? 'order_placed'

/** What a customer asks for. */
export interface OrderRequest {
  customer: string
  sku: string
  quantity: number
}

/** The order was refused, and nothing of it is left anywhere: no order, no shipping request, no message. */
export class OutOfStock extends Error {}

export type Shop = ReturnType<typeof connectShop>

/** The shop's Prisma client, with the outbox. */
export function connectShop(databaseUrl: string) {
  return new PrismaClient({ adapter: new PrismaPg({ connectionString: databaseUrl }) }).$extends(outbox())
}

/**
 * Places an order: takes it from the inventory, asks for its shipping and announces it, all or nothing. Whoever listens to
 * `order_placed` hears of every order that was placed, and of no other.
 *
 * @throws OutOfStock
 */
export function placeOrder(shop: Shop, request: OrderRequest) {
  return shop.$transaction(async (tx) => {
    const { sku, quantity } = request
    // The guard is part of the UPDATE: two customers cannot both get the last one.
    const taken = await tx.inventory.updateMany({
      where: { sku, stock: { gte: quantity } },
      data: { stock: { decrement: quantity } },
    })
    if (taken.count === 0) throw new OutOfStock(`There are no ${quantity} of ${sku} left.`)
    const order = await tx.order.create({ data: { ...request, shipping: { create: {} } } })
    await tx.outbox.enqueue({ topic: orderPlaced, key: order.id, payload: order })
    return order
  })
}

/** An order with its shipping request, or null. */
export function findOrder(shop: Shop, id: number) {
  return shop.order.findUnique({ where: { id }, include: { shipping: true } })
}
