import { withOutbox } from '../../../src/index.ts' // your application: from 'prisma-extension-outbox'
import { connectPrisma, type PlaceOrder, type Surroundings } from './surroundings.ts'

/** Way 4: this package. The relays are those of its command line. */
export async function open({ databaseUrl, topic }: Surroundings): Promise<PlaceOrder> {
  const prisma = withOutbox(await connectPrisma(databaseUrl))
  return async (request) => {
    await prisma.$transaction(async (tx) => {
      const order = await tx.order.create({ data: request })
      await tx.outbox.enqueue({ topic, key: order.customer, payload: order })
    })
  }
}
