import 'dotenv/config'
import { Kafka } from 'kafkajs'
import { events } from './events'

async function createTopics() {
  const admin = new Kafka({ brokers: process.env.KAFKA_BROKERS!.split(',') }).admin()
  await admin.connect()
  const topics = [...new Set(Object.values(events.events).map(({ topic }) => topic))]
  await admin.createTopics({ topics: topics.map((topic) => ({ topic, numPartitions: 3 })) })
  await admin.disconnect()
}
void createTopics()
