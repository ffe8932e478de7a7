import { prisma } from './db'

export function place(total: number) {
  return prisma.$transaction(async (tx) => {
    const order = await tx.order.create({ data: { total } })
    await tx.outbox.enqueue({ topic: process.env.TOPIC ?? 'orders', key: order.id, payload: { id: order.id, total } })
    return order
  })
}
