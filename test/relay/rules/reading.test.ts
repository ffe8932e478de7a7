import { expect, test } from 'vitest'
import { bucketOf } from '../../../src/message/key.ts'
import { postgresStore } from '../../../src/store/postgres/store.ts'
import type { Store } from '../../../src/store/store.ts'
import { memoryTransport } from '../../../src/transport/memory.ts'
import { useDatabase } from '../../support/database.ts'
import { emptied, eventually } from '../../support/eventually.ts'
import { numbered, numberOf } from '../../support/numbered.ts'
import { shared, startedRelay, testRelay } from '../../support/relay.ts'
import { action } from '../../support/requests.ts'
import { insertMany, insertRows } from '../../support/rows.ts'

const database = useDatabase()

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

test('anyone who takes a bucket loads its blocked keys first: rows behind a dead one stay behind (rule 7)', async () => {
  const transport = memoryTransport({ partitions: 1 })
  const accept = transport.refuse((record) => numberOf(record) === 1, { outcome: poison })
  await insertRows(database.pool, numbered('t', 'k', 1))
  const a = testRelay(database.url, shared(transport))
  await a.relay.start()
  await a.until('dead_lettered')
  await a.relay.stop()
  await insertRows(database.pool, numbered('t', 'k', 2, 3))
  await insertRows(database.pool, numbered('t', 'other', 9))
  await using b = await startedRelay(database.url, shared(transport))
  await b.until('blocked', (e) => e.rows === 2)
  await transport.written(1)
  expect(transport.records().map(numberOf)).toEqual([9])
  accept()
  await action(database.pool, 'redrive')
  await transport.written(4)
  expect(transport.records().map(numberOf)).toEqual([9, 1, 2, 3])
})

test('a replaced connection means new epochs for all buckets, and positions from the beginning (rule 7)', async () => {
  const transport = memoryTransport()
  await using one = await startedRelay(database.url, transport)
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

test('a bucket that a relay takes although it has it, as its lease had run out by then, is read again (rule 7)', async () => {
  const transport = memoryTransport({ partitions: 1 })
  let atTaking = async () => {}
  const store = beforeTaking(postgresStore({ databaseUrl: database.url }), () => atTaking())
  // One record a request, so that a row stays in the lane.
  await using one = await startedRelay(database.url, transport, { batchRecords: 1 }, { store })
  await insertRows(database.pool, numbered('t', 'k', 1))
  await transport.written(1)
  transport.pause()
  await insertRows(database.pool, numbered('t', 'k', 2, 3))
  await one.until('heartbeat', (e) => e.inFlight === 2)
  const bucket = bucketOf('t', Buffer.from('k'))
  const other = (bucket + 1) % 64
  // One bucket less than its share, so that the relay searches for another.
  await database.query(
    `UPDATE outbox_lease SET owner = gen_random_uuid(), epoch = epoch + 1, lease_ms = 300000, leased_until = clock_timestamp() + interval '4 minutes' WHERE bucket = ${other}`,
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
  await using one = await startedRelay(database.url, transport, { maxInFlight: 100 }, { fetchRows: 50 })
  await one.until('topic_paused')
  await insertMany(database.pool, 'good', 500, 40)
  await transport.written(500, 'good')
  expect(transport.records('dead')).toEqual([])
  // Written while the topic is paused, and after it: both must come, in order.
  await insertRows(database.pool, numbered('dead', 'key-0', 6_000))
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
  await insertRows(open, numbered('good', 'late', 1))
  await insertMany(database.pool, 'dead', 2_000, 40)
  await insertMany(database.pool, 'good', 100, 40)
  await using _one = await startedRelay(database.url, transport, { maxInFlight: 100 }, { fetchRows: 50 })
  await transport.written(100, 'good')
  transport.setPartitions('dead', 3)
  await transport.written(2_000, 'dead')
  await open.query('COMMIT')
  open.release()
  await transport.written(101, 'good')
  expect(transport.records()).toHaveLength(2_101)
})

test('what a fetch left out of a paused topic is read at its resume, in buckets too where the topic skipped nothing before (rule 8)', async () => {
  const transport = memoryTransport({ topics: { dead: 0 }, partitions: 3 })
  await using one = await startedRelay(database.url, transport)
  await insertRows(database.pool, numbered('dead', 'first', 0))
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

test('one lane that stands still leaves room in the in-flight rows to the others (rule 8)', async () => {
  const transport = memoryTransport({ topics: { slow: 1, quick: 3 } })
  const accept = transport.refuse((_, batch) => batch.topic === 'slow', {
    outcome: { kind: 'not-written', scope: 'transient', code: 'NOT_ENOUGH_REPLICAS', error: 'wait' },
  })
  await insertMany(database.pool, 'slow', 3_000, 64)
  await using _one = await startedRelay(database.url, transport, { maxInFlight: 400 }, { fetchRows: 200 })
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
  await using one = await startedRelay(database.url, transport)
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
