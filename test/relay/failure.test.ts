import { describe, expect, test } from 'vitest'
import { bucketOf } from '../../src/message/key.ts'
import { memoryTransport } from '../../src/transport/memory.ts'
import type { Transport, TransportRecord } from '../../src/transport/transport.ts'
import { useDatabase } from '../support/database.ts'
import { eventually } from '../support/eventually.ts'
import { numbered, numberOf } from '../support/numbered.ts'
import { shared, startedRelay, testRelay } from '../support/relay.ts'
import { startRelayProcess } from '../support/relay-process.ts'
import { action } from '../support/requests.ts'
import { insertMany, insertRows } from '../support/rows.ts'
import { createTopic } from '../support/topics.ts'

const database = useDatabase()

const upTo = (n: number) => Array.from({ length: n }, (_, i) => i + 1)
const poison = { kind: 'not-written', scope: 'record', code: 'INVALID_RECORD', error: 'refused' } as const
const deadRows = () =>
  database.query<{ n: number; reason: string | null; blocks_key: boolean }>(
    `SELECT (convert_from(value, 'UTF8')::json->>'n')::int AS n, reason, blocks_key FROM outbox_dead_letter ORDER BY id`,
  )

/** A transport whose refusals name the records at fault, as brokers do to clients that ask in a newer protocol. */
function naming(transport: Transport, atFault: (record: TransportRecord) => boolean): Transport {
  return {
    ...shared(transport),
    async publish(batch, timeoutMs) {
      const outcome = await transport.publish(batch, timeoutMs)
      if (outcome.kind !== 'not-written' || outcome.scope !== 'record') return outcome
      return { ...outcome, refused: batch.records.flatMap((record, index) => (atFault(record) ? [index] : [])) }
    },
  }
}

describe('records that Kafka names', () => {
  test('are dead-lettered without being sent again, the others go on in order, and nothing of a refused key overtakes', async () => {
    const transport = memoryTransport({ partitions: 1 })
    const bad = new Set([71, 72, 150])
    transport.refuse((record) => bad.has(numberOf(record)), { outcome: poison })
    await insertMany(database.pool, 't', 200, 10)
    const one = testRelay(
      database.url,
      naming(transport, (record) => bad.has(numberOf(record))),
    )
    await one.relay.drain()
    // Keys of 71 and 72 have the numbers 1, 11, 21, … and 2, 12, …; that of 150 has 10, 20, ….
    const behind = upTo(200).filter((n) => (n > 71 && n % 10 === 1) || (n > 72 && n % 10 === 2) || (n > 150 && n % 10 === 0))
    expect((await deadRows()).map((row) => row.n)).toEqual([...bad, ...behind].sort((a, b) => a - b))
    expect(one.all('dead_lettered')).toHaveLength(3)
    const sent = transport.records().map(numberOf)
    for (let key = 0; key < 10; key++) {
      const own = sent.filter((n) => n % 10 === key)
      expect(own).toEqual(upTo(200).filter((n) => n % 10 === key && !bad.has(n) && !behind.includes(n)))
    }
    // Each was on its way once, or twice where a refusal before it put it back; a search by halves would take eight more for each.
    expect(transport.batches.filter((batch) => batch.records.some((record) => bad.has(numberOf(record))))).toHaveLength(
      one.all('publish_failed').length,
    )
    expect(one.all('publish_failed').length).toBeLessThanOrEqual(3)
  })

  test('more than five in a row with none accepted are a fault of the topic here too', async () => {
    const transport = memoryTransport({ partitions: 1 })
    const accept = transport.refuse(() => true, { outcome: poison })
    await insertRows(
      database.pool,
      upTo(20).map((n) => ({ topic: 't', key: `k${n}`, value: `{"n":${n}}` })),
    )
    await using one = await startedRelay(
      database.url,
      naming(transport, () => true),
    )
    await one.until('topic_paused')
    accept()
    await transport.written(15)
    expect(await deadRows()).toHaveLength(5)
    expect(one.all('topic_paused')).toHaveLength(1)
    expect(one.all('topic_resumed')).toHaveLength(1)
  })
})

