import { expect, inject, onTestFinished, test } from 'vitest'
import { bucketOf } from '../../src/message/key.ts'
import { kafkajsTransport } from '../../src/transport/kafkajs/kafkajs.ts'
import { memoryTransport } from '../../src/transport/memory.ts'
import { platformaticTransport } from '../../src/transport/platformatic/platformatic.ts'
import { useDatabase } from '../support/database.ts'
import { emptied, eventually } from '../support/eventually.ts'
import { numbered } from '../support/numbered.ts'
import { startedRelay, type TestRelay, testRelay } from '../support/relay.ts'
import { action } from '../support/requests.ts'
import { insertMany, insertRows } from '../support/rows.ts'
import { createTopic } from '../support/topics.ts'

/** A relay that no broker answers, beside others (rule 5). */
const database = useDatabase()

/** Nobody listens there. */
const nowhere = ['127.0.0.1:1']
const brokers = () => inject('brokers').split(',')
const clients = { kafkajs: kafkajsTransport, platformatic: platformaticTransport }
const leaseMs = 3_000

/** The relay without Kafka had half of the buckets. */
async function halves(good: TestRelay, bad: TestRelay): Promise<void> {
  await Promise.all([good.relay.start(), bad.relay.start()])
  await Promise.all([good, bad].map((one) => one.until('heartbeat', (e) => e.owned === 32)))
}

/** A key whose bucket that relay holds. */
async function keyOf(relay: TestRelay, topic: string): Promise<string> {
  const rows = await database.query<{ bucket: number }>('SELECT bucket FROM outbox_lease WHERE owner = $1', [relay.relay.id])
  const own = new Set(rows.map(({ bucket }) => bucket))
  return Array.from({ length: 1_000 }, (_, n) => `k${n}`).find((key) => own.has(bucketOf(topic, Buffer.from(key))))!
}

test.each(['kafkajs', 'platformatic'] as const)(
  'traffic on one key only, and that of the relay without Kafka: it flows within two lease times (%s)',
  async (client) => {
    const topic = await createTopic('cut-off', 2)
    await using good = testRelay(database.url, clients[client]({ brokers: brokers() }))
    await using bad = testRelay(database.url, clients[client]({ brokers: nowhere }))
    await halves(good, bad)
    const released = good.all('leases_released').length
    const began = performance.now()
    await insertRows(database.pool, numbered(topic, await keyOf(bad, topic), 1))
    await emptied(database.pool)
    expect(performance.now() - began).toBeLessThan(2 * leaseMs)
    expect(bad.all('gave_up')).toMatchObject([{ owned: 32 }])
    expect(good.all('gave_up')).toEqual([])
    // It is there to be seen, and takes nothing.
    await good.until('leases_taken', (e) => e.owned === 64)
    const beats = bad.all('heartbeat').length
    await bad.until('heartbeat', () => bad.all('heartbeat').length > beats + 12)
    expect(await database.query('SELECT 1 FROM outbox_relay')).toHaveLength(2)
    expect(good.all('leases_released')).toHaveLength(released)
  },
)

test('even traffic flows too, and a relay that comes without Kafka takes nothing from one that has it', async () => {
  const topic = await createTopic('cut-off', 2)
  await using good = testRelay(database.url, kafkajsTransport({ brokers: brokers() }))
  await good.relay.start()
  await good.until('leases_taken', (e) => e.owned === 64)
  await database.query("UPDATE outbox_relay SET started_at = started_at - interval '1 hour'")
  await using _bad = await startedRelay(database.url, kafkajsTransport({ brokers: nowhere }))
  await insertMany(database.pool, topic, 640, 640)
  await emptied(database.pool)
  // The first lease time it may still be answered, and has a share. Then the healthy one has all.
  await eventually(database.pool, 'SELECT FROM outbox_lease WHERE owner = $1 HAVING count(*) = 64', [good.relay.id])
  await insertMany(database.pool, topic, 640, 640)
  await emptied(database.pool)
})

test('if no broker answers anybody, buckets are kept, and requests of operators carried out', async () => {
  await using a = testRelay(database.url, kafkajsTransport({ brokers: nowhere }))
  await using b = testRelay(database.url, kafkajsTransport({ brokers: nowhere }))
  await halves(a, b)
  for (const one of [a, b]) {
    const beats = Math.ceil((1.5 * leaseMs) / (leaseMs / 10))
    await one.until('heartbeat', () => one.all('heartbeat').length > beats)
  }
  await database.query(
    `INSERT INTO outbox_dead_letter (bucket, id, message_id, topic, key, value, created_at, reason, relay)
     SELECT b, 1 + b, gen_random_uuid(), 't', NULL, '', now(), 'R', 'r' FROM generate_series(0, 63) AS b`,
  )
  expect(await action(database.pool, 'discard')).toBe(64)
  await eventually(database.pool, 'SELECT WHERE NOT EXISTS (SELECT FROM outbox_dead_letter)')
  expect([...a.all('gave_up'), ...b.all('gave_up')]).toEqual([])
  expect(await database.query('SELECT 1 FROM outbox_lease WHERE leased_until > now()')).toHaveLength(64)
})

