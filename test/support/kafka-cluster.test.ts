import { afterAll, beforeAll, expect, test } from 'vitest'
import type { KafkaCluster } from '../history/fault.ts'
import { startKafkaCluster } from './kafka-cluster.ts'
import { createTopic, readTopic, testKafka } from './topics.ts'

let cluster: KafkaCluster
beforeAll(async () => {
  cluster = await startKafkaCluster()
})
afterAll(() => cluster.remove())

test('three brokers behind proxies take a record, and go on taking after the leader of its partition was killed', async () => {
  const topic = await createTopic('cluster', 1, { brokers: cluster.direct, replication: 3 })
  await send(topic, 'before')
  const { replicas, leader } = await partitionOf(topic)
  expect([...replicas].sort()).toEqual([1, 2, 3])
  const killed = cluster.brokers.find(({ id }) => id === leader)!
  await killed.stop('SIGKILL')
  await expect.poll(async () => (await partitionOf(topic)).leader, { timeout: 30_000 }).not.toBe(leader)
  await expect.poll(() => send(topic, 'after').then(() => 'taken'), { timeout: 30_000 }).toBe('taken')
  await killed.start()
  expect((await readTopic(topic, cluster.direct)).map(({ value }) => String(value))).toEqual(['before', 'after'])
})

// Clients of their own for every look: one that has known the dead broker goes on asking it, and uses up its retries there.

async function partitionOf(topic: string): Promise<{ replicas: number[]; leader: number }> {
  const admin = testKafka(cluster.direct).admin()
  await admin.connect()
  const { topics } = await admin.fetchTopicMetadata({ topics: [topic] })
  await admin.disconnect()
  return topics[0]!.partitions[0]!
}

async function send(topic: string, value: string): Promise<void> {
  const producer = testKafka(cluster.bootstrap).producer()
  await producer.connect()
  await producer.send({ topic, acks: -1, messages: [{ value }] }).finally(() => producer.disconnect())
}
