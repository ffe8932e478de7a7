import { prisma } from './db.js'

const order = await prisma.$transaction(async (tx) => {
  const order = await tx.order.create({ data: { customer: 'ada@example.com', total: 1990 } })
  const { id, customer, total } = order
  await tx.outbox.enqueue({ type: 'OrderPlaced', payload: { orderId: String(id), customer, total } })
  return order
})
console.log(`Order ${order.id} is placed.`)
await prisma.$disconnect()
