import { PrismaPg } from '@prisma/adapter-pg'
import { Kafka, logLevel, Partitioners, type Producer } from 'kafkajs'
import { PrismaClient } from '../../../examples/orders/generated/client.ts'
import type { OrderRequest } from '../../../examples/orders/shop.ts'

/** What every way of announcing orders is given. */
export interface Surroundings {
  databaseUrl: string
  brokers: string
  topic: string
}

/** Places an order in one of the ways. Of the shop's three tables only the orders are written: four shops must fit a small machine. */
export type PlaceOrder = (request: OrderRequest) => Promise<void>

/** The shop's client as it is without this package; its first query, which takes much longer than all others, is over. */
export async function connectPrisma(databaseUrl: string): Promise<PrismaClient> {
  const prisma = new PrismaClient({ adapter: new PrismaPg({ connectionString: databaseUrl }) })
  await prisma.order.count()
  return prisma
}

/** A kafkajs producer as it comes, with all its defaults: acknowledged by all replicas, retried on its own. */
export async function connectProducer(brokers: string): Promise<Producer> {
  const kafka = new Kafka({ brokers: brokers.split(','), clientId: 'shop', logLevel: logLevel.NOTHING })
  const producer = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner })
  await producer.connect()
  return producer
}
