import { randomBytes, randomUUID } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import type { Admin, Kafka } from 'kafkajs'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { createInbox, createProjection, type InboxEvents } from '../../src/inbox/index.ts'
import { defineEvents, event } from '../../src/index.ts'
import { type KafkaServer, startKafka } from '../support/kafka.ts'
import { testKafka } from '../support/topics.ts'
import { eventsOf, record, schemaOfCounted, useMail } from './stage.ts'

// Topics that are missing, or that grow, on a broker as Kafka ships it: it creates the topics that clients ask for.

const { client } = useMail()
let broker: KafkaServer
let kafka: Kafka
let admin: Admin
beforeAll(async () => {
  broker = await startKafka({ 'auto.create.topics.enable': 'true' })
  kafka = testKafka(broker.brokers)
  admin = kafka.admin()
  await admin.connect()
})
afterAll(async () => {
  await admin?.disconnect()
  await broker?.remove()
})

const newTopic = (name: string) => `${name}-${randomBytes(4).toString('hex')}`
type Crash = InboxEvents['consumer_crashed']

/** Starts an inbox on topics, until the test is over. */
function startInbox(topics: readonly string[]) {
  const events = defineEvents(
    Object.fromEntries(
      topics.map((topic, n) => [`Event${n}`, event({ topic, key: ({ name }) => name, schema: schemaOfCounted })]),
    ),
  )
  const handlers = Object.fromEntries(topics.map((_, n) => [`Event${n}`, () => {}]))
  const consumer = `mail-${randomUUID()}`
  const inbox = createInbox({ prisma: client(), consumer, events, handlers } as never)
  onTestFinished(() => inbox.stop())
  const crashes: Crash[] = []
  const crashed = new Promise<Crash>((resolve) => {
    inbox.on('consumer_crashed', (crash) => {
      crashes.push(crash)
      if (crashes.length === 2) resolve(crash)
    })
  })
  const applied = new Promise<InboxEvents['applied']>((resolve) => inbox.on('applied', resolve))
  inbox.run(kafka.consumer(inbox.consumerConfig())).catch(() => {})
  return { crashed, applied }
}

const send = async (topic: string, type: string) => {
  const producer = kafka.producer({ allowAutoTopicCreation: false })
  await producer.connect()
  await producer.send({ topic, messages: [record('k', 1, { type, version: '1' })] })
  await producer.disconnect()
}

test('an inbox waits for a topic that is missing, names it and its code, and does not create it', async () => {
  const topic = newTopic('missing')
  const { crashed, applied } = startInbox([topic])
  expect(await crashed).toMatchObject({ code: 'UNKNOWN_TOPIC_OR_PARTITION', topic, restart: true })
  expect(await admin.listTopics()).not.toContain(topic)
  await admin.createTopics({ topics: [{ topic, numPartitions: 3 }] })
  await send(topic, 'Event0')
  expect(await applied).toMatchObject({ topic, messages: 1 })
  expect((await admin.fetchTopicMetadata({ topics: [topic] })).topics[0]!.partitions).toHaveLength(3)
})

test('of two topics the missing one is named', async () => {
  const [there, missing] = [newTopic('there'), newTopic('missing')]
  await admin.createTopics({ topics: [{ topic: there }] })
  const { crashed } = startInbox([there, missing])
  expect(await crashed).toMatchObject({ topic: missing })
  expect(await admin.listTopics()).not.toContain(missing)
})

test('a topic that is deleted while it is read stays deleted', async () => {
  const topic = newTopic('deleted')
  await admin.createTopics({ topics: [{ topic }] })
  await send(topic, 'Event0')
  const { crashed, applied } = startInbox([topic])
  await applied
  await admin.deleteTopics({ topics: [topic] })
  expect((await crashed).code).toBe('UNKNOWN_TOPIC_OR_PARTITION')
  expect(await admin.listTopics()).not.toContain(topic)
})

test('a projection waits for a topic that is missing, and does not create it', async () => {
  const topic = newTopic('missing')
  const view = createProjection({
    prisma: client(),
    name: `view-${topic}`,
    events: eventsOf(topic),
    handlers: { Counted: () => {} },
  })
  onTestFinished(() => view.stop())
  const crashed = new Promise<Crash>((resolve) => view.on('consumer_crashed', resolve))
  view.run(kafka).catch(() => {})
  expect(await crashed).toMatchObject({ code: 'UNKNOWN_TOPIC_OR_PARTITION', topic, restart: true })
  expect(await admin.listTopics()).not.toContain(topic)
  await admin.createTopics({ topics: [{ topic, numPartitions: 2 }] })
  await view.live
})

test('partitions that are added to a topic are read within a minute, by an inbox and by a projection', {
  timeout: 90_000,
}, async () => {
  const topic = newTopic('grows')
  await admin.createTopics({ topics: [{ topic, numPartitions: 1 }] })
  const events = eventsOf(topic)
  const prisma = client()
  const inbox = createInbox({ prisma, consumer: `mail-${topic}`, events, handlers: { Counted: () => {} } })
  const view = createProjection({ prisma, name: `view-${topic}`, events, handlers: { Counted: () => {} } })
  for (const one of [inbox, view]) onTestFinished(() => one.stop())
  const assigned = [
    new Promise((resolve) => inbox.on('partitions_assigned', resolve)),
    new Promise((resolve) => view.on('partitions_assigned', resolve)),
  ]
  const read = [new Promise((resolve) => inbox.on('applied', resolve)), new Promise((resolve) => view.on('projected', resolve))]
  inbox.run(kafka.consumer(inbox.consumerConfig())).catch(() => {})
  view.run(kafka).catch(() => {})
  await Promise.all(assigned)
  await admin.createPartitions({ topicPartitions: [{ topic, count: 2 }] })
  const producer = kafka.producer({ allowAutoTopicCreation: false })
  await producer.connect()
  await producer.send({ topic, messages: [record('k', 1, { partition: 1 })] })
  await producer.disconnect()
  const late = pause(60_000, 'not within a minute', { ref: false })
  expect(await Promise.race([Promise.all(read), late])).toMatchObject([{ partition: 1 }, { partition: 1 }])
})
