import { connectPrisma, connectProducer, type PlaceOrder, type Surroundings } from './surroundings.ts'

/** Way 1: save the order, then tell Kafka. A crash between the two loses the message, and nobody will ever know. */
export async function open({ databaseUrl, brokers, topic }: Surroundings): Promise<PlaceOrder> {
  const prisma = await connectPrisma(databaseUrl)
  const producer = await connectProducer(brokers)
  return async (request) => {
    const order = await prisma.order.create({ data: request })
    await producer.send({ topic, messages: [{ key: order.customer, value: JSON.stringify(order) }] })
  }
}
