import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { bucketOf } from '../../src/message/key.ts'
import { postgresStore } from '../../src/store/postgres/store.ts'
import type { Store } from '../../src/store/store.ts'
import { memoryTransport } from '../../src/transport/memory.ts'
import { createDatabase, type TestDatabase } from '../support/database.ts'
import { emptied, eventually } from '../support/eventually.ts'
import { shared, testRelay } from '../support/relay.ts'
import { insertMany, insertRows } from '../support/rows.ts'
import { wish } from '../support/wishes.ts'

let database: TestDatabase
beforeEach(async () => {
  database = await createDatabase()
})
afterEach(() => database.drop())

const numberOf = (record: { value: Uint8Array | null }) => JSON.parse(Buffer.from(record.value!).toString()).n as number
const rows = (topic: string, key: string | null, ...numbers: number[]) =>
  numbers.map((n) => ({ topic, key, value: `{"n":${n}}` }))
const unknown = { kind: 'unknown', code: 'ECONNRESET', error: 'gone' } as const
const poison = { kind: 'not-written', scope: 'record', code: 'INVALID_RECORD', error: 'refused' } as const

/** The store, with something that happens whenever it is asked to take buckets, just before. */
const beforeTaking = (store: Store, happen: () => Promise<void>): Store => ({
  ...store,
  async connect(me) {
    const session = await store.connect(me)
    const take = session.take.bind(session)
    session.take = async (count) => {
      await happen()
      return take(count)
    }
    return session
  },
})

