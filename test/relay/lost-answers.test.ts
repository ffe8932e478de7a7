import type { Admin } from 'kafkajs'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { kafkajsTransport } from '../../src/transport/kafkajs/kafkajs.ts'
import { platformaticTransport } from '../../src/transport/platformatic/platformatic.ts'
import type { Transport } from '../../src/transport/transport.ts'
import type { Ground, KafkaCluster } from '../history/fault.ts'
import { allFaults } from '../history/faults.ts'
import { createDatabase, type TestDatabase } from '../support/database.ts'
import { emptied } from '../support/eventually.ts'
import { startKafkaCluster } from '../support/kafka-cluster.ts'
import { numberOf } from '../support/numbered.ts'
import { testRelay } from '../support/relay.ts'
import { insertMany } from '../support/rows.ts'
import { createTopic, readTopic, testKafka } from '../support/topics.ts'

let cluster: KafkaCluster
let admin: Admin
let database: TestDatabase
beforeAll(async () => {
  cluster = await startKafkaCluster()
  admin = testKafka(cluster.direct).admin()
  await admin.connect()
})
afterAll(async () => {
  await admin?.disconnect()
  await cluster?.remove()
})
beforeEach(async () => {
  database = await createDatabase()
})
afterEach(() => database.drop())

const seconds = Number(process.env.LOST_ANSWERS_SECONDS ?? 6)
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

/** Brokers append and replicate, and their answers are lost: held back for a moment, and then every connection is broken. */
function loseAnswers(): () => void {
  const ends = cluster.brokers.map(({ proxy }) => proxy.impose({ kind: 'slow-produce', ms: 100 }))
  let turn = 0
  const breaking = setInterval(() => cluster.brokers[turn++ % 3]!.proxy.impose({ kind: 'reset' }), 150)
  return () => {
    clearInterval(breaking)
    for (const end of ends) end()
  }
}

/** Publishes under load while answers are lost and leaders move; gives what stands in the log, and the batches of unknown outcome. */
async function suffer(transport: Transport): Promise<{ written: number; logged: number[]; doubts: number; lost: object[] }> {
  const topic = await createTopic('lost', 6, { brokers: cluster.direct, replication: 3 })
  const ground = { random: () => 0.4, kafka: cluster, admin, topics: { steady: [topic], doomed: topic }, note: () => {} }
  await using one = testRelay(database.url, transport)
  await one.relay.start()
  await insertMany(database.pool, topic, 60, 24)
  await emptied(database.pool)
  const heal = loseAnswers()
  const until = performance.now() + seconds * 1_000
  let written = 60
  while (performance.now() < until) {
    const back = await allFaults.find(({ name }) => name === 'kafka-leaders-move')!.begin(ground as unknown as Ground)
    for (let n = 0; n < 10; n++, written += 60) {
      await insertMany(database.pool, topic, 60, 24)
      await sleep(100)
    }
    await back()
  }
  heal()
  await emptied(database.pool)
  const doubts = one.all('publish_failed').filter(({ kind }) => kind === 'unknown').length
  expect(one.all('leases_lost')).toEqual([])
  const logged = (await readTopic(topic, cluster.direct)).map(numberOf)
  return { written, logged, doubts, lost: one.all('sequence_lost') }
}

describe.each([
  ['kafkajs', () => kafkajsTransport({ brokers: cluster.bootstrap.split(',') })],
  ['platformatic', () => platformaticTransport({ brokers: cluster.bootstrap.split(',') })],
] as const)('over %s', (name, open) => {
  test('lost answers and moving leaders make no copy', async () => {
    const { written, logged, doubts, lost } = await suffer(open())
    console.log(`${name}: ${written} messages, ${doubts} requests of unknown outcome, ${logged.length - written} copies`)
    expect(doubts).toBeGreaterThan(10)
    expect(logged).toHaveLength(written)
    expect(lost).toEqual([])
  }, 120_000)
})

test('the same makes copies without producer ids: the test is not blind', async () => {
  const transport = kafkajsTransport({ brokers: cluster.bootstrap.split(',') })
  Object.assign(transport, { producerId: undefined })
  const { written, logged, doubts } = await suffer(transport)
  console.log(`without numbers: ${written} messages, ${doubts} requests of unknown outcome, ${logged.length - written} copies`)
  expect(logged.length).toBeGreaterThan(written)
}, 120_000)
