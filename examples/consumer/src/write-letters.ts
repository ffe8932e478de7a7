import { Kafka, logLevel } from 'kafkajs'
import { createInbox } from 'prisma-extension-outbox/inbox'
import { prisma } from './db.js'
import { events } from './events.js'

const letters = createInbox({
  prisma,
  consumer: 'letters',
  events,
  handlers: {
    // One transaction: the row of the inbox, the letter, and the next message. A copy of the message does none of it again.
    OrderPlaced: async ({ payload: { orderId, customer } }, tx) => {
      await tx.letter.create({ data: { orderId, to: customer } })
      await tx.outbox.enqueue({ type: 'LetterWritten', payload: { orderId } })
    },
  },
  deadLetter: { after: 10 },
})

letters.on('applied', ({ messages, copies }) => console.log(`${messages} applied, ${copies} copies skipped`))
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => letters.stop())

const kafka = new Kafka({ brokers: process.env.KAFKA_BROKERS!.split(','), logLevel: logLevel.ERROR })
await letters.run(kafka.consumer(letters.consumerConfig()))
await prisma.$disconnect()