test('in an outage of all of Kafka nobody yields to the relay that was answered last, nor afterwards to the first', async () => {
  const [x, y] = [memoryTransport({ partitions: 1 }), memoryTransport({ partitions: 1 })]
  const slow = { leaseMs: 2 * leaseMs }
  await using a = testRelay(database.url, x, slow)
  await using b = testRelay(database.url, y, slow)
  await halves(a, b)
  await insertMany(database.pool, 't', 640, 640)
  await emptied(database.pool)
  const released = () => [a, b].flatMap((one) => one.all('leases_released')).length
  const atFirst = released()
  x.goDown()
  // One is answered some heartbeats longer than the other.
  const beats = a.all('heartbeat').length
  await a.until('heartbeat', () => (a.all('heartbeat').slice(beats).at(-1)?.silentMs ?? 0) > slow.leaseMs / 6)
  await insertRows(database.pool, numbered('t', await keyOf(b, 't'), 1))
  await emptied(database.pool)
  // Its question stays open: neither an answer nor a failure.
  y.pause()
  await eventually(
    database.pool,
    `SELECT FROM outbox_relay HAVING max(answered_at) < now() - interval '${1.5 * slow.leaseMs} milliseconds'`,
  )
  x.goUp()
  await eventually(database.pool, "SELECT FROM outbox_relay WHERE answered_at > now() - interval '1 second'")
  const before = b.all('heartbeat').length
  await b.until('heartbeat', () => b.all('heartbeat').length > before + 1)
  y.resume()
  const since = b.all('heartbeat').length
  await b.until('heartbeat', () => b.all('heartbeat').length > since + 12)
  expect([...a.all('gave_up'), ...b.all('gave_up')]).toEqual([])
  expect(released()).toBe(atFirst)
})

test('after a long outage with messages waiting nobody yields to the relay that was acknowledged first', async () => {
  const [x, y] = [memoryTransport({ partitions: 1 }), memoryTransport({ partitions: 1 })]
  await using a = testRelay(database.url, x)
  await using b = testRelay(database.url, y)
  await halves(a, b)
  x.goDown()
  y.goDown()
  await insertMany(database.pool, 't', 640, 640)
  await eventually(
    database.pool,
    `SELECT FROM outbox_relay HAVING max(answered_at) < now() - interval '${3.5 * leaseMs} milliseconds'`,
  )
  const released = () => [a, b].flatMap((one) => one.all('leases_released')).length
  const atFirst = released()
  // The other's question stays open for some heartbeats.
  y.pause()
  y.goUp()
  x.goUp()
  await eventually(database.pool, 'SELECT FROM outbox_relay WHERE acked_at IS NOT NULL')
  const before = b.all('heartbeat').length
  await b.until('heartbeat', () => b.all('heartbeat').length > before + 3)
  y.resume()
  await emptied(database.pool)
  expect([...a.all('gave_up'), ...b.all('gave_up')]).toEqual([])
  expect(released()).toBe(atFirst)
})

test('a relay with little to send keeps its buckets when a message is refused for a moment, though a peer is acknowledged all the time', async () => {
  const [x, y] = [memoryTransport({ partitions: 1 }), memoryTransport({ partitions: 1 })]
  await using rare = testRelay(database.url, x)
  await using busy = testRelay(database.url, y)
  await halves(rare, busy)
  const { pool } = database
  const key = await keyOf(busy, 't')
  const more = setInterval(() => void insertRows(pool, numbered('t', key, 1)).catch(() => {}), 200)
  onTestFinished(() => clearInterval(more))
  const since = rare.all('heartbeat').length
  await rare.until('heartbeat', () => rare.all('heartbeat').length > since + 35)
  const accept = x.refuse(() => true, {
    outcome: { kind: 'not-written', scope: 'transient', code: 'NOT_LEADER_OR_FOLLOWER', error: 'no' },
  })
  await insertRows(pool, numbered('t', await keyOf(rare, 't'), 1))
  await x.called(1)
  const beats = rare.all('heartbeat').length
  await rare.until('heartbeat', () => rare.all('heartbeat').length > beats + 2)
  accept()
  clearInterval(more)
  await emptied(pool)
  expect(rare.all('gave_up')).toEqual([])
})

test('a relay that Kafka answers and lets write nothing gives its buckets to one that may', async () => {
  const [none, all] = [memoryTransport({ partitions: 1 }), memoryTransport({ partitions: 1 })]
  none.refuse(() => true, {
    outcome: { kind: 'not-written', scope: 'producer', code: 'CLUSTER_AUTHORIZATION_FAILED', error: 'no' },
  })
  await using bad = testRelay(database.url, none)
  await using good = testRelay(database.url, all)
  await halves(good, bad)
  const { pool } = database
  const more = setInterval(() => void insertMany(pool, 't', 64, 64).catch(() => {}), 200)
  onTestFinished(() => clearInterval(more))
  await bad.until('gave_up')
  await good.until('leases_taken', (e) => e.owned === 64)
  clearInterval(more)
  await emptied(database.pool)
})

test('an idle relay asks at least once a lease time: its heartbeats say so', async () => {
  await using one = await startedRelay(database.url, kafkajsTransport({ brokers: brokers() }))
  await one.until('heartbeat', () => one.all('heartbeat').length > 25)
  const answered = `SELECT FROM outbox_relay WHERE answered_at > now() - interval '${leaseMs} milliseconds'`
  expect(await database.query(answered)).toHaveLength(1)
})
