import { connectPrisma, connectProducer, type PlaceOrder, type Surroundings } from './surroundings.ts'

/** Way 2: tell Kafka inside the transaction, so that a failure rolls the order back. A crash before the commit leaves a phantom. */
export async function open({ databaseUrl, brokers, topic }: Surroundings): Promise<PlaceOrder> {
  const prisma = await connectPrisma(databaseUrl)
  const producer = await connectProducer(brokers)
  return async (request) => {
    await prisma.$transaction(async (tx) => {
      const order = await tx.order.create({ data: request })
      await producer.send({ topic, messages: [{ key: order.customer, value: JSON.stringify(order) }] })
    })
  }
}
