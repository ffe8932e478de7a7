import { afterAll, beforeAll, expect, test } from 'vitest'
import type { KafkaCluster } from '../history/fault.ts'
import { startKafkaCluster } from './kafka-cluster.ts'
import { createTopic, testKafka } from './topics.ts'

let cluster: KafkaCluster
beforeAll(async () => {
  cluster = await startKafkaCluster()
})
afterAll(() => cluster.remove())

test('three brokers behind proxies take a record, and go on taking after the leader of its partition was killed', async () => {
  const topic = await createTopic('cluster', 1, { brokers: cluster.direct, replication: 3 })
  const admin = testKafka(cluster.direct).admin()
  await admin.connect()
  const producer = testKafka(cluster.bootstrap).producer()
  await producer.connect()
  await producer.send({ topic, acks: -1, messages: [{ value: 'before' }] })
  const { topics } = await admin.fetchTopicMetadata({ topics: [topic] })
  const [partition] = topics[0]!.partitions
  expect([...partition!.replicas].sort()).toEqual([1, 2, 3])
  const leader = cluster.brokers.find(({ id }) => id === partition!.leader)!
  await leader.stop('SIGKILL')
  // The proxy of a dead broker accepts and resets: a plain client uses up its retries on it before there is another leader.
  const leads = async () => (await admin.fetchTopicMetadata({ topics: [topic] })).topics[0]!.partitions[0]!.leader
  await expect.poll(leads, { timeout: 30_000 }).not.toBe(leader.id)
  await expect.poll(() => producer.send({ topic, acks: -1, messages: [{ value: 'after' }] }), { timeout: 30_000 }).toHaveLength(1)
  await leader.start()
  expect((await admin.fetchTopicOffsets(topic))[0]!.high).toBe('2')
  await Promise.all([admin.disconnect(), producer.disconnect()])
})