describe('a topic that refuses many records and takes the others', () => {
  test.each(['block', 'skip'] as const)(
    'goes on, with %s too: each pause ends with a record of another key',
    async (onDeadLetter) => {
      const transport = memoryTransport({ partitions: 1 })
      transport.refuse((record) => numberOf(record) <= 24, { outcome: poison })
      // All in one bucket, which is read in the order of its ids: nothing comes before the bad ones by luck.
      const bucket = bucketOf('t', Buffer.from('k1'))
      const keys = upTo(5_000)
        .map((n) => `k${n}`)
        .filter((key) => bucketOf('t', Buffer.from(key)) === bucket)
      const some = (from: number, to: number, first: number) =>
        upTo(to)
          .slice(from)
          .map((n) => ({ topic: 't', key: keys[first + (n % 8)]!, value: `{"n":${n}}` }))
      await insertRows(database.pool, some(0, 24, 0))
      await using one = await startedRelay(database.url, transport, { onDeadLetter, batchRecords: 4 })
      await one.until('topic_paused')
      await insertRows(database.pool, some(24, 64, 8))
      await transport.written(40)
      await eventually(database.pool, 'SELECT FROM outbox_dead_letter HAVING count(*) >= 24')
      const sent = transport.records().map(numberOf)
      for (let key = 0; key < 8; key++) {
        expect(sent.filter((n) => n % 8 === key)).toEqual(upTo(64).filter((n) => n > 24 && n % 8 === key))
      }
      expect(one.all('topic_resumed')).toHaveLength(one.all('topic_paused').length)
    },
  )
})

describe('on-dead-letter skip', () => {
  test('the refused record is dead-lettered alone, its key goes on in order; a take-over makes no hold of it, a redrive brings back just it', async () => {
    const transport = memoryTransport({ partitions: 1 })
    const accept = transport.refuse((record) => numberOf(record) === 3, { outcome: poison })
    await insertRows(database.pool, [...numbered('log', 'k', 1, 2, 3, 4, 5), ...numbered('orders', 'k', 3, 4)])
    const options = { onDeadLetter: { log: 'skip' } } as const
    const a = testRelay(database.url, shared(transport), options)
    await a.relay.start()
    await transport.written(4, 'log')
    await a.until('blocked', (e) => e.topic === 'orders')
    expect(await a.until('dead_lettered', (e) => e.topic === 'log')).toMatchObject({ onDeadLetter: 'skip' })
    expect(await a.until('dead_lettered', (e) => e.topic === 'orders')).toMatchObject({ onDeadLetter: 'block' })
    expect(transport.records('log').map(numberOf)).toEqual([1, 2, 4, 5])
    expect(transport.records('orders')).toEqual([])
    await a.relay.stop()
    await insertRows(database.pool, numbered('log', 'k', 6))
    await using b = await startedRelay(database.url, shared(transport), options)
    await transport.written(5, 'log')
    accept()
    await action(database.pool, 'redrive', "topic = 'log'")
    await transport.written(6, 'log')
    expect(transport.records('log').map(numberOf)).toEqual([1, 2, 4, 5, 6, 3])
    expect(await deadRows()).toEqual([
      { n: 3, reason: 'INVALID_RECORD', blocks_key: true },
      { n: 4, reason: null, blocks_key: true },
    ])
    expect(b.all('row_found_below_position')).toEqual([])
  })

  test('a topic that refuses all of one key is paused after five, and not emptied', async () => {
    const transport = memoryTransport({ partitions: 1 })
    const accept = transport.refuse(() => true, { outcome: poison })
    await insertRows(database.pool, numbered('log', 'k', ...upTo(30)))
    await using one = await startedRelay(database.url, transport, { onDeadLetter: 'skip' })
    await one.until('topic_paused')
    accept()
    await transport.written(25)
    expect((await deadRows()).map((row) => row.n)).toEqual([1, 2, 3, 4, 5])
  })

  test('a message too large to carry is skipped as well', async () => {
    const transport = memoryTransport({ partitions: 1 })
    await insertRows(database.pool, [{ topic: 'log', key: 'k', value: 'x'.repeat(5_000) }, ...numbered('log', 'k', 2)])
    await testRelay(database.url, transport, { onDeadLetter: 'skip', maxRowBytes: 1_000 }).relay.drain()
    expect(transport.records().map(numberOf)).toEqual([2])
  })
})

