import { describe, expect, test } from 'vitest'
import { memoryTransport } from '../../src/transport/memory.ts'
import type { Outcome } from '../../src/transport/transport.ts'
import { useDatabase } from '../support/database.ts'
import { emptied } from '../support/eventually.ts'
import { numberOf } from '../support/numbered.ts'
import { startedRelay } from '../support/relay.ts'
import { insertMany, insertRows, times } from '../support/rows.ts'

const database = useDatabase()

const refusal = { kind: 'not-written', scope: 'transient', code: 'NOT_ENOUGH_REPLICAS', error: 'too few' } as const
const unknown = { kind: 'unknown', code: 'REQUEST_TIMED_OUT', error: 'too late' } as const
const nobody = { kind: 'not-written', scope: 'producer', code: 'ECONNREFUSED', error: 'nobody' } as const

/** The order in which the messages of each key came first. */
function expectInOrder(records: ReturnType<ReturnType<typeof memoryTransport>['records']>): void {
  const last = new Map<string, number>()
  const seen = new Set<number>()
  for (const record of records) {
    const n = numberOf(record)
    if (seen.has(n)) continue
    seen.add(n)
    const key = String(Buffer.from(record.key!))
    expect(n).toBeGreaterThan(last.get(key) ?? 0)
    last.set(key, n)
  }
}

/** Tests wait for this no longer: without the rule they wait until their trouble ends. */
const soonMs = 15_000

/** Fails unless the work is done in that time. */
async function expectSoon(work: () => Promise<unknown>, ms = soonMs): Promise<void> {
  const begun = performance.now()
  await work()
  expect(performance.now() - begun).toBeLessThan(ms)
}

describe('twenty thousand messages of lanes that cannot progress', () => {
  test.each<[string, Exclude<Outcome, { kind: 'acked' }>]>([
    ['refused', refusal],
    ['of unknown outcome', unknown],
    ['without a leader in reach', nobody],
  ])(
    'do not keep another topic waiting: %s (rule 8)',
    async (_, outcome) => {
      const transport = memoryTransport({ topics: { stuck: 12, well: 3 } })
      const accept = transport.refuse((_, batch) => batch.topic === 'stuck', { outcome })
      await insertMany(database.pool, 'stuck', 20_000, 500)
      await using one = await startedRelay(database.url, transport)
      await transport.called(24)
      await insertMany(database.pool, 'well', 3_000, 100)
      await expectSoon(() => transport.written(3_000, 'well'))
      expect(transport.records('stuck')).toEqual([])
      accept()
      await emptied(database.pool)
      expectInOrder(transport.records('stuck'))
      expect(new Set(transport.records('stuck').map(numberOf)).size).toBe(20_000)
      expect(one.all('row_found_below_position')).toEqual([])
    },
    60_000,
  )

  test('do not keep the other partitions of their topic waiting (rule 8)', async () => {
    const transport = memoryTransport({ topics: { t: 12 } })
    const accept = transport.refuse((_, { partition }) => partition < 5, { outcome: refusal })
    await insertMany(database.pool, 't', 40_000, 500)
    await using _one = await startedRelay(database.url, transport)
    const begun = performance.now()
    while (transport.records().length < 20_000) await transport.written(transport.records().length + 1)
    expect(performance.now() - begun).toBeLessThan(soonMs)
    accept()
    await emptied(database.pool)
    expectInOrder(transport.records())
    expect(transport.records()).toHaveLength(40_000)
  }, 30_000)

  test('nor do large ones, by their bytes (rule 8)', async () => {
    const transport = memoryTransport({ topics: { stuck: 3, well: 3 } })
    transport.refuse((_, batch) => batch.topic === 'stuck', { outcome: refusal })
    const value = Buffer.alloc(50_000, 'x')
    await insertRows(
      database.pool,
      times(200, (n) => ({ topic: 'stuck', key: `key-${n % 20}`, value })),
    )
    await using _one = await startedRelay(database.url, transport, { maxInFlightBytes: 2_000_000 })
    await transport.called(6)
    await insertMany(database.pool, 'well', 1_000, 100)
    await expectSoon(() => transport.written(1_000, 'well'))
  }, 30_000)

  test('nor while an open transaction holds the mark back (rule 8)', async () => {
    const transport = memoryTransport({ topics: { stuck: 12, well: 3 } })
    const accept = transport.refuse((_, batch) => batch.topic === 'stuck', { outcome: refusal })
    const open = await database.pool.connect()
    await open.query('BEGIN')
    await insertRows(open, [{ topic: 'well', key: 'late', value: '{"n":100000}' }])
    await insertMany(database.pool, 'stuck', 18_000, 500)
    await insertMany(database.pool, 'well', 1_000, 100)
    await using _one = await startedRelay(database.url, transport)
    await expectSoon(() => transport.written(1_000, 'well'))
    // A late row stands before everything that was skipped.
    await open.query('COMMIT')
    open.release()
    await transport.written(1_001, 'well')
    accept()
    await emptied(database.pool)
    expectInOrder(transport.records('stuck'))
    expect(transport.records('stuck')).toHaveLength(18_000)
  }, 30_000)
})

test('more stuck lanes than the in-flight rows has room for batches leave half of it to the others (rule 8)', async () => {
  const transport = memoryTransport({ topics: { stuck: 60, well: 3 } })
  transport.refuse((_, batch) => batch.topic === 'stuck', { outcome: refusal })
  await insertMany(database.pool, 'stuck', 6_000, 600)
  await using _one = await startedRelay(database.url, transport, { maxInFlight: 60, batchRecords: 10 }, { fetchRows: 60 })
  await transport.called(120)
  await insertMany(database.pool, 'well', 1_000, 100)
  await expectSoon(() => transport.written(1_000, 'well'))
}, 30_000)

