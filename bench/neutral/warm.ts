import { createTopicNamed, testKafka } from '../../test/support/topics.ts'

const records = 300_000
const topic = 'bench-warm-up'

/** Warms up a broker that was started for a run: a fresh Java machine is several times slower than a warm one. */
export async function warmBroker(brokers: string): Promise<void> {
  await createTopicNamed(topic, 12, { brokers })
  const producer = testKafka(brokers).producer({ allowAutoTopicCreation: false })
  await producer.connect()
  const value = 'x'.repeat(300)
  for (let sent = 0; sent < records; sent += 500) {
    const messages = Array.from({ length: 500 }, (_, i) => ({ key: `k${(sent + i) % 9_973}`, value }))
    await producer.send({ topic, acks: -1, messages })
  }
  // Small requests take other code than large ones.
  for (let i = 0; i < 2_000; i++) await producer.send({ topic, acks: -1, messages: [{ key: `k${i}`, value }] })
  await producer.disconnect()
}
