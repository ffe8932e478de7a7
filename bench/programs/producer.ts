import { randomUUID } from 'node:crypto'

/** A record as the relay would publish it. */
export interface PlainRecord {
  key: string
  value: string
  headers: Record<string, string>
}

export const plainRecord = (key: string, value: string): PlainRecord => ({
  key,
  value,
  headers: { id: randomUUID(), 'created-at': new Date().toISOString(), 'content-type': 'application/json' },
})

/** Sends records and resolves when every replica has them. */
export type Send = (topic: string, records: PlainRecord[]) => Promise<unknown>

/** The Kafka client with nothing around it, as its documentation shows it. Only the one that is measured is loaded. */
export async function plainProducer(transport: string, brokers: string): Promise<Send> {
  const bootstrapBrokers = brokers.split(',')
  if (transport === 'platformatic') {
    const { Producer, stringSerializers } = await import('@platformatic/kafka')
    const producer = new Producer({ clientId: 'bench', bootstrapBrokers, serializers: stringSerializers })
    return (topic, records) => producer.send({ acks: -1, messages: records.map((record) => ({ topic, ...record })) })
  }
  const { Kafka, logLevel } = await import('kafkajs')
  const kafka = new Kafka({ brokers: bootstrapBrokers, logLevel: logLevel.ERROR })
  const producer = kafka.producer({ allowAutoTopicCreation: false })
  await producer.connect()
  return (topic, messages) => producer.sendBatch({ acks: -1, topicMessages: [{ topic, messages }] })
}
