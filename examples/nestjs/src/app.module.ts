import { Module } from '@nestjs/common'
import { TerminusModule } from '@nestjs/terminus'
import { Kafka, logLevel } from 'kafkajs'
import { OutboxModule } from 'prisma-extension-outbox/nestjs'
import { createRelay } from 'prisma-extension-outbox/relay'
import { Confirmations } from './confirmations'
import { events } from './events'
import { HealthController } from './health.controller'
import { OrdersController } from './orders.controller'
import { OrdersService } from './orders.service'
import { PrismaModule, PrismaService } from './prisma.module'

const outbox = OutboxModule.forRootAsync({
  inject: [PrismaService],
  useFactory: (prisma: PrismaService) => {
    const brokers = process.env.KAFKA_BROKERS!.split(',')
    return {
      relay: createRelay({ databaseUrl: process.env.DATABASE_URL!, kafka: { brokers } }),
      inbox: { prisma, events, consumer: 'confirmations', kafka: new Kafka({ brokers, logLevel: logLevel.ERROR }) },
    }
  },
})

@Module({
  imports: [PrismaModule, TerminusModule, outbox],
  controllers: [OrdersController, HealthController],
  providers: [OrdersService, Confirmations],
})
export class AppModule {}
