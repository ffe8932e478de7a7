import { expect, onTestFinished, test } from 'vitest'
import { memoryTransport } from '../../../src/transport/memory.ts'
import { useDatabase } from '../../support/database.ts'
import { emptied } from '../../support/eventually.ts'
import { numbered, numberOf } from '../../support/numbered.ts'
import { shared, startedRelay, testRelay } from '../../support/relay.ts'
import { insertMany, insertRows } from '../../support/rows.ts'

const database = useDatabase()

const unknown = { kind: 'unknown', code: 'ECONNRESET', error: 'gone' } as const

test('nothing later of a key is sent before the outcome of an earlier record is decided (rule 1)', async () => {
  const transport = memoryTransport({ partitions: 1 })
  transport.refuse((record) => numberOf(record) === 1, { outcome: unknown, times: 3 })
  await insertRows(database.pool, numbered('t', 'k', 1, 2, 3, 4))
  await testRelay(database.url, transport, { batchRecords: 1 }).relay.drain()
  expect(transport.batches.map((batch) => numberOf(batch.records[0]!))).toEqual([1, 1, 1, 1, 2, 3, 4])
})

test('without an acknowledgement no row is deleted, however often the outcome is unknown (rule 2)', async () => {
  const transport = memoryTransport({ partitions: 1 })
  transport.refuse(() => true, { outcome: unknown })
  await using one = testRelay(database.url, transport)
  await insertRows(database.pool, numbered('t', 'k', 1, 2))
  await one.relay.start()
  await transport.called(3)
  expect(await database.query('SELECT id FROM outbox')).toHaveLength(2)
  expect(one.all('settled')).toEqual([])
})

test('a lease that cannot be renewed stops the sending before it ends, and the bucket is forgotten (rule 3)', async () => {
  const transport = memoryTransport({ partitions: 1 })
  await using one = await startedRelay(database.url, transport)
  await one.until('leases_taken', (e) => e.owned === 64)
  const admin = await database.pool.connect()
  await admin.query('BEGIN')
  await admin.query('SELECT 1 FROM outbox_lease FOR UPDATE')
  // Requests may take half of a lease: in its second half nothing may be sent.
  await new Promise((resolve) => setTimeout(resolve, 2_000))
  const called = transport.batches.length
  await insertRows(database.pool, numbered('t', 'k', 1))
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
  await using a = await startedRelay(database.url, shared(transport), slow)
  await a.until('leases_taken', (e) => e.owned === 64)
  await insertMany(database.pool, 't', 64, 64)
  await transport.written(64)
  transport.pause()
  const called = transport.batches.length
  await insertMany(database.pool, 't', 64, 64)
  await transport.called(called + 12)
  const busy = (await database.query<{ bucket: number }>('SELECT DISTINCT bucket FROM outbox')).map((row) => row.bucket)
  await using b = await startedRelay(database.url, shared(transport), slow)
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
  await using _one = await startedRelay(database.url, transport)
  await insertRows(database.pool, numbered('t', 'k', 1))
  await transport.written(1)
  transport.pause()
  await insertRows(database.pool, numbered('t', 'k', 2))
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
    await Promise.all([a, b].map((one) => one.until('heartbeat', (e) => e.owned === 32)))
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
