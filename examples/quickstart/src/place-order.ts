import { prisma } from './db.js'

const order = await prisma.$transaction(async (tx) => {
  const order = await tx.order.create({ data: { customer: 'ada@example.com', total: 1990 } })
  await tx.outbox.enqueue({ topic: 'order_placed', key: order.id, payload: order })
  return order
})
console.log(`Order ${order.id} is placed.`)
await prisma.$disconnect()
