import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { placementHash } from '../../src/message/key.ts'
import { kafkajsTransport } from '../../src/transport/kafkajs/kafkajs.ts'
import { platformaticTransport } from '../../src/transport/platformatic/platformatic.ts'
import type { Broker, KafkaCluster } from '../history/fault.ts'
import { useDatabase } from '../support/database.ts'
import { emptied } from '../support/eventually.ts'
import { startKafkaCluster } from '../support/kafka-cluster.ts'
import { numberOf } from '../support/numbered.ts'
import { startedRelay, type TestRelay } from '../support/relay.ts'
import { insertMany } from '../support/rows.ts'
import { createTopic, readTopic } from '../support/topics.ts'

// One topic, broker or partition of a real cluster in trouble, with a large backlog: the rest flows as if nothing were.

let cluster: KafkaCluster
beforeAll(async () => {
  cluster = await startKafkaCluster()
}, 120_000)
afterAll(async () => {
  await cluster?.remove()
})

const database = useDatabase()

/** A topic of twelve partitions on the brokers that are named for each, the leader first. */
const create = (name: string, placed: (partition: number) => number[], least: string): Promise<string> =>
  createTopic(name, 12, { brokers: cluster.direct, placed, config: { 'min.insync.replicas': least } })

/** Two brokers that stay well. */
const wellPlaced = (partition: number) => (partition % 2 ? [1, 2] : [2, 1])

/** A third of the partitions on the broker that gets into trouble, which leads them or follows. */
const partlyPlaced = (leads: boolean) => (partition: number) => (partition >= 4 ? wellPlaced(partition) : leads ? [3, 1] : [1, 3])

/** Resolves when that many records of the topic have been acknowledged. */
async function published(one: TestRelay, topic: string, count: number): Promise<void> {
  const done = () =>
    one
      .all('published')
      .filter((e) => e.topic === topic)
      .reduce((sum, e) => sum + e.records, 0)
  await one.until('published', () => done() >= count)
}

/** Milliseconds in which that many messages of a topic are published. */
async function flow(one: TestRelay, topic: string, count: number): Promise<number> {
  const before = one
    .all('published')
    .filter((e) => e.topic === topic)
    .reduce((sum, e) => sum + e.records, 0)
  const begun = performance.now()
  await insertMany(database.pool, topic, count, 100)
  await published(one, topic, before + count)
  return performance.now() - begun
}

/** How many of the messages of `insertMany` go to those partitions. */
function sharesOf(topic: string, count: number, which: (partition: number) => boolean): number {
  let found = 0
  for (let n = 1; n <= count; n++) if (which(placementHash(topic, Buffer.from(`key-${n % 500}`)) % 12)) found++
  return found
}

async function expectAllInOrder(topic: string, count: number): Promise<void> {
  const last = new Map<string, number>()
  const seen = new Set<number>()
  for (const record of await readTopic(topic, cluster.direct)) {
    const n = numberOf(record)
    if (seen.has(n)) continue
    seen.add(n)
    expect(n).toBeGreaterThan(last.get(String(record.key)) ?? 0)
    last.set(String(record.key), n)
  }
  expect(seen.size).toBe(count)
}

const troubled = (): Broker => cluster.brokers[2]!

const clients = [
  ['kafkajs', () => kafkajsTransport({ brokers: cluster.bootstrap.split(',') })],
  ['platformatic', () => platformaticTransport({ brokers: cluster.bootstrap.split(',') })],
] as const

describe.each(clients)('over %s', (_, transport) => {
  /** Publishes 5,000 healthy messages, causes the trouble, publishes 5,000 more, and ends it. Prints both rates. */
  async function compare(what: string, well: string, cause: (one: TestRelay) => Promise<() => Promise<void>>) {
    await using one = await startedRelay(database.url, transport(), { leaseMs: 10_000 })
    await flow(one, well, 1_000)
    const undisturbed = await flow(one, well, 5_000)
    const heal = await cause(one)
    const disturbed = await flow(one, well, 5_000)
    console.log(`${what}: ${Math.round(undisturbed)} ms undisturbed, ${Math.round(disturbed)} ms beside it`)
    await heal()
    await emptied(database.pool)
    expect(one.all('row_found_below_position')).toEqual([])
    expect(one.all('dead_lettered')).toEqual([])
    // Where the rest is kept waiting, it waits until the trouble ends, and that is not before.
    expect(disturbed).toBeLessThan(30_000)
  }

  test('a topic whose replicas are too few keeps no other topic waiting', async () => {
    const stuck = await create('stuck', () => [1, 2, 3], '3')
    const well = await create('well', wellPlaced, '2')
    await compare('a topic with NOT_ENOUGH_REPLICAS', well, async (one) => {
      await troubled().stop('SIGTERM')
      await insertMany(database.pool, stuck, 20_000, 500)
      await one.until('publish_failed', (e) => e.topic === stuck && e.code === 'NOT_ENOUGH_REPLICAS')
      return () => troubled().start()
    })
    await expectAllInOrder(stuck, 20_000)
  }, 180_000)

  test('partitions whose replicas are too few keep neither the others of their topic nor other topics waiting', async () => {
    const partly = await create('partly', partlyPlaced(false), '2')
    const well = await create('well', wellPlaced, '2')
    await compare('four partitions with NOT_ENOUGH_REPLICAS', well, async (one) => {
      await troubled().stop('SIGTERM')
      await insertMany(database.pool, partly, 20_000, 500)
      await one.until('publish_failed', (e) => e.topic === partly && e.code === 'NOT_ENOUGH_REPLICAS')
      await published(
        one,
        partly,
        sharesOf(partly, 20_000, (partition) => partition >= 4),
      )
      return () => troubled().start()
    })
    await expectAllInOrder(partly, 20_000)
  }, 180_000)

  test('nor do partitions whose broker only this relay cannot reach', async () => {
    const partly = await create('partly', partlyPlaced(true), '2')
    const well = await create('well', wellPlaced, '2')
    await compare('four partitions on a silent broker', well, async (one) => {
      const pass = troubled().proxy.impose({ kind: 'black-hole' })
      await insertMany(database.pool, partly, 20_000, 500)
      await one.until('publish_failed', (e) => e.topic === partly)
      await published(
        one,
        partly,
        sharesOf(partly, 20_000, (partition) => partition >= 4),
      )
      return async () => pass()
    })
    await expectAllInOrder(partly, 20_000)
  }, 180_000)

  test('a broker that answers a second after the time-out makes progress, with one copy for each unknown outcome at most', async () => {
    const topic = await create('slow', wellPlaced, '2')
    await using one = await startedRelay(database.url, transport(), { leaseMs: 10_000 })
    await flow(one, topic, 100)
    const passes = cluster.brokers.map(({ proxy }) => proxy.impose({ kind: 'slow-produce', ms: 6_000 }))
    await insertMany(database.pool, topic, 2_000, 100)
    await emptied(database.pool)
    for (const pass of passes) pass()
    const unknown = one.all('publish_failed').filter(({ kind }) => kind === 'unknown')
    const log = await readTopic(topic, cluster.direct)
    const copies = log.length - 2_100
    const most = unknown.reduce((sum, { records }) => sum + records, 0)
    console.log(`${unknown.length} unknown outcomes of ${most} records, ${copies} copies`)
    expect(unknown.length).toBeGreaterThan(0)
    // Each lane once: it learns how slow the broker is.
    expect(unknown.length).toBeLessThanOrEqual(12)
    expect(copies).toBeLessThanOrEqual(most)
    expect(one.all('leases_lost')).toEqual([])
  }, 120_000)
})