test('a resume of another lane reads the backlog of a stuck one once, and not again and again (rule 8)', async () => {
  const transport = memoryTransport({ topics: { stuck: 1, well: 1 } })
  const accept = transport.refuse((_, batch) => batch.topic === 'stuck', { outcome: refusal })
  // One bucket: between any two stretches of the one topic lies a stretch of the other.
  const bucket = 7
  const stretch = (topic: string, count: number) =>
    database.query(
      `INSERT INTO outbox (bucket, message_id, topic, key, value)
       SELECT ${bucket}, gen_random_uuid(), '${topic}', NULL, '{}' FROM generate_series(1, ${count})`,
    )
  for (let n = 0; n < 20; n++) {
    await stretch('well', 200)
    await stretch('stuck', 1_000)
  }
  await using one = await startedRelay(database.url, transport, { maxInFlight: 400 }, { fetchRows: 400, random: () => 0 })
  await transport.written(4_000, 'well')
  const read = () => one.all('fetched').reduce((sum, { rows }) => sum + rows, 0)
  expect(read()).toBeLessThan(2.5 * 24_000)
  // Nor does its own retry read it, as long as the batch is not decided: once it has gone past all of it, nothing more is read.
  const passed = () => one.all('fetched').at(-1)?.rows === 0
  while (!passed()) await one.until('fetched', () => passed())
  const [before, failed] = [read(), one.all('publish_failed').length]
  await one.until('publish_failed', () => one.all('publish_failed').length >= failed + 2)
  await one.until('fetched', () => passed())
  expect(read() - before).toBeLessThan(1_000)
  accept()
  await emptied(database.pool)
  expect(transport.records('stuck')).toHaveLength(20_000)
}, 30_000)

test('lanes leave room while they still wait for their first outcome (rule 8)', async () => {
  const transport = memoryTransport({ topics: { stuck: 12, well: 3 } })
  const publish = transport.publish.bind(transport)
  const answers: (() => void)[] = []
  transport.publish = async (batch, timeoutMs, how) => {
    if (batch.topic === 'stuck') await new Promise<void>((resolve) => answers.push(resolve))
    return publish(batch, timeoutMs, how)
  }
  await insertMany(database.pool, 'stuck', 20_000, 500)
  await using _one = await startedRelay(database.url, transport)
  while (answers.length < 12) await new Promise((resolve) => setTimeout(resolve, 10))
  await insertMany(database.pool, 'well', 3_000, 100)
  await expectSoon(() => transport.written(3_000, 'well'))
  while (transport.records('stuck').length < 20_000) {
    for (const answer of answers.splice(0)) answer()
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  await emptied(database.pool)
  expectInOrder(transport.records('stuck'))
}, 30_000)

test('a lane of large messages leaves bytes to the others while it still waits for its first outcome (rule 8)', async () => {
  const transport = memoryTransport({ topics: { slow: 1, well: 1 } })
  const publish = transport.publish.bind(transport)
  let answer = () => {}
  const asked = new Promise<void>((began) => {
    transport.publish = async (batch, timeoutMs, how) => {
      if (batch.topic === 'slow') {
        await new Promise<void>((resolve) => {
          answer = resolve
          began()
        })
      }
      return publish(batch, timeoutMs, how)
    }
  })
  const value = Buffer.alloc(50_000, 'x')
  await insertRows(
    database.pool,
    times(100, () => ({ topic: 'slow', key: 'k', value })),
  )
  await using _one = await startedRelay(database.url, transport, { maxInFlightBytes: 2_000_000 })
  await asked
  // Sooner than it counts as slow.
  await insertMany(database.pool, 'well', 100, 10)
  await expectSoon(() => transport.written(100, 'well'), 900)
  answer()
}, 30_000)

test('messages without a key that may go anywhere go past a stuck lane (rule 8)', async () => {
  const transport = memoryTransport({ partitions: 3 })
  transport.refuse((_, { partition }) => partition === 1, { outcome: refusal })
  await insertMany(database.pool, 't', 3, 3)
  await using one = await startedRelay(database.url, transport, { keyless: 'spread' })
  const keyless = (count: number) =>
    insertRows(
      database.pool,
      times(count, () => ({ topic: 't', key: null })),
    )
  await keyless(30)
  await one.until('publish_failed', () => one.all('publish_failed').length >= 2)
  const before = transport.records().length
  await keyless(30)
  await transport.written(before + 30)
}, 30_000)

test('a stuck lane sends alone: in a request of its own, and after a timeout over a connection of its own', async () => {
  const shares: (string | undefined)[] = []
  const transport = memoryTransport({ partitions: 1 })
  const publish = transport.publish.bind(transport)
  transport.publish = (batch, timeoutMs, how) => {
    shares.push(how?.alone)
    return publish(batch, timeoutMs, how)
  }
  transport.refuse(() => true, { outcome: refusal, times: 3 })
  await insertMany(database.pool, 't', 10, 1)
  await using _one = await startedRelay(database.url, transport)
  await transport.written(10)
  expect(shares).toEqual([undefined, undefined, 'request', 'request'])
  shares.length = 0
  transport.refuse(() => true, { outcome: unknown, times: 2 })
  await insertMany(database.pool, 't', 10, 1)
  await emptied(database.pool)
  // Until a whole batch was answered in time again.
  expect(shares).toEqual([undefined, 'connection', 'connection'])
  await insertMany(database.pool, 't', 1, 1)
  await emptied(database.pool)
  expect(shares.at(-1)).toBeUndefined()
})
