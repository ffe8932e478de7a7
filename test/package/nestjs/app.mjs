// An application of ES modules, with the client that the example has compiled to CommonJS. Prints the health of its relay and how many times each
// handler ran, then stops.
import 'reflect-metadata'
import { createRequire } from 'node:module'
import { NestFactory } from '@nestjs/core'
import { Kafka, logLevel } from 'kafkajs'
import { OnOutboxEvent, OutboxHealthIndicator, OutboxModule } from 'prisma-extension-outbox/nestjs'
import { createRelay } from 'prisma-extension-outbox/relay'

const require = createRequire(import.meta.url)
const { PrismaModule, PrismaService } = require('./dist/prisma.module.js')
const { events } = require('./dist/events.js')

let handled
const done = new Promise((resolve) => {
  handled = resolve
})

class Handlers {
  async place({ type, payload }, tx) {
    const { orderId } = payload
    await tx.confirmation.create({ data: { orderId, to: process.env.CONSUMER } })
    if (payload.customer === process.env.CONSUMER) handled({ type, orderId })
  }
}
OnOutboxEvent('order.placed')(Handlers.prototype, 'place', Object.getOwnPropertyDescriptor(Handlers.prototype, 'place'))

class AppModule {}
const brokers = process.env.KAFKA_BROKERS.split(',')
const outbox = OutboxModule.forRootAsync({
  inject: [PrismaService],
  useFactory: (prisma) => ({
    relay: createRelay({ databaseUrl: process.env.DATABASE_URL, kafka: { brokers } }),
    inbox: { prisma, events, consumer: process.env.CONSUMER, kafka: new Kafka({ brokers, logLevel: logLevel.NOTHING }) },
  }),
})
const app = await NestFactory.createApplicationContext(
  { module: AppModule, imports: [PrismaModule, outbox], providers: [Handlers] },
  { logger: false },
)
const order = await app.get(PrismaService).$transaction(async (tx) => {
  const order = await tx.order.create({ data: { customer: process.env.CONSUMER, total: 1 } })
  await tx.outbox.enqueue({ type: 'order.placed', payload: { orderId: order.id, customer: order.customer, total: 1 } })
  return order
})
const { type, orderId } = await done
const { status } = app.get(OutboxHealthIndicator).isHealthy().outbox
await app.close()
console.log(JSON.stringify({ type, same: orderId === order.id, status }))
