import { enqueue } from '../../../src/index.ts' // your application: from 'prisma-extension-outbox'
import { type OrderRequest, type Shop, takeOrder } from '../shop.ts'
import { events } from './events.ts'

// The order service as it was before the channel. It runs beside the new one while that is deployed: it writes version 1 of OrderPlaced.

/**
 * Places an order, as `placeOrder` of the new one does.
 *
 * @throws OutOfStock
 */
export function placeOrderBefore(shop: Shop, { customer, sku, quantity }: OrderRequest) {
  return shop.$transaction(async (tx) => {
    const order = await takeOrder(tx, { customer, sku, quantity })
    await enqueue(tx, { type: 'OrderPlaced', payload: { ...order, orderId: order.id } }, { events })
    return order
  })
}