describe('sending', () => {
  test('nothing later of a key is sent before the outcome of an earlier record is decided (rule 1)', async () => {
    const transport = memoryTransport({ partitions: 1 })
    transport.refuse((record) => numberOf(record) === 1, { outcome: unknown, times: 3 })
    await insertRows(database.pool, rows('t', 'k', 1, 2, 3, 4))
    await testRelay(database.url, transport, { batchRecords: 1 }).relay.drain()
    expect(transport.batches.map((batch) => numberOf(batch.records[0]!))).toEqual([1, 1, 1, 1, 2, 3, 4])
  })

  test('without an acknowledgement no row is deleted, however often the outcome is unknown (rule 2)', async () => {
    const transport = memoryTransport({ partitions: 1 })
    transport.refuse(() => true, { outcome: unknown })
    await using one = testRelay(database.url, transport)
    await insertRows(database.pool, rows('t', 'k', 1, 2))
    await one.relay.start()
    await transport.called(3)
    expect(await database.query('SELECT id FROM outbox')).toHaveLength(2)
    expect(one.all('settled')).toEqual([])
  })

  test('a lease that cannot be renewed stops the sending before it ends, and the bucket is forgotten (rule 3)', async () => {
    const transport = memoryTransport({ partitions: 1 })
    await using one = testRelay(database.url, transport)
    await one.relay.start()
    await one.until('leases_taken', (e) => e.owned === 64)
    const admin = await database.pool.connect()
    await admin.query('BEGIN')
    await admin.query('SELECT 1 FROM outbox_lease FOR UPDATE')
    // Requests may take half of a lease: in its second half nothing may be sent.
    await new Promise((resolve) => setTimeout(resolve, 2_000))
    const called = transport.batches.length
    await insertRows(database.pool, rows('t', 'k', 1))
    await one.until('leases_lost')
    expect(transport.batches.length).toBe(called)
    await admin.query('ROLLBACK')
    admin.release()
    await transport.written(1)
    expect(transport.records()).toHaveLength(1)
  })

  test('a bucket with a request on its way is not given away (rules 3 and 15)', async () => {
    const transport = memoryTransport({ partitions: 12 })
    // A request may take ten seconds: the second relay has long asked for its share by then, on a busy machine as well.
    const slow = { leaseMs: 20_000 }
    await using a = testRelay(database.url, shared(transport), slow)
    await a.relay.start()
    await a.until('leases_taken', (e) => e.owned === 64)
    await insertMany(database.pool, 't', 64, 64)
    await transport.written(64)
    transport.pause()
    const called = transport.batches.length
    await insertMany(database.pool, 't', 64, 64)
    await transport.called(called + 12)
    const busy = (await database.query<{ bucket: number }>('SELECT DISTINCT bucket FROM outbox')).map((row) => row.bucket)
    await using b = testRelay(database.url, shared(transport), slow)
    await b.relay.start()
    // What was free of messages may go at once.
    const { buckets } = await b.until('leases_taken')
    expect(busy.filter((bucket) => buckets.includes(bucket))).toEqual([])
    transport.resume()
    await b.until('leases_taken', (e) => e.owned === 32)
    await transport.written(128)
    const first = new Map<string, number[]>()
    for (const record of transport.records()) {
      const key = String(Buffer.from(record.key!))
      const seen = first.get(key) ?? []
      if (!seen.includes(numberOf(record))) first.set(key, [...seen, numberOf(record)])
    }
    for (const seen of first.values()) expect(seen).toEqual([...seen].sort((x, y) => x - y))
  })

  test('no transaction and no statement is open while Kafka is waited for (rule 6)', async () => {
    const transport = memoryTransport({ partitions: 1 })
    await using one = testRelay(database.url, transport)
    await one.relay.start()
    await insertRows(database.pool, rows('t', 'k', 1))
    await transport.written(1)
    transport.pause()
    await insertRows(database.pool, rows('t', 'k', 2))
    await transport.called(2)
    for (let look = 0; look < 20; look++) {
      const open = await database.query(
        `SELECT state, query FROM pg_stat_activity WHERE application_name = 'prisma-extension-outbox' AND datname = current_database()
         AND (state LIKE 'idle in transaction%' OR clock_timestamp() - xact_start > interval '500 ms')`,
      )
      expect(open).toEqual([])
    }
    transport.resume()
  })

  test.each([
    ['any more', true],
    ['and never did', false],
  ])(
    'a relay that Kafka does not answer %s gives its buckets to one that Kafka answers (rule 5)',
    async (_, answeredOnce) => {
      const [dead, alive] = [memoryTransport({ partitions: 1 }), memoryTransport({ partitions: 1 })]
      if (!answeredOnce) dead.goDown()
      await using a = testRelay(database.url, dead)
      await using b = testRelay(database.url, alive)
      await Promise.all([a.relay.start(), b.relay.start()])
      await Promise.all([a.until('leases_taken', (e) => e.owned === 32), b.until('leases_taken', (e) => e.owned === 32)])
      await insertMany(database.pool, 't', 640, 640)
      await alive.written(1)
      if (answeredOnce) await dead.written(1)
      dead.goDown()
      const { pool } = database
      const more = setInterval(() => void insertMany(pool, 't', 64, 64).catch(() => {}), 200)
      onTestFinished(() => clearInterval(more))
      await a.until('gave_up')
      await b.until('leases_taken', (e) => e.owned === 64)
      clearInterval(more)
      await emptied(database.pool)
    },
    40_000,
  )
})

