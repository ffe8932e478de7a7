import { describe, expect, test } from 'vitest'
import { memoryTransport } from '../../src/transport/memory.ts'
import { useDatabase } from '../support/database.ts'
import { eventually } from '../support/eventually.ts'
import { shared, startedRelay, testRelay } from '../support/relay.ts'
import { action } from '../support/requests.ts'
import { insertMany, insertRows, times } from '../support/rows.ts'

const database = useDatabase()

const left = async () => Number((await database.query<{ n: string }>('SELECT count(*) AS n FROM outbox'))[0]!.n)
const numbers = (values: (Uint8Array | null)[]) => values.map((value) => JSON.parse(Buffer.from(value!).toString()).n)

test('a committed message is published with key, value and headers, and then deleted', async () => {
  const transport = memoryTransport()
  await using one = await startedRelay(database.url, transport)
  const messageId = '0197f3a0-0000-7000-8000-000000000001'
  await insertRows(database.pool, [
    { topic: 'orders', key: 'k', value: '{"a":1}', headers: { mine: 'x' }, type: 'OrderPlaced', messageId },
  ])
  await transport.written(1)
  const [record] = transport.records()
  expect(Buffer.from(record!.key!).toString()).toBe('k')
  expect(Buffer.from(record!.value!).toString()).toBe('{"a":1}')
  expect(record!.headers).toEqual({
    mine: 'x',
    id: messageId,
    type: 'OrderPlaced',
    'content-type': 'application/json',
    'created-at': expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/),
  })
  await one.until('settled')
  expect(await left()).toBe(0)
})

test('drains ten thousand messages of fifty keys, each once, each key in order', async () => {
  const transport = memoryTransport({ partitions: 12 })
  await insertMany(database.pool, 'orders', 10_000, 50)
  const one = testRelay(database.url, transport)
  const report = await one.relay.drain()
  expect(report).toEqual({
    published: 10_000,
    waiting: 0,
    blocked: 0,
    endedBy: 'empty',
    foreignBuckets: 0,
    pausedTopics: [],
    kafkaTrouble: null,
  })
  const records = transport.records()
  expect(records).toHaveLength(10_000)
  const byKey = group(records)
  for (const list of byKey.values()) {
    const order = numbers(list.map((record) => record.value))
    expect(order).toEqual([...order].sort((a, b) => a - b))
  }
  expect(one.all('row_found_below_position')).toEqual([])
  expect(one.all('wrong_bucket')).toEqual([])
  expect(await left()).toBe(0)
})

function group<T extends { key: Uint8Array | null }>(records: T[]): Map<string, T[]> {
  const map = new Map<string, T[]>()
  for (const record of records) {
    const key = Buffer.from(record.key!).toString()
    map.set(key, [...(map.get(key) ?? []), record])
  }
  return map
}

test('drains one hot key of ten thousand messages without reading much of it twice', async () => {
  const transport = memoryTransport()
  await insertMany(database.pool, 'orders', 10_000, 1)
  const one = testRelay(database.url, transport)
  await one.relay.drain()
  expect(numbers(transport.records().map((record) => record.value))).toEqual(Array.from({ length: 10_000 }, (_, n) => n + 1))
  const read = one.all('fetched').reduce((sum, fetched) => sum + fetched.rows, 0)
  expect(read).toBeLessThan(20_000)
})

test('messages without a key keep their order in one partition; `keyless: spread` uses all', async () => {
  const transport = memoryTransport({ partitions: 6 })
  await insertRows(
    database.pool,
    times(20, (n) => ({ topic: 't', value: `{"n":${n}}` })),
  )
  await testRelay(database.url, transport).relay.drain()
  expect(new Set(transport.records().map((record) => record.partition)).size).toBe(1)
  expect(numbers(transport.records().map((record) => record.value))).toEqual(Array.from({ length: 20 }, (_, n) => n))
  const spread = memoryTransport({ partitions: 6 })
  await insertRows(
    database.pool,
    times(20, (n) => ({ topic: 't', value: `{"n":${n}}` })),
  )
  await testRelay(database.url, spread, { keyless: 'spread' }).relay.drain()
  expect(new Set(spread.records().map((record) => record.partition)).size).toBe(6)
})

test('a row of a transaction that commits late is delivered, and later rows of its key after it', async () => {
  const transport = memoryTransport()
  await using _one = await startedRelay(database.url, transport)
  const late = await database.pool.connect()
  await late.query('BEGIN')
  await insertRows(late, [{ topic: 't', key: 'late', value: '{"n":1}' }])
  await insertRows(
    database.pool,
    times(30, (n) => ({ topic: 't', key: `k${n}`, value: `{"n":${n}}` })),
  )
  await transport.written(30)
  await late.query('COMMIT')
  late.release()
  await insertRows(database.pool, [{ topic: 't', key: 'late', value: '{"n":2}' }])
  await transport.written(32)
  const own = transport.records().filter((record) => Buffer.from(record.key!).toString() === 'late')
  expect(numbers(own.map((record) => record.value))).toEqual([1, 2])
})

