import { randomUUID } from 'node:crypto'
import { CompressionTypes, type Consumer, type Kafka, type Message, Partitioners, type Producer } from 'kafkajs'
import { afterAll, beforeAll, beforeEach, onTestFinished } from 'vitest'
import { z } from 'zod'
import type { Inbox } from '../../src/inbox/inbox/inbox.ts'
import { createInbox, type InboxEvent, type InboxEvents, type InboxOptions } from '../../src/inbox/index.ts'
import { defineEvents, event } from '../../src/index.ts'
import { shopSql } from '../enqueue/clients.ts'
import { createDatabase, type TestDatabase } from '../support/database.ts'
import { inboxSql } from '../support/migrations.ts'
import { createTopic, testKafka } from '../support/topics.ts'
import { type Client, type ConnectOptions, prisma7Version, raw, type Tx } from './versions.ts'

export type { Client, Tx }

/** What handlers of the tests write: one row for each time that one ran and committed. */
export const effectsSql = `
CREATE TABLE effects (seq bigserial PRIMARY KEY, consumer text NOT NULL, message_id uuid NOT NULL, name text NOT NULL, n int NOT NULL,
  at timestamptz NOT NULL DEFAULT clock_timestamp());`

/** A client of Prisma 7. */
export const connect = (url: string, max?: number, adapt?: ConnectOptions['adapt']): Client =>
  prisma7Version.connect(url, { max, adapt })

export const inboxDatabase = (): Promise<TestDatabase> => createDatabase(inboxSql + shopSql + effectsSql)

/** Payload of the newest `Counted`. */
export const schemaOfCounted = z.object({ name: z.string(), n: z.number() })

/** Events of a topic: `Counted` has two versions, `Other` a type of its own. */
export const eventsOf = (topic: string) =>
  defineEvents({
    Counted: event({ topic, key: ({ name }) => name, schema: z.object({ name: z.string(), count: z.string() }) }).evolve({
      key: ({ name }) => name,
      schema: z.object({ name: z.string(), n: z.number() }),
      up: ({ name, count }) => ({ name, n: Number(count) }),
    }),
    Other: event({ topic, key: ({ name }) => name, schema: z.object({ name: z.string(), n: z.number() }) }),
  })
export type Events = ReturnType<typeof eventsOf>

/** An effect of a message. */
export const effect = (tx: Tx, consumer: string, { id, payload }: { id: string; payload: { name: string; n: number } }) =>
  raw(tx)
    .execute`INSERT INTO effects (consumer, message_id, name, n) VALUES (${consumer}, ${id}::uuid, ${payload.name}, ${payload.n})`

/** A record as the relay writes it. */
export function record(
  name: string,
  n: number,
  more: Partial<Message> & { id?: string; type?: string; version?: string } = {},
): Message {
  const { id = randomUUID(), type = 'Counted', version = '2', ...rest } = more
  const headers = { id, type, version, 'content-type': 'application/json', 'created-at': '2026-11-25T20:00:00.000Z' }
  return { key: name, value: JSON.stringify({ name, n }), headers, ...rest }
}

/** A topic, and a plain producer for it. */
export interface Stage {
  topic: string
  kafka: Kafka
  events: Events
  producer: Producer
  /** Sends in order; the partition is that of the key, unless it is given. */
  send(messages: Message[]): Promise<void>
}

export async function createStage(partitions = 3, config: Record<string, string> = {}): Promise<Stage> {
  const topic = await createTopic('inbox', partitions, { config })
  const kafka = testKafka()
  const producer = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner, allowAutoTopicCreation: false })
  await producer.connect()
  onTestFinished(() => producer.disconnect())
  return {
    topic,
    kafka,
    events: eventsOf(topic),
    producer,
    async send(messages) {
      await producer.send({ topic, messages, acks: -1, compression: CompressionTypes.None })
    },
  }
}