describe('reading', () => {
  test('whoever takes a bucket loads its holds first: rows behind a dead one stay behind (rule 7)', async () => {
    const transport = memoryTransport({ partitions: 1 })
    const accept = transport.refuse((record) => numberOf(record) === 1, { outcome: poison })
    await insertRows(database.pool, rows('t', 'k', 1))
    const a = testRelay(database.url, shared(transport))
    await a.relay.start()
    await a.until('parked')
    await a.relay.stop()
    await insertRows(database.pool, rows('t', 'k', 2, 3))
    await insertRows(database.pool, rows('t', 'other', 9))
    await using b = testRelay(database.url, shared(transport))
    await b.relay.start()
    await b.until('held', (e) => e.rows === 2)
    await transport.written(1)
    expect(transport.records().map(numberOf)).toEqual([9])
    accept()
    await wish(database.pool, 'redrive')
    await transport.written(4)
    expect(transport.records().map(numberOf)).toEqual([9, 1, 2, 3])
  })

  test('a replaced connection means new epochs for all buckets, and positions from the beginning (rule 7)', async () => {
    const transport = memoryTransport()
    await using one = testRelay(database.url, transport)
    await one.relay.start()
    await one.until('leases_taken', (e) => e.owned === 64)
    const epochs = () => database.query<{ epoch: string }>('SELECT epoch FROM outbox_lease ORDER BY bucket')
    const before = await epochs()
    // Broken in the middle of a fetch: between two statements a pooler would replace the connection without the relay's knowing.
    const lock = await database.pool.connect()
    await lock.query('BEGIN; LOCK TABLE outbox IN ACCESS EXCLUSIVE MODE')
    await eventually(
      database.pool,
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'prisma-extension-outbox' AND datname = current_database() AND query LIKE '%COPY%' AND wait_event_type = 'Lock'",
    )
    await lock.query('ROLLBACK')
    lock.release()
    await one.until('database_recovered')
    const after = await epochs()
    expect(after.every((row, bucket) => Number(row.epoch) > Number(before[bucket]!.epoch))).toBe(true)
    // The sequence may repeat ids after a crash; a row with a low id must be seen.
    await database.query(
      "INSERT INTO outbox (bucket, id, message_id, topic, key, value) VALUES (5, 1, gen_random_uuid(), 't', 'k', '{}')",
    )
    await transport.written(1)
  })

  test('a bucket that a relay takes although it has it, as its lease had run out by then, is read anew (rule 7)', async () => {
    const transport = memoryTransport({ partitions: 1 })
    let atTaking = async () => {}
    const store = beforeTaking(postgresStore({ databaseUrl: database.url }), () => atTaking())
    // One record a request, so that a row stays in the lane.
    await using one = testRelay(database.url, transport, { batchRecords: 1 }, { store })
    await one.relay.start()
    await insertRows(database.pool, rows('t', 'k', 1))
    await transport.written(1)
    transport.pause()
    await insertRows(database.pool, rows('t', 'k', 2, 3))
    await one.until('heartbeat', (e) => e.handRows === 2)
    const bucket = bucketOf('t', Buffer.from('k'))
    const other = (bucket + 1) % 64
    // One bucket less than its share, so that the relay looks for another.
    await database.query(
      `UPDATE outbox_lease SET owner = gen_random_uuid(), epoch = epoch + 1, lease_ms = 3600000, leased_until = clock_timestamp() + interval '59 minutes' WHERE bucket = ${other}`,
    )
    await one.until('leases_lost', (e) => e.buckets.includes(other))
    // A renewal before it would find the lease gone and forget the bucket: it is the taking that must find it free.
    atTaking = async () => {
      atTaking = async () => {}
      await database.query(
        `UPDATE outbox_lease SET leased_until = clock_timestamp() - interval '1 second' WHERE bucket = ${bucket}`,
      )
    }
    await one.until('leases_taken', (e) => e.owned === 63 && e.buckets.includes(bucket))
    // The whole of the old lease: what stayed under it would be sent no more.
    const beats = one.all('heartbeat').length
    await one.until('heartbeat', () => one.all('heartbeat').length >= beats + 11)
    transport.resume()
    await emptied(database.pool)
    expect(transport.records().map(numberOf)).toEqual([1, 2, 3])
  })

  test('thousands of rows of a dead topic do not keep the others from being read, and none is lost at its resume (rule 8)', async () => {
    const transport = memoryTransport({ topics: { dead: 0 }, partitions: 3 })
    await insertMany(database.pool, 'dead', 5_000, 40)
    await using one = testRelay(database.url, transport, { fetchRows: 50, handRows: 100 })
    await one.relay.start()
    await one.until('topic_paused')
    await insertMany(database.pool, 'good', 500, 40)
    await transport.written(500, 'good')
    expect(transport.records('dead')).toEqual([])
    // Written while the topic is paused, and after it: both must come, in order.
    await insertRows(database.pool, rows('dead', 'key-0', 6_000))
    transport.setPartitions('dead', 3)
    await transport.written(5_001, 'dead')
    await emptied(database.pool)
    const own = transport
      .records('dead')
      .filter((record) => String(Buffer.from(record.key!)) === 'key-0')
      .map(numberOf)
    expect(own).toEqual([...Array.from({ length: 125 }, (_, i) => 40 * (i + 1)), 6_000])
    expect(transport.records('dead')).toHaveLength(5_001)
    expect(one.all('row_found_below_position')).toEqual([])
  })

  test('nor do they while an open transaction holds the mark back, where a position cannot go on (rule 8)', async () => {
    const transport = memoryTransport({ topics: { dead: 0 }, partitions: 3 })
    const open = await database.pool.connect()
    await open.query('BEGIN')
    await insertRows(open, rows('good', 'late', 1))
    await insertMany(database.pool, 'dead', 2_000, 40)
    await insertMany(database.pool, 'good', 100, 40)
    await using one = testRelay(database.url, transport, { fetchRows: 50, handRows: 100 })
    await one.relay.start()
    await transport.written(100, 'good')
    transport.setPartitions('dead', 3)
    await transport.written(2_000, 'dead')
    await open.query('COMMIT')
    open.release()
    await transport.written(101, 'good')
    expect(transport.records()).toHaveLength(2_101)
  })

  test('what a fetch left out of a paused topic is read at its resume, in buckets too where the topic owed nothing before (rule 8)', async () => {
    const transport = memoryTransport({ topics: { dead: 0 }, partitions: 3 })
    await using one = testRelay(database.url, transport)
    await one.relay.start()
    await insertRows(database.pool, rows('dead', 'first', 0))
    await one.until('topic_paused')
    await insertMany(database.pool, 'dead', 200, 40)
    // The positions of all buckets go past the rows that were left out: with rows above them, and then with nothing more to read.
    await insertMany(database.pool, 'good', 200, 40)
    await transport.written(200, 'good')
    const before = one.all('fetched').length
    const found = () => one.all('fetched').slice(before)
    await one.until('fetched', () => found().filter(({ rows }) => rows === 0).length >= 5)
    transport.setPartitions('dead', 3)
    await transport.written(201, 'dead')
    expect(transport.records('dead')).toHaveLength(201)
    expect(one.all('row_found_below_position')).toEqual([])
  })

  test('one lane that stands still leaves three quarters of the hand to the others (rule 8)', async () => {
    const transport = memoryTransport({ topics: { slow: 1, quick: 3 } })
    const accept = transport.refuse((_, batch) => batch.topic === 'slow', {
      outcome: { kind: 'not-written', scope: 'transient', code: 'NOT_ENOUGH_REPLICAS', error: 'wait' },
    })
    await insertMany(database.pool, 'slow', 3_000, 64)
    await using one = testRelay(database.url, transport, { handRows: 400, fetchRows: 200 })
    await one.relay.start()
    await transport.called(2)
    await insertMany(database.pool, 'quick', 1_000, 64)
    await transport.written(1_000, 'quick')
    accept()
    await transport.written(3_000, 'slow')
    expect(transport.records('slow')).toHaveLength(3_000)
    const order = transport
      .records('slow')
      .filter((record) => String(Buffer.from(record.key!)) === 'key-1')
      .map(numberOf)
    expect(order).toEqual([...order].sort((x, y) => x - y))
  })

  test('a topic that grows: what is in flight ends, the new number is used and told (rule 20)', async () => {
    const transport = memoryTransport({ topics: { t: 1 } })
    await using one = testRelay(database.url, transport)
    await one.relay.start()
    await insertMany(database.pool, 't', 50, 50)
    await transport.written(50)
    transport.setPartitions('t', 6)
    transport.refuse(() => true, {
      outcome: { kind: 'not-written', scope: 'transient', code: 'PARTITION_NOT_FOUND', error: 'stale' },
      times: 1,
    })
    await insertMany(database.pool, 't', 200, 50)
    expect(await one.until('partitions_changed')).toEqual({ topic: 't', from: 1, to: 6 })
    await transport.written(250)
    expect(
      new Set(
        transport
          .records()
          .slice(-150)
          .map((record) => record.partition),
      ).size,
    ).toBeGreaterThan(1)
  })
})