describe('several relays', () => {
  test('two relays started together have half of the buckets each within two renewals, and every message once', async () => {
    const transport = memoryTransport()
    await using a = testRelay(database.url, shared(transport))
    await using b = testRelay(database.url, shared(transport))
    await Promise.all([a.relay.start(), b.relay.start()])
    await Promise.all([a, b].map((one) => one.until('heartbeat', (e) => e.owned === 32)))
    await insertMany(database.pool, 't', 2_000, 100)
    await transport.written(2_000)
    expect(transport.records()).toHaveLength(2_000)
    expect(a.all('published').length).toBeGreaterThan(0)
    expect(b.all('published').length).toBeGreaterThan(0)
  })

  test('a relay that stops gives its buckets to the other within two seconds, without a duplicate', async () => {
    const transport = memoryTransport()
    await using a = testRelay(database.url, shared(transport))
    const b = testRelay(database.url, shared(transport))
    await a.relay.start()
    await a.until('leases_taken', (e) => e.owned === 64)
    await b.relay.start()
    await b.until('leases_taken', (e) => e.owned === 32)
    await insertMany(database.pool, 't', 5_000, 100)
    await b.relay.stop()
    const stopped = performance.now()
    expect(b.all('stopped')).toMatchObject([{ clean: true }])
    await a.until('leases_taken', (e) => e.owned === 64 && performance.now() >= stopped)
    expect(performance.now() - stopped).toBeLessThan(2_000)
    await transport.written(5_000)
    await a.until('settled')
    expect(new Set(transport.records().map((record) => record.headers.id)).size).toBe(5_000)
    expect(transport.records()).toHaveLength(5_000)
  })
})

describe('a database that goes away', () => {
  test('terminated backends are replaced under a new epoch, nothing is lost, trouble is told once', async () => {
    const transport = memoryTransport()
    await using one = await startedRelay(database.url, transport)
    await one.until('leases_taken')
    await insertMany(database.pool, 't', 3_000, 30)
    for (let i = 0; i < 3; i++) {
      await transport.written(300 * (i + 1))
      await database.query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'prisma-extension-outbox' AND datname = current_database()",
      )
    }
    await insertMany(database.pool, 't', 1_000, 30)
    await transport.written(4_000)
    await one.until('database_recovered')
    const ids = transport.records().map((record) => record.headers.id)
    expect(new Set(ids).size).toBe(4_000)
    expect(one.all('database_trouble').length).toBeLessThanOrEqual(3)
  })
})

describe('refused messages', () => {
  const refusal = { outcome: { kind: 'not-written', scope: 'record', code: 'INVALID_RECORD', error: 'refused' } } as const
  const numberOf = (record: { value: Uint8Array | null }) => JSON.parse(Buffer.from(record.value!).toString()).n as number

  test('a poison record is found in its batch and dead-lettered; later ones of its key wait, other keys go on; a redrive keeps the order', async () => {
    const transport = memoryTransport({ partitions: 1 })
    await insertMany(database.pool, 't', 200, 4)
    const accept = transport.refuse((record) => numberOf(record) === 71, refusal)
    await using one = await startedRelay(database.url, transport)
    await one.until('dead_lettered')
    // Key of 71 has the numbers 3, 7, 11, …: 17 before it, 32 behind it.
    await transport.written(200 - 33)
    const dead = () =>
      database.query<{ id: string; reason: string | null }>('SELECT id, reason FROM outbox_dead_letter ORDER BY id')
    await eventually(database.pool, 'SELECT FROM outbox_dead_letter HAVING count(*) = 33')
    expect((await dead()).filter((row) => row.reason !== null)).toHaveLength(1)
    accept()
    await action(database.pool, 'redrive')
    await transport.written(200)
    expect(await dead()).toEqual([])
    const ownKey = transport
      .records()
      .map(numberOf)
      .filter((n) => n % 4 === 3)
    expect(ownKey).toEqual(Array.from({ length: 50 }, (_, i) => 4 * i + 3))
    expect(new Set(transport.records().map(numberOf)).size).toBe(200)
  })

  test('discarding the dead head lets those behind it go on', async () => {
    const transport = memoryTransport({ partitions: 1 })
    const [poison] = await insertRows(
      database.pool,
      [1, 2, 3].map((n) => ({ topic: 't', key: 'k', value: `{"n":${n}}` })),
    )
    transport.refuse((record) => numberOf(record) === 1, refusal)
    await using one = await startedRelay(database.url, transport)
    await one.until('blocked')
    // By hand, without a notification: it is looked for as well.
    await database.query("UPDATE outbox_dead_letter SET requested_action = 'discard' WHERE id = $1", [poison])
    await transport.written(2)
    expect(transport.records().map(numberOf)).toEqual([2, 3])
    expect(one.all('discarded')).toMatchObject([{ id: poison }])
  })

  test('a row too large to carry is dead-lettered without being loaded', async () => {
    const transport = memoryTransport()
    await insertRows(database.pool, [
      { topic: 't', key: 'k', value: 'x'.repeat(5_000) },
      { topic: 't', key: 'other', value: '{"n":2}' },
    ])
    await using one = await startedRelay(database.url, transport, { maxRowBytes: 1_000 })
    expect(await one.until('dead_lettered')).toMatchObject({ reason: 'MESSAGE_TOO_LARGE' })
    await transport.written(1)
  })

  test('six keys refused in a row with one code are a fault of the topic: it pauses, five are dead-lettered and no more', async () => {
    const transport = memoryTransport({ partitions: 1 })
    await insertRows(
      database.pool,
      times(20, (n) => ({ topic: 'bad', key: `k${n}`, value: `{"n":${n}}` })),
    )
    const accept = transport.refuse((_, batch) => batch.topic === 'bad', refusal)
    await using one = await startedRelay(database.url, transport)
    expect(await one.until('topic_paused')).toMatchObject({ topic: 'bad', code: 'INVALID_RECORD' })
    await insertRows(database.pool, [{ topic: 'good', key: 'k', value: '{"n":1}' }])
    await transport.written(1, 'good')
    accept()
    await transport.written(15, 'bad')
    expect((await database.query('SELECT 1 FROM outbox_dead_letter')).length).toBe(5)
    expect(one.all('topic_resumed')).toHaveLength(1)
  })
})

