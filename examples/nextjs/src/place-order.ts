import { prisma } from './db'

export function placeOrder(customer: string, total: number) {
  return prisma.$transaction(async (tx) => {
    const order = await tx.order.create({ data: { customer, total } })
    await tx.outbox.enqueue({ topic: 'order_placed', key: order.id, payload: order })
    return order
  })
}