/** An inbox that runs until the test is over, and what it told. */
export interface Running {
  inbox: Inbox
  consumer: Consumer
  /** How `run` ended. */
  done: Promise<unknown>
  told: { event: InboxEvent; fields: InboxEvents[InboxEvent]; at: number }[]
  /** Resolves with the first event, past or future, that fits. */
  until<E extends InboxEvent>(event: E, fits?: (fields: InboxEvents[E]) => boolean): Promise<InboxEvents[E]>
  /** Resolves when so many events, past or future, have been told that fit. */
  times<E extends InboxEvent>(event: E, times: number, fits?: (fields: InboxEvents[E]) => boolean): Promise<InboxEvents[E]>
  /** What was told of an event so far. */
  all<E extends InboxEvent>(event: E): InboxEvents[E][]
}

type Options<C, B extends number | undefined> = Omit<InboxOptions<C, Events, B>, 'prisma' | 'consumer' | 'events'>

interface StartOptions {
  kafka?: Kafka
  concurrently?: number
}

/** Starts an inbox for a stage. */
export function start<C extends object, const B extends number | undefined = undefined>(
  stage: Stage,
  prisma: C,
  consumer: string,
  options: Options<C, B>,
  { kafka = stage.kafka, concurrently = 1 }: StartOptions = {},
): Running {
  const given = { prisma, consumer, events: stage.events, retry: { firstMs: 50, maxMs: 100 }, ...options }
  const inbox = createInbox<C, Events, B>(given as InboxOptions<C, Events, B>)
  const told: Running['told'] = []
  const lookers = new Set<() => void>()
  inbox.on('*', (event, fields) => {
    told.push({ event, fields, at: performance.now() })
    for (const look of lookers) look()
  })
  const kafkaConsumer = kafka.consumer(inbox.consumerConfig({ groupId: `${consumer}-${stage.topic}`, rebalanceTimeout: 10_000 }))
  const done = inbox.run(kafkaConsumer, { partitionsConsumedConcurrently: concurrently })
  done.catch(() => {})
  onTestFinished(() => inbox.stop())
  const all: Running['all'] = (event) => told.filter((one) => one.event === event).map(({ fields }) => fields as never)
  const times: Running['times'] = (event, count, fits = () => true) =>
    new Promise((resolve, reject) => {
      const look = () => {
        const found = all(event).filter(fits)[count - 1]
        if (!found) return
        lookers.delete(look)
        resolve(found)
      }
      lookers.add(look)
      look()
      done.catch(reject)
    })
  return { inbox, consumer: kafkaConsumer, done, told, all, times, until: (event, fits) => times(event, 1, fits) }
}

/** The database of a test file, empty before each test, and the consumer `mail`, which works on it. */
export function useMail(version = prisma7Version) {
  let db: TestDatabase
  let prisma: Client
  beforeAll(async () => {
    db = await inboxDatabase()
    prisma = version.connect(db.url)
  })
  beforeEach(() => db.query('TRUNCATE inbox, inbox_dead_letter, effects, outbox'))
  afterAll(async () => {
    await prisma.$disconnect()
    await db.drop()
  })
  const query: TestDatabase['query'] = (sql, values) => db.query(sql, values)
  const effects = () => query<{ name: string; n: number }>('SELECT name, n FROM effects ORDER BY seq')
  return {
    query,
    url: () => db.url,
    /** Its client. */
    client: () => prisma,
    /** Starts it with these options; without handlers each message has an effect. */
    startMail: (stage: Stage, options: Partial<Options<Client, undefined>> = {}, more?: StartOptions) =>
      start(stage, prisma, 'mail', { handlers: { Counted: (event, tx) => effect(tx, 'mail', event) }, ...options }, more),
    /** What its messages have done, in the order of their transactions. */
    effects,
    /** The numbers of those of a name; of all without one. */
    numbers: async (name?: string) =>
      (await effects()).filter((row) => name === undefined || row.name === name).map(({ n }) => n),
  }
}
