import { afterAll, beforeAll, expect, test } from 'vitest'
import type { KafkaCluster } from '../history/fault.ts'
import { useDatabase } from '../support/database.ts'
import { emptied, eventually } from '../support/eventually.ts'
import { startKafkaCluster } from '../support/kafka-cluster.ts'
import { createTopic } from '../support/topics.ts'
import { messageOfA, surfaces, twoRelays } from './surfaces.ts'

const database = useDatabase('all')
let cluster: KafkaCluster
beforeAll(async () => {
  cluster = await startKafkaCluster()
})
afterAll(async () => {
  await cluster?.remove()
})

test('a partition without enough replicas: every command and the other relay name it, until its broker is back', async () => {
  const topic = await createTopic('thin', 1, { brokers: cluster.direct, replication: 3, config: { 'min.insync.replicas': '3' } })
  const env = {
    DATABASE_URL: database.url,
    KAFKA_BROKERS: cluster.bootstrap,
    OUTBOX_LEASE_MS: '3000',
    OUTBOX_LISTEN: '127.0.0.1:0',
  }
  const { b } = await twoRelays(database, env)
  await cluster.brokers.at(-1)!.stop('SIGKILL')
  const id = await messageOfA(database, topic)
  // A connection that breaks with the broker is told first, for a moment.
  const named = JSON.stringify([{ topic, partition: 0, code: 'NOT_ENOUGH_REPLICAS' }])
  await eventually(database.pool, 'SELECT FROM outbox_relay WHERE trouble = $1::jsonb', [named])
  const words = `Partition 0 of ${topic}: not enough replicas.`
  const command = `kafka-topics.sh --bootstrap-server ${cluster.bootstrap} --describe --topic ${topic} --under-min-isr-partitions`
  for (const [name, text] of Object.entries(await surfaces({ id, topic, words }, b, env))) {
    expect(text, name).toContain(words)
    expect(text, name).toContain(command)
  }
  await cluster.brokers.at(-1)!.start()
  await emptied(database.pool)
}, 120_000)