describe('writing', () => {
  test('a redriven key overtakes nothing: later rows that wait in the lane, or on their way behind, come after it (rule 14)', async () => {
    const transport = memoryTransport({ partitions: 1 })
    const accept = transport.refuse((record) => numberOf(record) === 1, { outcome: poison })
    await insertRows(database.pool, rows('t', 'k', 1, 2, 3))
    await using one = testRelay(database.url, transport)
    await one.relay.start()
    await one.until('held', (e) => e.rows === 2)
    accept()
    let writing = true
    const writer = (async () => {
      for (let n = 4; writing; n++) await insertRows(database.pool, rows('t', 'k', n))
    })()
    for (let round = 0; round < 3; round++) {
      const redriven = one.all('redriven').length
      // None where the redrive before has taken all along.
      const wished = await wish(database.pool, 'redrive', 'id = (SELECT min(id) FROM outbox_dead)')
      if (wished > 0) await one.until('redriven', () => one.all('redriven').length > redriven)
    }
    writing = false
    await writer
    await eventually(database.pool, 'SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM outbox) AND NOT EXISTS (SELECT 1 FROM outbox_dead)')
    const seen = transport.records().map(numberOf)
    expect(seen).toEqual([...seen].sort((x, y) => x - y))
    expect(new Set(seen).size).toBe(seen.length)
  })

  test('a wish is carried out though messages of the held key keep coming: each of them is one more to move behind (rule 14)', async () => {
    const transport = memoryTransport({ partitions: 1 })
    const accept = transport.refuse((record) => numberOf(record) === 1, { outcome: poison })
    await using one = testRelay(database.url, transport)
    await one.relay.start()
    await insertRows(database.pool, rows('t', 'k', 1))
    await one.until('parked')
    accept()
    let last = 1
    const writing = (async () => {
      for (; one.all('redriven').length === 0; last++) {
        const held = one.all('held').length
        await insertRows(database.pool, rows('t', 'k', last + 1))
        await Promise.race([one.until('held', () => one.all('held').length > held), one.until('redriven')])
      }
    })()
    await one.until('held')
    await wish(database.pool, 'redrive')
    await one.until('redriven')
    await writing
    await transport.written(last)
    expect(transport.records().map(numberOf)).toEqual(Array.from({ length: last }, (_, i) => i + 1))
  })

  test('rows of a redriven key that were queued before it are let go of and read again behind it (rule 14)', async () => {
    const transport = memoryTransport({ partitions: 1 })
    const accept = transport.refuse((record) => numberOf(record) === 1, { outcome: poison })
    const answer = transport.refuse((record) => numberOf(record) === 10, { outcome: unknown })
    // Another key of the same bucket: within one, rows are read in the order of their ids.
    const bucket = bucketOf('t', Buffer.from('k'))
    const other = Array.from({ length: 1_000 }, (_, i) => `x${i}`).find((key) => bucketOf('t', Buffer.from(key)) === bucket)!
    await insertRows(database.pool, [...rows('t', 'k', 1), ...rows('t', other, 10), ...rows('t', 'k', 2)])
    await using one = testRelay(database.url, transport, { batchRecords: 1 })
    await one.relay.start()
    // 2 waits in the lane, behind 10, whose outcome stays unknown.
    await Promise.all([one.until('parked'), one.until('publish_failed', (e) => e.kind === 'unknown')])
    accept()
    await wish(database.pool, 'redrive')
    await one.until('redriven')
    answer()
    await transport.written(3)
    expect(transport.records().map(numberOf)).toEqual([10, 1, 2])
  })

  test('a key with more dead rows than one statement moves comes back whole and in order (rule 14)', async () => {
    const transport = memoryTransport({ partitions: 1 })
    const accept = transport.refuse((record) => numberOf(record) === 1, { outcome: poison })
    await insertMany(database.pool, 't', 2_500, 1)
    await using one = testRelay(database.url, transport)
    await one.relay.start()
    await eventually(database.pool, 'SELECT FROM outbox_dead HAVING count(*) = 2500')
    accept()
    await wish(database.pool, 'redrive')
    await transport.written(2_500)
    expect(transport.records().map(numberOf)).toEqual(Array.from({ length: 2_500 }, (_, i) => i + 1))
  })
})
