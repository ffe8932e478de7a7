import type { Admin } from 'kafkajs'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { bucketOf } from '../../src/message/key.ts'
import { kafkajsTransport } from '../../src/transport/kafkajs/kafkajs.ts'
import type { Ground, KafkaCluster } from '../history/fault.ts'
import { allFaults } from '../history/faults.ts'
import { type TestDatabase, useDatabase } from '../support/database.ts'
import { emptied } from '../support/eventually.ts'
import { startKafkaCluster } from '../support/kafka-cluster.ts'
import { startedRelay, type TestRelay } from '../support/relay.ts'
import { createTopic, readTopic, testKafka } from '../support/topics.ts'

let cluster: KafkaCluster
let admin: Admin
beforeAll(async () => {
  cluster = await startKafkaCluster()
  admin = testKafka(cluster.direct).admin()
  await admin.connect()
})
afterAll(async () => {
  await admin?.disconnect()
  await cluster?.remove()
})

const database = useDatabase()
let topic: string
beforeEach(async () => {
  topic = await createTopic('brokers', 6, { brokers: cluster.direct, replication: 3 })
})

const keys = Array.from({ length: 24 }, (_, index) => `key-${index}`)

/** Writes one message of every key, thirty times a second, until it is told to stop; resolves with the number of rounds. */
function load(pool: TestDatabase['pool']): () => Promise<number> {
  let over = false
  const buckets = keys.map((key) => bucketOf(topic, Buffer.from(key)))
  const work = async () => {
    let round = 0
    for (; !over; round++) {
      await pool.query(
        `INSERT INTO outbox (bucket, message_id, topic, key, value)
         SELECT bucket, gen_random_uuid(), $1, convert_to(key, 'UTF8'), convert_to($2, 'UTF8') FROM unnest($3::int[], $4::text[]) AS row (bucket, key)`,
        [topic, String(round), buckets, keys],
      )
      await new Promise((resolve) => setTimeout(resolve, 33))
    }
    return round
  }
  const working = work()
  return () => {
    over = true
    return working
  }
}

/** What the faults of Kafka touch of the ground. */
const ground = () =>
  ({ random: () => 0.4, kafka: cluster, admin, topics: { steady: [topic], doomed: topic }, note: () => {} }) as unknown as Ground

/** Every message stands in the log, and what came first of each key is in order. */
async function expectAllInOrder(rounds: number): Promise<void> {
  const first = new Map<string, number[]>()
  for (const { key, value } of await readTopic(topic, cluster.direct)) {
    const list = first.get(String(key)) ?? []
    if (!list.includes(Number(value))) list.push(Number(value))
    first.set(String(key), list)
  }
  const all = Array.from({ length: rounds }, (_, round) => round)
  for (const key of keys) expect(first.get(key), key).toEqual(all)
}

/** Resolves when so many partitions have been published to from now on. */
async function goOn(one: TestRelay, partitions: number): Promise<void> {
  const past = new Set(one.all('published'))
  const seen = new Set<number>()
  while (seen.size < partitions) {
    const { partition } = await one.until('published', (fields) => !past.has(fields) && !seen.has(fields.partition))
    seen.add(partition)
  }
}

describe('a relay on three brokers delivers everything in order', () => {
  // Each fault with the code that shows it in force, and the partitions that take messages while it lasts.
  test.each([
    ['kafka-black-hole', 'TIMEOUT', 4],
    ['broker-sigkill', undefined, 6],
    ['broker-sigterm', undefined, 6],
    ['broker-sigstop', 'TIMEOUT', 4],
    ['kafka-broken-isr', 'NOT_ENOUGH_REPLICAS', 0],
    // Reset while a request is on its way, refused when the next one connects.
    ['kafka-all-refuse', 'ECONNRESET or ECONNREFUSED', 0],
    ['topic-acl', 'TOPIC_AUTHORIZATION_FAILED', 0],
  ])(
    'through %s, told as %s, during which %i of six partitions go on',
    async (name, code, partitions) => {
      await using one = await startedRelay(database.url, kafkajsTransport({ brokers: cluster.bootstrap.split(',') }))
      const stop = load(database.pool)
      await goOn(one, 6)
      const heal = await allFaults.find((fault) => fault.name === name)!.begin(ground())
      await one.until('publish_failed', (failed) => code === undefined || code.split(' or ').includes(failed.code))
      await goOn(one, partitions)
      await heal()
      await goOn(one, 6)
      const rounds = await stop()
      await emptied(database.pool)
      await expectAllInOrder(rounds)
      expect(one.all('kafka_recovered').length).toBe(one.all('kafka_trouble').length)
      expect(one.all('topic_resumed').length).toBe(one.all('topic_paused').length)
    },
    120_000,
  )
})
