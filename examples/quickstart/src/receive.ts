import 'dotenv/config'
import { Kafka, logLevel } from 'kafkajs'

const kafka = new Kafka({ brokers: process.env.KAFKA_BROKERS!.split(','), logLevel: logLevel.ERROR })
const consumer = kafka.consumer({ groupId: 'quick-start', allowAutoTopicCreation: false })
await consumer.subscribe({ topic: 'order_placed', fromBeginning: true })
await consumer.run({
  eachMessage: async ({ message: { key, value } }) => console.log(`${key}: ${value}`),
})
