import { type AddressInfo, connect as connectTo, createServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import type { Clock } from '../../src/running/clock.ts'
import { postgresStore } from '../../src/store/postgres/store.ts'
import { memoryTransport } from '../../src/transport/memory.ts'
import type { Transport } from '../../src/transport/transport.ts'
import { useDatabase } from '../support/database.ts'
import { freePort } from '../support/ports.ts'
import { shared, testRelay } from '../support/relay.ts'
import { action } from '../support/requests.ts'
import { insertMany, insertRows, moveToDead, times } from '../support/rows.ts'

const database = useDatabase('emptied')

/** No timer ever ends; a signal ends a wait. */
const frozen: Clock = {
  now: () => 1_000_000,
  date: () => Date.now(),
  wait: (ms, signal) =>
    new Promise((resolve) => {
      if (ms <= 0 || signal?.aborted) return resolve()
      signal?.addEventListener('abort', () => resolve())
    }),
}

describe('a relay that is alone waits for no timer', () => {
  test('until its first record', async () => {
    await insertRows(database.pool, [{ topic: 'orders', key: 'k' }])
    await using one = testRelay(database.url, memoryTransport(), {}, { clock: frozen })
    void one.relay.start()
    await one.until('published')
    await one.until('settled')
  })

  test('until its first record, with another relay that left its lease behind and is gone', async () => {
    await insertRows(database.pool, [{ topic: 'orders', key: 'k' }])
    await database.query("UPDATE outbox_lease SET owner = gen_random_uuid(), leased_until = clock_timestamp() - interval '1 s'")
    await using one = testRelay(database.url, memoryTransport(), {}, { clock: frozen })
    void one.relay.start()
    await one.until('published')
  })

  test('in the whole drain of an outbox that is empty', async () => {
    const report = await testRelay(database.url, memoryTransport(), {}, { clock: frozen }).relay.drain()
    expect(report).toEqual({
      published: 0,
      waiting: 0,
      blocked: 0,
      endedBy: 'empty',
      foreignBuckets: 0,
      pausedTopics: [],
      kafkaTrouble: null,
    })
    expect(await database.query('SELECT 1 FROM outbox_lease WHERE owner IS NOT NULL')).toEqual([])
  })
})

/** Forwards to the database and counts what the relay sent. */
async function counting(url: string) {
  let sent = 0
  const { port, hostname } = new URL(url)
  const server = createServer((client) => {
    const upstream = connectTo(Number(port), hostname)
    client.on('data', () => sent++)
    client.pipe(upstream).pipe(client)
    for (const end of [client, upstream]) end.on('error', () => client.destroy())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const own = new URL(url)
  own.host = `127.0.0.1:${(server.address() as AddressInfo).port}`
  return { url: own.href, sent: () => sent, close: () => server.close() }
}

/** What docs/guides/serverless.md states. */
const mostRoundTrips = 30

test('the drain of an empty outbox takes few round trips', async () => {
  const counted = await counting(database.directUrl)
  const store = postgresStore({ databaseUrl: counted.url, listenUrl: false })
  await testRelay(database.url, memoryTransport(), {}, { store }).relay.drain()
  console.log(`round trips of an empty drain: ${counted.sent()}`)
  expect(counted.sent()).toBeLessThanOrEqual(mostRoundTrips)
  counted.close()
})

const numberOf = ({ value }: { value: Uint8Array | null }): number => JSON.parse(String(Buffer.from(value!))).n

describe('bounds', () => {
  const many = (messages: number, keys = 20) => insertMany(database.pool, 'orders', messages, keys)

  test.each([1, 100, 250])('at most %i messages are published, in order, and the rest by the next drain', async (maxMessages) => {
    const transport = memoryTransport()
    await many(600)
    const report = await testRelay(database.url, shared(transport)).relay.drain({ maxMessages })
    expect(report).toMatchObject({ published: maxMessages, waiting: 600 - maxMessages, endedBy: 'count' })
    expect(transport.records('orders')).toHaveLength(maxMessages)
    const rest = await testRelay(database.url, shared(transport)).relay.drain()
    expect(rest).toMatchObject({ published: 600 - maxMessages, waiting: 0, endedBy: 'empty' })
    for (const key of times(20, (n) => `key-${n}`)) {
      const numbers = transport.records('orders').flatMap((one) => (String(one.key) === key ? [numberOf(one)] : []))
      expect(numbers).toEqual(numbers.toSorted((a, b) => a - b))
    }
  })

  test('a budget ends it while Kafka answers nobody, and the leases are given back', async () => {
    await many(10)
    const transport = memoryTransport()
    transport.goDown()
    const began = performance.now()
    const report = await testRelay(database.url, transport, { requestTimeoutMs: 300 }).relay.drain({ budgetMs: 1_500 })
    expect(performance.now() - began).toBeLessThan(3_500)
    expect(report).toMatchObject({ published: 0, waiting: 10, endedBy: 'budget' })
    expect(await database.query('SELECT 1 FROM outbox_lease WHERE owner IS NOT NULL')).toEqual([])
  })

  test('a request without an answer keeps its leases until they run out', async () => {
    await many(1)
    const transport = memoryTransport()
    transport.pause()
    const report = await testRelay(database.url, transport, { requestTimeoutMs: 300 }).relay.drain({ budgetMs: 1_000 })
    expect(report).toMatchObject({ published: 0, waiting: 1, endedBy: 'budget' })
  })

  test('a budget ends it while the database cannot be reached', async () => {
    const url = new URL(database.url)
    url.host = `127.0.0.1:${await freePort()}`
    const report = await testRelay(url.href, memoryTransport(), { requestTimeoutMs: 300 }).relay.drain({ budgetMs: 800 })
    expect(report).toMatchObject({ published: 0, waiting: null, endedBy: 'budget' })
  })

  test('nothing is sent that could be answered after the budget', async () => {
    const quick = memoryTransport()
    const slow: Transport = { ...shared(quick), publish: (...batch) => sleep(20).then(() => quick.publish(...batch)) }
    await many(3_000, 3_000)
    const one = testRelay(database.url, slow, { requestTimeoutMs: 500, batchRecords: 5 })
    const began = performance.now()
    const sent: number[] = []
    one.relay.on('published', () => sent.push(performance.now() - began))
    const { endedBy, published, waiting } = await one.relay.drain({ budgetMs: 1_500 })
    expect([endedBy, published + Math.min(waiting!, 1_000) > 1_000]).toEqual(['budget', true])
    expect(Math.max(...sent)).toBeLessThan(1_500)
    expect(performance.now() - began).toBeLessThan(3_500)
  })

  test('a signal ends it, also one that was aborted before', async () => {
    await many(10)
    const transport = memoryTransport()
    transport.goDown()
    const before = await testRelay(database.url, shared(transport)).relay.drain({ signal: AbortSignal.abort() })
    expect(before).toMatchObject({ published: 0, endedBy: 'stopped' })
    const end = new AbortController()
    const one = testRelay(database.url, transport)
    one.relay.on('kafka_trouble', () => end.abort())
    expect(await one.relay.drain({ signal: end.signal })).toMatchObject({ published: 0, waiting: 10, endedBy: 'stopped' })
  })

  test.each([
    ['budgetMs', { budgetMs: 1_500 }],
    ['budgetMs', { budgetMs: 90_000_000 }],
    ['budgetMs', { budgetMs: Number.NaN }],
    ['maxMessages', { maxMessages: 0 }],
    ['maxMessages', { maxMessages: 1.5 }],
  ])('%s is refused: %o', async (field, options) => {
    const drain = testRelay(database.url, memoryTransport()).relay.drain(options)
    await expect(drain).rejects.toMatchObject({ code: 'OUTBOX_INVALID_OPTION', field, remedy: expect.any(String) })
  })
})

describe('requests of operators that no relay has carried out yet', () => {
  const deadAndOneBehind = async () => {
    await insertMany(database.pool, 'orders', 2, 1)
    await moveToDead(
      database.pool,
      (await database.query<{ head: string }>('SELECT message_id AS head FROM outbox ORDER BY id LIMIT 1'))[0]!.head,
    )
  }

  test.each(times(5, (n) => n))('a redrive is carried out, and its messages are published by the same drain (%i)', async () => {
    await deadAndOneBehind()
    await action(database.pool, 'redrive')
    const transport = memoryTransport()
    expect(await testRelay(database.url, transport).relay.drain()).toMatchObject({ published: 2, blocked: 0, endedBy: 'empty' })
    expect(transport.records('orders').map(numberOf)).toEqual([1, 2])
  })

  test('so is a discard, and what stood behind is published', async () => {
    await deadAndOneBehind()
    await action(database.pool, 'discard')
    expect(await testRelay(database.url, memoryTransport()).relay.drain()).toMatchObject({
      published: 1,
      blocked: 0,
      endedBy: 'empty',
    })
  })

  test('without a request the key stays blocked', async () => {
    await deadAndOneBehind()
    expect(await testRelay(database.url, memoryTransport()).relay.drain()).toMatchObject({
      published: 0,
      blocked: 1,
      endedBy: 'empty',
    })
  })
})

describe('several drains at once', () => {
  test('share the work; one that finds no lease free ends at once', async () => {
    const transport = memoryTransport()
    await using holder = testRelay(database.url, shared(memoryTransport({ topics: { orders: 0 } })))
    await holder.relay.start()
    await holder.until('leases_taken', ({ owned }) => owned === 64)
    await insertRows(database.pool, [{ topic: 'orders', key: 'k' }])
    const began = performance.now()
    expect(await testRelay(database.url, transport).relay.drain()).toMatchObject({ published: 0, endedBy: 'others' })
    expect(performance.now() - began).toBeLessThan(3_000)
  })

  test('publish each message once, in order, and leave nothing when all have ended', async () => {
    const transport = memoryTransport()
    await insertMany(database.pool, 'orders', 5_000, 50)
    const drains = times(5, () => testRelay(database.url, shared(transport)).relay.drain())
    const reports = await Promise.all(drains)
    reports.push(await testRelay(database.url, shared(transport)).relay.drain())
    expect(reports.reduce((sum, { published }) => sum + published, 0)).toBe(5_000)
    expect(reports.at(-1)).toMatchObject({ waiting: 0, endedBy: 'empty' })
    expect(new Set(transport.records('orders').map(numberOf)).size).toBe(5_000)
  })

  test('a second call of one relay gets the same report', async () => {
    const { relay } = testRelay(database.url, memoryTransport())
    const [one, two] = await Promise.all([relay.drain(), relay.drain()])
    expect(two).toBe(one)
  })
})