describe('Kafka in trouble', () => {
  test('a missing topic waits, others go on, and it flows when the topic is there', async () => {
    const transport = memoryTransport({ topics: { missing: 0 } })
    await insertRows(
      database.pool,
      times(10, (n) => ({ topic: 'missing', key: 'k', value: `{"n":${n}}` })),
    )
    await using one = await startedRelay(database.url, transport)
    await one.until('topic_paused')
    await insertRows(database.pool, [{ topic: 'there', key: 'k', value: '{}' }])
    await transport.written(1, 'there')
    transport.setPartitions('missing', 3)
    await transport.written(10, 'missing')
    expect(numbers(transport.records('missing').map((record) => record.value))).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
  })

  test('an acknowledgement of what was sent before the pause of its topic ends no pause', async () => {
    const transport = memoryTransport({ partitions: 2 })
    await insertMany(database.pool, 'half', 200, 20)
    const stopRefusing = transport.refuse((_, { partition }) => partition === 1, {
      outcome: { kind: 'not-written', scope: 'topic', code: 'TOPIC_AUTHORIZATION_FAILED', error: 'forbidden' },
    })
    await using one = await startedRelay(database.url, {
      ...shared(transport),
      async publish(batch, timeoutMs) {
        if (batch.partition === 0) await one.until('topic_paused')
        return transport.publish(batch, timeoutMs)
      },
    })
    await one.until('settled')
    expect(one.all('topic_resumed')).toEqual([])
    stopRefusing()
    await transport.written(200)
    await one.until('topic_resumed')
    expect(one.all('topic_paused')).toHaveLength(1)
  })

  test('nobody answers: the messages wait, trouble is told once at its beginning and once at its end', async () => {
    const transport = memoryTransport()
    await using one = await startedRelay(database.url, transport)
    await insertMany(database.pool, 't', 100, 10)
    await transport.written(100)
    transport.goDown()
    await insertMany(database.pool, 't', 100, 10)
    await one.until('kafka_trouble')
    transport.goUp()
    await one.until('kafka_recovered')
    await transport.written(200)
    expect(one.all('kafka_trouble')).toHaveLength(1)
    expect(one.all('kafka_recovered')).toHaveLength(1)
  })

  test('without producer ids a lost acknowledgement makes one duplicate of that batch, with the same id, and keeps the order', async () => {
    const transport = memoryTransport({ partitions: 1, producerIds: false })
    transport.refuse(() => true, { outcome: { kind: 'unknown', code: 'ECONNRESET', error: 'gone' }, times: 1, written: true })
    await insertMany(database.pool, 't', 10, 1)
    await testRelay(database.url, transport).relay.drain()
    const seen = numbers(transport.records().map((record) => record.value))
    const first = seen.filter((n, at) => seen.indexOf(n) === at)
    expect(first).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
    expect(seen.length).toBeGreaterThan(10)
  })
})

test('a relay that is stopped while it starts ends as well, whenever that is', async () => {
  for (let ms = 0; ms < 200; ms += 10) {
    const { relay } = testRelay(database.url, memoryTransport())
    const starting = relay.start()
    await new Promise((resolve) => setTimeout(resolve, ms))
    await relay.stop()
    await starting
  }
  await eventually(
    database.pool,
    "SELECT WHERE NOT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'prisma-extension-outbox' AND datname = current_database())",
  )
  expect(await database.query('SELECT 1 FROM outbox_lease WHERE owner IS NOT NULL')).toEqual([])
})

test('a drain that cannot end says what is left and why', async () => {
  const transport = memoryTransport({ topics: { missing: 0 } })
  await insertRows(database.pool, [
    { topic: 'missing', key: 'k' },
    { topic: 'there', key: 'k' },
  ])
  const report = await testRelay(database.url, transport).relay.drain()
  expect(report).toMatchObject({ endedBy: 'paused', waiting: 1, pausedTopics: [{ topic: 'missing', code: expect.any(String) }] })
  expect(transport.records('there')).toHaveLength(1)
})