describe('a topic in trouble', () => {
  test('one record finds out whether it takes messages again, the others wait, and the pauses grow', async () => {
    const transport = memoryTransport({ partitions: 12 })
    const fault = { kind: 'not-written', scope: 'topic', code: 'POLICY_VIOLATION', error: 'no' } as const
    const accept = transport.refuse(() => true, { outcome: fault })
    await insertMany(database.pool, 't', 600, 60)
    await using one = await startedRelay(database.url, transport, {}, { random: () => 1 })
    await one.until('topic_paused')
    // Before the first refusal every partition may have had one on its way.
    const before = transport.batches.length
    const at: number[] = []
    for (let probe = 1; probe <= 4; probe++) {
      await transport.called(before + probe)
      at.push(performance.now())
    }
    expect(at[3]! - at[2]!).toBeGreaterThan(1.5 * (at[1]! - at[0]!))
    expect(transport.batches.slice(before).map((batch) => batch.records.length)).toEqual([1, 1, 1, 1])
    accept()
    await transport.written(600)
    expect(one.all('topic_paused')).toHaveLength(1)
    expect(one.all('topic_resumed')).toHaveLength(1)
    expect(await deadRows()).toEqual([])
  })

  test('a probe that says nothing about the topic leaves the turn to another partition', async () => {
    const transport = memoryTransport({ partitions: 2 })
    const fault = { kind: 'not-written', scope: 'topic', code: 'POLICY_VIOLATION', error: 'no' } as const
    const accept = transport.refuse(() => true, { outcome: fault, times: 2 })
    const heal = transport.refuse((_, batch) => batch.partition === 0, {
      outcome: { kind: 'not-written', scope: 'transient', code: 'NOT_ENOUGH_REPLICAS', error: 'wait' },
    })
    await insertMany(database.pool, 't', 100, 40)
    await using one = await startedRelay(database.url, transport)
    await one.until('topic_resumed')
    expect(new Set(transport.records().map((record) => record.partition))).toEqual(new Set([1]))
    accept()
    heal()
    await transport.written(100)
  })

  test('one that does not exist is found within ten seconds of its creation, however long it was missing', async () => {
    const transport = memoryTransport({ topics: { missing: 0 } })
    let looks = 0
    const counted: Transport = {
      ...shared(transport),
      partitions: (topic, signal) => {
        if (topic === 'missing') looks++
        return transport.partitions(topic, signal)
      },
    }
    await insertMany(database.pool, 'missing', 100, 10)
    await using one = await startedRelay(database.url, counted, {}, { random: () => 1 })
    await one.until('topic_paused')
    // 0.5 + 1 + 2 + 4 s of growing pauses: the next ones are as long as any.
    while (looks < 5) await new Promise((resolve) => setTimeout(resolve, 50))
    const created = performance.now()
    transport.setPartitions('missing', 3)
    await transport.written(100, 'missing')
    expect(performance.now() - created).toBeLessThan(10_000)
    expect(await deadRows()).toEqual([])
  })
})

test('brokers that answer and take nothing are asked more and less often, told once, and nothing is dead-lettered', async () => {
  const transport = memoryTransport({ partitions: 1 })
  const fault = { kind: 'not-written', scope: 'producer', code: 'CLUSTER_AUTHORIZATION_FAILED', error: 'no' } as const
  const accept = transport.refuse(() => true, { outcome: fault })
  await insertRows(database.pool, [...numbered('a', 'k', 1), ...numbered('b', 'k', 2)])
  await using one = await startedRelay(database.url, transport, {}, { random: () => 1 })
  const at: number[] = []
  for (let n = 1; n <= 13; n++) {
    await transport.called(n)
    at.push(performance.now())
  }
  // 1.6 s for 0.1 s: so much longer that a machine which stands still for half a second changes nothing.
  expect(at[12]! - at[10]!).toBeGreaterThan(2 * (at[2]! - at[0]!))
  accept()
  await transport.written(2)
  await one.until('kafka_recovered')
  expect(one.all('kafka_trouble')).toHaveLength(1)
  expect(one.all('kafka_recovered')).toHaveLength(1)
  expect(await deadRows()).toEqual([])
})

