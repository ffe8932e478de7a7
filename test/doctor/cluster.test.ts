import type { Admin } from 'kafkajs'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { KafkaCluster } from '../history/fault.ts'
import { useDatabase } from '../support/database.ts'
import { startKafkaCluster } from '../support/kafka-cluster.ts'
import { createTopic, testKafka } from '../support/topics.ts'
import { judgeTopic } from './diagnose.ts'

const database = useDatabase('all')
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

const judged = (topic: string, value?: string) => judgeTopic(database, topic, cluster.bootstrap, value)
const levels = async (topic: string, value?: string) => (await judged(topic, value)).map(({ level }) => level)
const create = (config: Record<string, string> = {}) =>
  createTopic('doctor', 3, { brokers: cluster.direct, replication: 3, config })
const alter = (name: string, value: string, topic: string) =>
  admin.alterConfigs({ validateOnly: false, resources: [{ type: 2, name: topic, configEntries: [{ name, value }] }] })

test('a topic of three replicas, of which two must have a record, is well; of which one must, a warning', async () => {
  const topic = await create()
  const [well] = await judged(topic)
  expect(well).toMatchObject({ level: 'ok', finding: '3 partitions, 3 replicas, 3 in sync.' })
  await alter('min.insync.replicas', '1', topic)
  await expect.poll(() => levels(topic), { timeout: 20_000 }).toEqual(['warning'])
  expect((await judged(topic))[0]!.fix).toContain('--add-config min.insync.replicas=2')
})

test('one that is too small for what waits is a failure, and none once it is as large as the fix says', async () => {
  const topic = await create({ 'max.message.bytes': '2000' })
  expect(await levels(topic)).toEqual(['ok'])
  const value = 'x'.repeat(5_000)
  const [small] = await judged(topic, value)
  expect(small).toMatchObject({ level: 'failure', finding: 'A message of 5000 bytes waits, max.message.bytes is 2000.' })
  await alter('max.message.bytes', /max\.message\.bytes=(\d+)/.exec(small!.fix)![1]!, topic)
  await expect.poll(() => levels(topic, value), { timeout: 20_000 }).toEqual(['ok'])
  // With what the batch adds to it as well.
  const producer = testKafka(cluster.direct).producer()
  await producer.connect()
  const [taken] = await producer.send({ topic, messages: [{ value }] }).finally(() => producer.disconnect())
  expect(taken).toMatchObject({ errorCode: 0 })
})

test('fewer in sync than must have a record is a failure, until the missing broker is back', async () => {
  const topic = await create({ 'min.insync.replicas': '3' })
  // Followers join a new topic a moment later, and while a broker goes leaders change: what it comes to is waited for.
  await expect.poll(() => levels(topic), { timeout: 40_000 }).toEqual(['ok'])
  const last = cluster.brokers.at(-1)!
  await last.stop('SIGKILL')
  const short = { level: 'failure', finding: '2 in sync, min.insync.replicas 3.' }
  await expect.poll(async () => (await judged(topic))[0], { timeout: 40_000 }).toMatchObject(short)
  await last.start()
  await expect.poll(() => levels(topic), { timeout: 40_000 }).toEqual(['ok'])
})
