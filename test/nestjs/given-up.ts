import 'reflect-metadata'
import { connect as connectSocket, type Socket } from 'node:net'
import { NestFactory } from '@nestjs/core'
import { Kafka, logLevel } from 'kafkajs'
import { OnOutboxEvent, OutboxModule } from '../../src/nestjs/index.ts'
import { connect, eventsOf } from '../inbox/stage.ts'

// An application whose consumer kafkajs gives up on, since it may not start it again. Its timer would keep the process.
const { DATABASE_URL, KAFKA_BROKERS, TOPIC } = process.env as Record<string, string>
class Handlers {
  count(_: { type: 'Counted' }) {}
}
OnOutboxEvent('Counted')(Handlers.prototype, 'count', Object.getOwnPropertyDescriptor(Handlers.prototype, 'count')!)
let isCut = false
const sockets = new Set<Socket>()
const kafka = new Kafka({
  brokers: KAFKA_BROKERS!.split(','),
  logLevel: logLevel.NOTHING,
  retry: { retries: 0, restartOnFailure: async () => false },
  socketFactory({ host, port, onConnect }) {
    const socket = connectSocket({ host, port: isCut ? 1 : port }, onConnect)
    sockets.add(socket)
    return socket
  },
})
const outbox = OutboxModule.forRootAsync({
  useFactory: () => ({
    inbox: {
      prisma: connect(DATABASE_URL!),
      events: eventsOf(TOPIC!),
      consumer: TOPIC!,
      kafka,
      watch(inbox) {
        inbox.on('partitions_assigned', () => {
          isCut = true
          for (const socket of sockets) socket.destroy(new Error('cut'))
        })
      },
    },
  }),
})
class AppModule {}
await NestFactory.createApplicationContext({ module: AppModule, imports: [outbox], providers: [Handlers] }, { logger: false })
setInterval(() => {}, 1_000)