describe('moves that take longer than a lease allows', () => {
  /** Rows of `table` take their time, as hundreds of megabytes do on a slow disk. */
  const slow = (table: string, seconds: number, when: string) =>
    database.query(`CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(${seconds}); RETURN NEW; END';
CREATE TRIGGER slow BEFORE INSERT ON ${table} FOR EACH ROW WHEN (${when}) EXECUTE FUNCTION slow()`)

  test('a message that cannot be dead-lettered in time stops its key alone, is told, and keeps neither others nor the end of the relay waiting', async () => {
    const transport = memoryTransport({ partitions: 1 })
    await slow('outbox_dead_letter', 10, 'octet_length(NEW.value) > 1000')
    await insertRows(database.pool, [
      { topic: 't', key: 'k', value: 'x'.repeat(5_000) },
      ...numbered('t', 'k', 2),
      ...numbered('t', 'other', 3),
    ])
    const a = testRelay(database.url, shared(transport), { maxRowBytes: 1_000 })
    await a.relay.start()
    expect(await a.until('dead_letter_failed')).toMatchObject({ topic: 't', bytes: 5_001 })
    await insertRows(database.pool, [...numbered('t', 'k', 4), ...numbered('t', 'another', 5)])
    await transport.written(2)
    // Longer than a try takes: rows of the key that come meanwhile are no reason for another.
    await new Promise((resolve) => setTimeout(resolve, 2_500))
    await a.relay.stop()
    expect(a.all('stopped')).toMatchObject([{ clean: true }])
    expect(a.all('dead_letter_failed')).toHaveLength(1)
    expect(a.all('database_trouble')).toEqual([])
    expect(transport.records().map(numberOf)).toEqual([3, 5])
    await database.query('DROP FUNCTION slow CASCADE')
    await using _b = await startedRelay(database.url, shared(transport), { maxRowBytes: 1_000 })
    await eventually(database.pool, 'SELECT FROM outbox_dead_letter HAVING count(*) >= 3')
    expect(await database.query('SELECT reason FROM outbox_dead_letter ORDER BY id')).toEqual([
      { reason: 'MESSAGE_TOO_LARGE' },
      { reason: null },
      { reason: null },
    ])
    expect(transport.records()).toHaveLength(2)
  })

  test('a redrive of large messages goes on in smaller portions', async () => {
    const transport = memoryTransport({ partitions: 1 })
    await using one = await startedRelay(database.url, transport)
    await one.until('leases_taken', (e) => e.owned === 64)
    await slow('outbox', 0.03, 'true')
    await database.query(
      `INSERT INTO outbox_dead_letter (bucket, id, message_id, topic, key, value, created_at, reason, relay)
       SELECT $1, n, gen_random_uuid(), 't', 'k', convert_to('{"n":' || n || '}', 'UTF8'), now(), CASE n WHEN 1 THEN 'R' END, 'r'
       FROM generate_series(1, 60) AS n`,
      [bucketOf('t', Buffer.from('k'))],
    )
    await action(database.pool, 'redrive')
    await transport.written(60)
    expect(transport.records().map(numberOf)).toEqual(upTo(60))
    expect(one.all('redriven').length).toBeGreaterThan(1)
    expect(one.all('database_trouble')).toEqual([])
  })
})

