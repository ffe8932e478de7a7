import { randomBytes } from 'node:crypto'
import { Partitioners } from 'kafkajs'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { createProjection } from '../../src/inbox/index.ts'
import type { TestDatabase } from '../support/database.ts'
import { type KafkaServer, startKafka } from '../support/kafka.ts'
import { createTopic, testKafka, withAdmin } from '../support/topics.ts'
import { type Client, connect, effect, eventsOf, inboxDatabase, record } from './stage.ts'

let db: TestDatabase
let prisma: Client
let broker: KafkaServer
beforeAll(async () => {
  ;[broker, db] = await Promise.all([startKafka({ 'log.cleaner.backoff.ms': 100 }), inboxDatabase()])
  prisma = connect(db.url)
})
afterAll(async () => {
  await prisma.$disconnect()
  await Promise.all([broker.remove(), db.drop()])
})

const config = {
  'cleanup.policy': 'compact',
  'segment.ms': '2000',
  'segment.bytes': '1048576',
  'min.cleanable.dirty.ratio': '0.01',
}
const names = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h']

/**
 * A topic whose first segment holds nothing but the last batch of an idempotent producer, without its records: the broker keeps it for the
 * producer's sequence.
 */
async function emptied(topic: string): Promise<void> {
  const kafka = testKafka(broker.brokers)
  const createPartitioner = Partitioners.DefaultPartitioner
  const idempotent = kafka.producer({ createPartitioner, idempotent: true, maxInFlightRequests: 1 })
  const plain = kafka.producer({ createPartitioner })
  await Promise.all([idempotent.connect(), plain.connect()])
  // The two segments are too large together to become one.
  const filling = { headers: { ...record('a', 1).headers, filling: 'f'.repeat(100_000) } }
  const sent = (name: string, n: number) => ({ topic, messages: [record(name, n, filling)] })
  for (const name of names.slice(0, 5)) await idempotent.send(sent(name, 1))
  await new Promise((resolve) => setTimeout(resolve, 1.5 * Number(config['segment.ms'])))
  for (const name of names) await plain.send(sent(name, 2))
  await new Promise((resolve) => setTimeout(resolve, 1.5 * Number(config['segment.ms'])))
  await plain.send({ topic, messages: [record('last', 3)] })
  await Promise.all([idempotent.disconnect(), plain.disconnect()])
}

/** Whether kafkajs gets nothing from the beginning of the topic, over many fetches. */
async function stands(topic: string): Promise<boolean> {
  const consumer = testKafka(broker.brokers).consumer({ groupId: randomBytes(6).toString('hex'), maxWaitTimeInMs: 50 })
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: true })
  const answer = new Promise<boolean>((resolve) => {
    let fetches = 0
    consumer.on(consumer.events.FETCH, () => ++fetches === 50 && resolve(true))
    void consumer.run({ autoCommit: false, eachBatch: async () => resolve(false) })
  })
  const stood = await answer
  await consumer.disconnect()
  return stood
}

test('a batch that compaction has emptied stops kafkajs; the group goes on when its offset is set behind it', async () => {
  const topic = await createTopic('compacted', 1, { brokers: broker.brokers, config })
  await emptied(topic)
  while (!(await stands(topic)));
  const name = `compacted-${topic}`
  await withAdmin(
    (admin) => admin.setOffsets({ groupId: name, topic, partitions: [{ partition: 0, offset: '5' }] }),
    broker.brokers,
  )
  const projection = createProjection({
    prisma,
    name,
    events: eventsOf(topic),
    handlers: { Counted: (event, tx) => effect(tx, name, event) },
  })
  onTestFinished(() => projection.stop())
  projection.run(testKafka(broker.brokers)).catch(() => {})
  await projection.live
  const rows = await db.query<{ name: string; n: number }>('SELECT name, n FROM effects ORDER BY seq')
  expect(rows).toEqual([...names.map((one) => ({ name: one, n: 2 })), { name: 'last', n: 3 }])
})
