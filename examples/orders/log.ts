import { randomUUID } from 'node:crypto'
import type { Kafka } from 'kafkajs'
import { type AnyReceivedEvent, readEvent } from '../../src/inbox/index.ts' // your application: from 'prisma-extension-outbox/inbox'
import { events, topic } from './events.ts'

// The whole story, from the first record on: for views that are kept in memory and rebuilt at each start. The topic is created with
// `retention.ms=-1` for that; by default Kafka forgets after seven days.

/** An event of the shop. */
export type ShopEvent = AnyReceivedEvent<typeof events.events>

/** Reads the topic from its beginning and goes on reading; each message is told once, in the order of its key. */
export async function readLog(kafka: Kafka, tell: (event: ShopEvent) => void): Promise<{ close(): Promise<void> }> {
  // A group of its own, that never commits: every start begins at the beginning.
  const consumer = kafka.consumer({ groupId: `log-${randomUUID()}`, maxWaitTimeInMs: 250, allowAutoTopicCreation: false })
  // Kafka may hold a message twice, with the same id; and after a broker's restart kafkajs itself starts over.
  const seen = new Set<string>()
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: true })
  await consumer.run({
    autoCommit: false,
    eachBatch: async ({ batch: { topic, partition, messages } }) => {
      for (const message of messages) {
        // What cannot be read now will never be. Nothing is thrown: an error that reaches kafkajs takes the whole consumer away.
        const event = await readEvent(events, { topic, partition, message }).catch((error) => console.error(error.message))
        if (!event || seen.has(event.id)) continue
        seen.add(event.id)
        tell(event)
      }
    },
  })
  return { close: () => consumer.disconnect() }
}