test('thousands of messages without a key come back quickly, in order', async () => {
  const transport = memoryTransport({ partitions: 1 })
  await using one = await startedRelay(database.url, transport)
  await one.until('leases_taken', (e) => e.owned === 64)
  await database.query(
    `INSERT INTO outbox_dead_letter (bucket, id, message_id, topic, value, created_at, reason, relay)
     SELECT $1, n, gen_random_uuid(), 't', convert_to('{"n":' || n || '}', 'UTF8'), now(), 'R', 'r' FROM generate_series(1, 5000) AS n`,
    [bucketOf('t', null)],
  )
  await action(database.pool, 'redrive')
  const since = performance.now()
  await transport.written(5_000)
  // A hundred a second would take fifty.
  expect(performance.now() - since).toBeLessThan(15_000)
  expect(transport.records().map(numberOf)).toEqual(upTo(5_000))
  expect(one.all('redriven').reduce((sum, e) => sum + e.rows, 0)).toBe(5_000)
})

test('relays that die one after another over one message are told by the next, with the buckets', async () => {
  const topic = await createTopic('poison', 1)
  await insertRows(database.pool, [{ topic, key: 'k', value: 'poison' }])
  const env = { DATABASE_URL: database.url, OUTBOX_LEASE_MS: '3000' }
  const program = new URL('../support/poisoned-relay.ts', import.meta.url).pathname
  const warnings: (Record<string, unknown> | undefined)[] = []
  for (let life = 0; life < 4; life++) {
    const relay = startRelayProcess(env, ['--import', 'tsx', program])
    expect(await relay.ended()).toEqual({ code: null, signal: 'SIGKILL' })
    warnings.push(relay.log.find((line) => line.event === 'relays_dying'))
    // The next one has all buckets: it shares them with none that seems to live.
    await eventually(
      database.pool,
      `SELECT WHERE NOT EXISTS (SELECT FROM outbox_lease WHERE leased_until > clock_timestamp())
         AND NOT EXISTS (SELECT FROM outbox_relay WHERE seen_at > clock_timestamp() - interval '3 s')`,
    )
  }
  expect(warnings.slice(0, 3)).toEqual([undefined, undefined, undefined])
  expect(warnings[3]).toMatchObject({ level: 'error', deaths: 3, withinMs: 600_000 })
  expect(String(warnings[3]!.buckets).split(' ')).toContain(String(bucketOf(topic, Buffer.from('k'))))
})

test('a lost LISTEN connection is noticed at once: the relay polls quickly until notifications come through again', async () => {
  await using one = await startedRelay(database.directUrl, memoryTransport())
  /** Fetches from now on, within so many milliseconds. */
  const fetches = async (ms: number) => {
    const before = one.all('fetched').length
    await new Promise((resolve) => setTimeout(resolve, ms))
    return one.all('fetched').length - before
  }
  // Slow polling begins when the relay's own notification has come back.
  while ((await fetches(900)) > 3);
  await database.query(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'",
  )
  let quick = 0
  for (let n = await fetches(900); n > 3; n = await fetches(900)) quick += n
  expect(quick).toBeGreaterThan(6)
  expect(one.all('database_trouble')).toEqual([])
})

describe('an error of the program while publishing', () => {
  test.each([
    ['a TypeError', () => new TypeError('secret of key-1')],
    ['something that is not an error', () => 'secret of key-1'],
  ])('%s is an internal error, not trouble of Kafka: reported once, sent again, the others go on', async (_, thrown) => {
    const transport = memoryTransport({ topics: { bug: 1, well: 3 } })
    const publish = transport.publish.bind(transport)
    let left = 3
    transport.publish = async (batch, timeoutMs, how) => {
      if (batch.topic === 'bug' && left-- > 0) throw thrown()
      return publish(batch, timeoutMs, how)
    }
    await insertMany(database.pool, 'bug', 5, 1)
    await insertMany(database.pool, 'well', 100, 10)
    await using one = await startedRelay(database.url, transport)
    await transport.written(100, 'well')
    await transport.written(5, 'bug')
    expect(transport.records('bug').map(numberOf)).toEqual(upTo(5))
    expect(one.all('internal_error')).toHaveLength(1)
    expect(JSON.stringify(one.all('internal_error'))).not.toContain('secret')
    expect(one.all('publish_failed').map(({ code }) => code)).toEqual(['INTERNAL_ERROR', 'INTERNAL_ERROR', 'INTERNAL_ERROR'])
    expect(one.all('kafka_trouble')).toEqual([])
  })
})
