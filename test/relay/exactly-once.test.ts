import { randomUUID } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { bucketOf, partitionOf } from '../../src/message/key.ts'
import type { RelayOptions } from '../../src/relay/options.ts'
import type { RelayPorts } from '../../src/relay/relay.ts'
import type { CarriedRow } from '../../src/relay/state/claim.ts'
import { InFlight } from '../../src/relay/state/in-flight.ts'
import { systemClock } from '../../src/running/clock.ts'
import { type MemoryTransport, memoryTransport } from '../../src/transport/memory.ts'
import type { SearchLog, Transport } from '../../src/transport/transport.ts'
import { createDatabase, type TestDatabase } from '../support/database.ts'
import { emptied, eventually } from '../support/eventually.ts'
import { numbered, numberOf } from '../support/numbered.ts'
import { shared, type TestRelay, testRelay } from '../support/relay.ts'
import { insertMany, insertRows } from '../support/rows.ts'

let database: TestDatabase
beforeEach(async () => {
  database = await createDatabase()
})
afterEach(() => database.drop())

const unknown = { kind: 'unknown', code: 'ECONNRESET', error: 'gone' } as const
const ofTopic = { kind: 'not-written', scope: 'topic', code: 'POLICY_VIOLATION', error: 'not now' } as const
const ofRecord = { kind: 'not-written', scope: 'record', code: 'INVALID_RECORD', error: 'refused' } as const

const upTo = (n: number): number[] => Array.from({ length: n }, (_, i) => i + 1)
const written = (transport: MemoryTransport): number[] =>
  transport
    .records()
    .map(numberOf)
    .sort((a, b) => a - b)
const recorded = () => database.query('SELECT acknowledged FROM outbox_batch')

const searchOf =
  (transport: MemoryTransport): SearchLog =>
  async ({ topic, messageIds }) => {
    const there = new Set(transport.records(topic).map(({ headers }) => headers.id))
    return messageIds.filter((id) => there.has(id)).length
  }

/** A relay of the exactly-once mode on a transport that others use too. */
const relay = (transport: MemoryTransport, options: RelayOptions = {}, ports: Partial<RelayPorts> = {}): TestRelay =>
  testRelay(database.url, shared(transport), { exactlyOnce: true, ...options }, { search: searchOf(transport), ...ports })

/** All connections of relays to the database break, as at a fail-over. */
const breakConnections = () =>
  database.query(
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
     WHERE datname = current_database() AND application_name = 'prisma-extension-outbox' AND pid <> pg_backend_pid()`,
  )

const lock = async (sql: string) => {
  const client = await database.pool.connect()
  await client.query('BEGIN')
  await client.query(sql)
  return async () => {
    await client.query('ROLLBACK')
    client.release()
  }
}

describe('no copy (rule 27)', () => {
  test('after a batch that was recorded, sent, and answered by nobody, when the connections to the database break', async () => {
    const transport = memoryTransport({ partitions: 1 })
    const accept = transport.refuse(() => true, { outcome: unknown, written: true })
    await insertMany(database.pool, 't', 20, 20)
    await using one = relay(transport)
    await one.relay.start()
    await transport.called(2)
    await breakConnections()
    await one.until('batches_adopted')
    accept()
    await emptied(database.pool)
    await insertRows(database.pool, numbered('t', 'k', 21))
    await emptied(database.pool)
    expect(written(transport)).toEqual(upTo(21))
    expect(await recorded()).toEqual([])
    // A higher epoch of the same producer would keep a relay that is late from sending the batch.
    expect(transport.batches.at(-1)!.numbers!.producerId).not.toBe(transport.batches[0]!.numbers!.producerId)
  }, 20_000)

  test.each([true, false])(
    'after a relay that left a batch in doubt, in the log: %s',
    async (inLog) => {
      const transport = memoryTransport({ partitions: 1 })
      const accept = transport.refuse(() => true, { outcome: unknown, written: inLog })
      await insertMany(database.pool, 't', 20, 20)
      const first = relay(transport, { stopTimeoutMs: 3_000 })
      await first.relay.start()
      await transport.called(2)
      await first.relay.stop()
      expect(await recorded()).toEqual([{ acknowledged: false }])
      accept()
      const next = relay(transport)
      expect(await next.relay.drain()).toMatchObject({ endedBy: 'empty' })
      expect(next.all('batches_adopted')).not.toEqual([])
      expect(written(transport)).toEqual(upTo(20))
      expect(await recorded()).toEqual([])
    },
    20_000,
  )

  test.each([false, true])(
    'when the topic gets more partitions while a batch is in doubt, in the log: %s',
    async (inLog) => {
      const transport = memoryTransport({ partitions: 1 })
      const tooFew = { kind: 'not-written', scope: 'transient', code: 'NOT_ENOUGH_REPLICAS', error: 'too few' } as const
      const accept = transport.refuse(() => true, { outcome: inLog ? unknown : tooFew, written: inLog })
      await insertMany(database.pool, 't', 20, 20)
      await using one = relay(transport)
      await one.relay.start()
      await transport.called(2)
      transport.setPartitions('t', 3)
      await one.until('partitions_changed')
      accept()
      await emptied(database.pool)
      expect(written(transport)).toEqual(upTo(20))
    },
    20_000,
  )

  /** Three partitions with a batch each that is in the log, and a relay that sees only one of them. */
  const withFewer = async () => {
    const transport = memoryTransport({ topics: { t: 3 } })
    const accept = transport.refuse(() => true, { outcome: unknown, written: true })
    await insertMany(database.pool, 't', 30, 30)
    const one = relay(transport)
    await one.relay.start()
    await transport.called(4)
    transport.setPartitions('t', 1)
    await one.until('partitions_changed')
    accept()
    return { transport, one }
  }

  test('when a broker names fewer partitions for a while: its batch waits, and comes once', async () => {
    const { transport, one } = await withFewer()
    expect(await one.until('batch_in_doubt')).toMatchObject({ topic: 't', found: null })
    transport.setPartitions('t', 3)
    await emptied(database.pool)
    expect(written(transport)).toEqual(upTo(30))
    expect(await recorded()).toEqual([])
    await one.relay.stop()
  }, 20_000)

  test('when a topic is made again with fewer partitions: an operator deletes its record, and it is published again', async () => {
    const { transport, one } = await withFewer()
    await one.until('batch_in_doubt')
    const before = transport.records().length
    await database.query('DELETE FROM outbox_batch WHERE partition > 0')
    await emptied(database.pool)
    expect(transport.records().length).toBeGreaterThan(before)
    expect([...new Set(written(transport))]).toEqual(upTo(30))
    await one.relay.stop()
  }, 20_000)
})

describe('a batch that is refused after an earlier copy may have been taken (rule 28)', () => {
  test.each([
    [true, []],
    [false, [5]],
  ])('is looked up in the log, where it stands: %s', async (inLog, dead) => {
    const transport = memoryTransport({ partitions: 1 })
    transport.refuse(() => true, { outcome: unknown, times: 1, written: inLog })
    transport.refuse((record) => numberOf(record) === 5, { outcome: ofRecord })
    await insertMany(database.pool, 't', 10, 10)
    const one = relay(transport)
    await one.relay.drain()
    expect(written(transport)).toEqual(upTo(10).filter((n) => !dead.includes(n)))
    expect(await database.query('SELECT 1 FROM outbox_dead_letter')).toHaveLength(dead.length)
    expect(await recorded()).toEqual([])
  })

  test('stays where it is while the log cannot be read, and is told', async () => {
    const transport = memoryTransport({ partitions: 1 })
    transport.refuse(() => true, { outcome: unknown, times: 1, written: true })
    const accept = transport.refuse(() => true, { outcome: ofRecord })
    await insertMany(database.pool, 't', 10, 10)
    await using one = relay(transport, {}, { search: undefined })
    await one.relay.start()
    expect(await one.until('batch_in_doubt')).toEqual({ topic: 't', partition: 0, records: 10, found: null })
    expect(await recorded()).toEqual([{ acknowledged: false }])
    accept()
    await emptied(database.pool)
    expect(written(transport)).toEqual(upTo(10))
  })

  test('stays where it is after a bug of the search, and the bug is told', async () => {
    const transport = memoryTransport({ partitions: 1 })
    transport.refuse(() => true, { outcome: unknown, times: 1, written: true })
    const accept = transport.refuse(() => true, { outcome: ofRecord })
    await insertMany(database.pool, 't', 10, 10)
    const broken: SearchLog = async () => {
      throw new TypeError('no such method')
    }
    await using one = relay(transport, {}, { search: broken })
    await one.relay.start()
    expect(await one.until('internal_error')).toMatchObject({ during: 'search' })
    expect(await one.until('batch_in_doubt')).toMatchObject({ found: null })
    accept()
    await emptied(database.pool)
    expect(written(transport)).toEqual(upTo(10))
  })

  const endedByOthers = () =>
    database.query('WITH batches AS (DELETE FROM outbox_batch) DELETE FROM outbox WHERE id <= (SELECT max(id) FROM outbox)')

  test('and that another owner has published meanwhile is not published again', async () => {
    const transport = memoryTransport({ partitions: 1 })
    const answer = transport.refuse(() => true, { outcome: unknown, written: true })
    await insertMany(database.pool, 't', 10, 10)
    await using one = relay(transport)
    await one.relay.start()
    await transport.called(2)
    await endedByOthers()
    transport.refuse(() => true, { outcome: ofRecord, times: 1 })
    answer()
    await one.until('publish_failed', ({ code }) => code === ofRecord.code)
    await insertRows(database.pool, numbered('t', 'k', 11))
    await emptied(database.pool)
    expect(written(transport)).toEqual(upTo(11))
  })

  test('and that another owner has withdrawn and published under new numbers during the search is left to it', async () => {
    const transport = memoryTransport({ partitions: 1 })
    transport.refuse(() => true, { outcome: unknown, times: 1 })
    transport.refuse(() => true, { outcome: ofRecord, times: 1 })
    await insertMany(database.pool, 't', 10, 10)
    const search: SearchLog = async () => {
      await endedByOthers()
      return 0
    }
    await using one = relay(transport, {}, { search })
    await one.relay.start()
    await emptied(database.pool)
    await insertRows(database.pool, numbered('t', 'k', 11))
    await emptied(database.pool)
    // The others are in the log of the owner that published them.
    expect(written(transport)).toEqual([11])
  })

  test('is found when somebody has deleted one of its rows by hand, and what is left is published if it is not', async () => {
    const transport = memoryTransport({ partitions: 1 })
    const accept = transport.refuse(() => true, { outcome: unknown })
    await insertMany(database.pool, 't', 10, 10)
    const first = relay(transport, { stopTimeoutMs: 3_000 })
    await first.relay.start()
    await transport.called(2)
    await first.relay.stop()
    await database.query('DELETE FROM outbox WHERE id = (SELECT min(id) FROM outbox)')
    accept()
    await relay(transport).relay.drain()
    expect(written(transport)).toEqual(upTo(10).slice(1))
    expect(await recorded()).toEqual([])
  }, 20_000)
})

describe('a recorded batch that cannot be sent again under its numbers (rule 28)', () => {
  /** Ten messages whose batch was recorded, and sent to a broker that gave no answer and has not written it. */
  const left = async () => {
    const transport = memoryTransport({ partitions: 1, clusterId: 'one' })
    transport.refuse(() => true, { outcome: unknown })
    await insertMany(database.pool, 't', 10, 10)
    const first = relay(transport, { stopTimeoutMs: 3_000 })
    await first.relay.start()
    await transport.called(2)
    await first.relay.stop()
    return transport.batches[0]!
  }

  test.each([
    ['is published there', false],
    ['is not published again where it has been mirrored to', true],
  ])(
    'of another cluster, where its numbers are those of another batch, is looked up: it %s',
    async (_, mirrored) => {
      const batch = await left()
      const transport = memoryTransport({ partitions: 1, clusterId: 'two' })
      const others = batch.records.map((record) => ({ ...record, headers: { ...record.headers, id: randomUUID() } }))
      const { producerId } = await transport.producerId!(new AbortController().signal)
      expect(producerId).toBe(batch.numbers!.producerId)
      await transport.publish({ ...batch, records: others }, 1_000)
      if (mirrored) await transport.publish({ ...batch, numbers: undefined }, 1_000)
      const next = relay(transport)
      await next.relay.drain()
      expect(written(transport)).toEqual(upTo(10).flatMap((n) => [n, n]))
      expect(new Set(transport.records().map(({ headers }) => headers.id)).size).toBe(20)
      expect(next.all('cluster_changed')).toEqual([{ topic: 't', partition: 0, records: 10 }])
      expect(await recorded()).toEqual([])
    },
    20_000,
  )

  const hour = 3_600_000

  test.each([
    ['sent by a relay whose clock is right', 0, 0, false],
    ['sent by a relay whose clock is half an hour behind', -0.5, 0, false],
    ['looked up by a relay whose clock is two hours behind', -2, 0, true],
    ['looked up after 13 hours', 0, 13, true],
    ['looked up after 13 hours by a relay whose clock is 13 hours behind', -13, 13, true],
  ])(
    'and one that can: it is %s',
    async (_, offset, age, isLookedUp) => {
      await left()
      await database.query(`UPDATE outbox_batch SET recorded_at = recorded_at - interval '${age} hours'`)
      const transport = memoryTransport({ partitions: 1, clusterId: 'one' })
      const searched: unknown[] = []
      const search: SearchLog = async (what) => searched.push(what) && 0
      const clock = { ...systemClock, date: () => Date.now() + offset * hour }
      await relay(transport, {}, { search, clock }).relay.drain()
      expect(searched).toHaveLength(isLookedUp ? 1 : 0)
      expect(written(transport)).toEqual(upTo(10))
    },
    20_000,
  )
})

/** A key of that partition of two, in a bucket that the others are not in. */
function keyIn(partition: number, others: readonly string[] = []): string {
  const bucket = (key: string) => bucketOf('t', Buffer.from(key))
  const fits = (key: string) =>
    partitionOf('t', Buffer.from(key), 2) === partition && others.every((other) => bucket(other) !== bucket(key))
  return Array.from({ length: 1_000 }, (_, i) => `k${i}`).find(fits)!
}

test('rows behind a batch that was let go of, while another partition tries the topic, are sent under new numbers', async () => {
  const a = keyIn(0)
  const b = keyIn(0, [a])
  const c = keyIn(1, [a, b])
  const transport = memoryTransport({ partitions: 2 })
  transport.refuse(() => true, { outcome: ofTopic, times: 1 })
  let answer!: () => void
  const answered = new Promise<void>((resolve) => {
    answer = resolve
  })
  let ask!: () => void
  const asked = new Promise<void>((resolve) => {
    ask = resolve
  })
  let tries = 0
  let one!: TestRelay
  const reads = () => one.all('fetched').filter(({ rows }) => rows > 0).length
  const put = async (key: string, ...numbers: number[]) => {
    const before = reads()
    await insertRows(database.pool, numbered('t', key, ...numbers))
    await one.until('fetched', () => reads() > before)
    await new Promise((resolve) => setImmediate(resolve))
  }
  const publish: Transport['publish'] = async (batch, ...how) => {
    if (batch.partition === 1) {
      ask()
      await answered
    } else if (++tries === 2) {
      // The probe. The other partition waits for its turn when this one has failed.
      await put(c, 1)
      return { kind: 'not-written', scope: 'transient', code: 'NOT_ENOUGH_REPLICAS', error: 'too few' }
    }
    return transport.publish(batch, ...how)
  }
  await insertRows(database.pool, numbered('t', a, 1))
  one = testRelay(database.url, { ...shared(transport), publish }, { exactlyOnce: true })
  await one.relay.start()
  await asked
  await put(b, 1, 2, 3)
  await database.query(
    `UPDATE outbox_lease SET owner = gen_random_uuid(), epoch = epoch + 1, leased_until = clock_timestamp() + interval '200 s', lease_ms = 300000
     WHERE bucket = ${bucketOf('t', Buffer.from(a))}`,
  )
  await one.until('leases_lost')
  answer()
  await eventually(database.pool, 'SELECT WHERE (SELECT count(*) FROM outbox) = 1')
  expect(tries).toBe(3)
  await one.relay.stop()
})

test('a refusal without doubt splits and dead-letters as ever', async () => {
  const transport = memoryTransport({ partitions: 1 })
  transport.refuse((record) => numberOf(record) === 5, { outcome: ofRecord })
  await insertMany(database.pool, 't', 16, 16)
  await relay(transport, {}, { search: undefined }).relay.drain()
  expect(written(transport)).toEqual(upTo(16).filter((n) => n !== 5))
  expect(await database.query('SELECT reason FROM outbox_dead_letter')).toEqual([{ reason: 'INVALID_RECORD' }])
  expect(await recorded()).toEqual([])
})

test('a recorded batch of a paused topic keeps no other topic of its bucket waiting (rule 27)', async () => {
  const key = 'k'
  const other = Array.from({ length: 10_000 }, (_, i) => `k${i}`).find(
    (one) => bucketOf('u', Buffer.from(one)) === bucketOf('t', Buffer.from(key)),
  )!
  const transport = memoryTransport({ partitions: 1 })
  transport.refuse((_, { topic }) => topic === 't', { outcome: unknown, times: 1, written: true })
  const accept = transport.refuse((_, { topic }) => topic === 't', { outcome: ofTopic })
  await insertRows(database.pool, numbered('t', key, 1, 2))
  const first = relay(transport, { stopTimeoutMs: 3_000 })
  await first.relay.start()
  await first.until('topic_paused')
  await first.relay.stop()
  expect(await recorded()).toHaveLength(1)
  await using next = relay(transport)
  await next.relay.start()
  await next.until('topic_paused')
  await insertRows(database.pool, numbered('u', other, 3))
  await transport.written(1, 'u')
  await insertRows(database.pool, numbered('t', key, 4))
  accept()
  await emptied(database.pool)
  expect(transport.records('t').map(numberOf)).toEqual([1, 2, 4])
}, 20_000)

test('a row that somebody has locked keeps its batch recorded and acknowledged, and the next relay does not send it (rule 12)', async () => {
  const transport = memoryTransport({ partitions: 1 })
  await insertMany(database.pool, 't', 10, 10)
  const free = await lock('SELECT 1 FROM outbox ORDER BY id LIMIT 1 FOR UPDATE')
  const first = relay(transport)
  await first.relay.start()
  await first.until('rows_locked')
  await eventually(database.pool, 'SELECT 1 FROM outbox_batch WHERE acknowledged')
  await insertMany(database.pool, 'u', 10, 10)
  await transport.written(10, 'u')
  await first.relay.stop()
  await using next = relay(transport)
  await next.relay.start()
  await next.until('rows_locked')
  await free()
  await emptied(database.pool)
  await eventually(database.pool, 'SELECT WHERE NOT EXISTS (SELECT FROM outbox_batch)')
  expect(transport.records('t')).toHaveLength(10)
}, 30_000)

test('a lease row that somebody has locked stops neither the renewal nor the records of the others (rule 26)', async () => {
  const transport = memoryTransport({ partitions: 1 })
  await insertMany(database.pool, 't', 64, 64)
  await using one = relay(transport)
  await one.relay.start()
  await emptied(database.pool)
  const free = await lock('SELECT 1 FROM outbox_lease WHERE bucket = (SELECT min(bucket) FROM outbox_lease) FOR UPDATE')
  const begun = performance.now()
  let count = 64
  // Longer than the lease: without renewals every bucket would be lost.
  while (performance.now() - begun < 5_000) {
    await insertRows(database.pool, numbered('t', `key-${count % 7}`, ++count))
    await eventually(database.pool, 'SELECT WHERE NOT EXISTS (SELECT FROM outbox WHERE bucket > 0)')
  }
  expect(one.all('leases_lost').flatMap(({ buckets }) => buckets)).toEqual([0])
  await free()
  await emptied(database.pool)
  expect(new Set(transport.records().map(({ headers }) => headers.id)).size).toBe(transport.records().length)
}, 30_000)

describe('the other mode (rule 29)', () => {
  test('waits for the last relay of this one, in a rolling update both ways under load', async () => {
    const transport = memoryTransport({ partitions: 3 })
    let count = 0
    let loading = true
    const load = (async () => {
      while (loading) await insertRows(database.pool, numbered('t', `key-${count % 7}`, ++count))
    })()
    const plain = testRelay(database.url, shared(transport))
    await plain.relay.start()
    await transport.written(20)
    const [once, second] = [relay(transport), relay(transport)]
    await once.relay.start()
    await second.relay.start()
    expect(await once.until('standing_by')).toEqual({ exactlyOnce: true })
    // Those that wait take nothing away from the one that serves.
    expect(plain.all('leases_released')).toEqual([])
    await plain.relay.stop()
    await Promise.any([once.until('leases_taken'), second.until('leases_taken')])
    const served = transport.records().length
    await transport.written(served + 20)
    expect(transport.batches.at(-1)!.numbers).toBeDefined()
    const back = testRelay(database.url, shared(transport))
    await back.relay.start()
    expect(await back.until('standing_by')).toEqual({ exactlyOnce: false })
    await Promise.all([once.relay.stop(), second.relay.stop()])
    await back.until('leases_taken')
    await transport.written(transport.records().length + 20)
    loading = false
    await load
    await emptied(database.pool)
    await back.relay.stop()
    expect(written(transport)).toEqual(upTo(count))
  }, 60_000)

  describe('has recorded batches', () => {
    /** Leaves a batch of ten rows, recorded and in the log, of which no relay knows the outcome. Returns what lets Kafka answer. */
    const leave = async (transport: MemoryTransport): Promise<() => void> => {
      const accept = transport.refuse(() => true, { outcome: unknown, written: true })
      await insertMany(database.pool, 't', 10, 10)
      const first = relay(transport, { stopTimeoutMs: 3_000 })
      await first.relay.start()
      await transport.called(2)
      await first.relay.stop()
      expect(await recorded()).toHaveLength(1)
      return accept
    }
    const plainRelay = (transport: MemoryTransport, options: RelayOptions = {}): TestRelay =>
      testRelay(database.url, shared(transport), options, { search: searchOf(transport) })

    test('a plain relay publishes them first, under their numbers, and then changes the mode', async () => {
      const transport = memoryTransport({ partitions: 1 })
      const accept = await leave(transport)
      accept()
      await using one = plainRelay(transport)
      await one.relay.start()
      await one.until('batches_adopted')
      await emptied(database.pool)
      expect(await recorded()).toEqual([])
      await insertRows(database.pool, numbered('t', 'k', 11))
      await emptied(database.pool)
      expect(written(transport)).toEqual(upTo(11))
      await eventually(database.pool, 'SELECT FROM outbox_lease HAVING bool_and(format = 1)')
      expect([one.all('standing_by'), one.all('started'), one.all('stopped')]).toMatchObject([[], [{}], []])
      expect(await database.query('SELECT 1 FROM outbox_relay')).toHaveLength(1)
    }, 30_000)

    test('several plain relays do so together', async () => {
      const transport = memoryTransport({ partitions: 1 })
      const accept = await leave(transport)
      accept()
      const all = [plainRelay(transport), plainRelay(transport), plainRelay(transport)]
      await Promise.all(all.map(({ relay }) => relay.start()))
      await insertRows(database.pool, numbered('t', 'k', 11, 12))
      await emptied(database.pool)
      await eventually(database.pool, 'SELECT FROM outbox_lease HAVING bool_and(format = 1 AND owner IS NOT NULL)')
      await Promise.all(all.map(({ relay }) => relay.stop()))
      expect(written(transport)).toEqual(upTo(12))
    }, 30_000)

    test('a drain publishes them too, and counts them', async () => {
      const transport = memoryTransport({ partitions: 1 })
      const accept = await leave(transport)
      accept()
      await insertRows(database.pool, numbered('t', 'k', 11))
      const report = await plainRelay(transport).relay.drain({ budgetMs: 20_000 })
      expect(report).toMatchObject({ endedBy: 'empty', published: 11, waiting: 0 })
      expect(written(transport)).toEqual(upTo(11))
    }, 30_000)

    test('a batch of a paused topic keeps no other topic waiting, and the mode changes when it is published', async () => {
      const transport = memoryTransport({ partitions: 1 })
      const accept = await leave(transport)
      const open = transport.refuse((_, { topic }) => topic === 't', { outcome: ofTopic })
      accept()
      await using one = plainRelay(transport)
      await one.relay.start()
      await one.until('topic_paused')
      for (const n of [11, 12, 13]) {
        await insertRows(database.pool, numbered('u', `k${n}`, n))
        await transport.written(n - 10, 'u')
      }
      expect(await database.query('SELECT DISTINCT format FROM outbox_lease')).toEqual([{ format: 2 }])
      open()
      await emptied(database.pool)
      await eventually(database.pool, 'SELECT FROM outbox_lease HAVING bool_and(format = 1 AND owner IS NOT NULL)')
      expect(written(transport)).toEqual(upTo(13))
      expect([one.all('topic_paused'), one.all('topic_resumed')]).toMatchObject([[{ topic: 't' }], [{ topic: 't' }]])
    }, 60_000)

    test('a drain that meets one of a paused topic ends, and says so', async () => {
      const transport = memoryTransport({ partitions: 1 })
      const accept = await leave(transport)
      transport.refuse((_, { topic }) => topic === 't', { outcome: ofTopic })
      accept()
      await insertRows(database.pool, numbered('u', 'k', 11))
      const report = await plainRelay(transport).relay.drain()
      expect(report).toMatchObject({
        endedBy: 'paused',
        published: 1,
        waiting: 10,
        foreignBuckets: 0,
        pausedTopics: [{ topic: 't' }],
      })
      expect(await recorded()).toHaveLength(1)
    }, 60_000)

    test('a relay that is stopped meanwhile ends in time, and leaves them to the next', async () => {
      const transport = memoryTransport({ partitions: 1 })
      const accept = await leave(transport)
      const one = plainRelay(transport, { stopTimeoutMs: 2_000 })
      await one.relay.start()
      const calls = transport.batches.length
      await transport.called(calls + 2)
      const began = performance.now()
      await one.relay.stop()
      expect(performance.now() - began).toBeLessThan(4_000)
      expect(one.all('stopped')).toHaveLength(1)
      expect(await recorded()).toHaveLength(1)
      accept()
      await using next = plainRelay(transport)
      await next.relay.start()
      await emptied(database.pool)
      expect(written(transport)).toEqual(upTo(10))
    }, 30_000)

    test('a transport without producer ids leaves them, and says so', async () => {
      const transport = memoryTransport({ partitions: 1 })
      const accept = await leave(transport)
      accept()
      const { producerId: _, ...without } = shared(transport)
      await using one = testRelay(database.url, without)
      await one.relay.start()
      expect(await one.until('standing_by')).toEqual({ exactlyOnce: false })
      await relay(transport).relay.drain()
      await one.until('leases_taken')
      expect(written(transport)).toEqual(upTo(10))
    }, 30_000)
  })
})

test('recorded batches have no limit, and what is read beside them ends at one and a half times the limits', () => {
  const inFlight = new InFlight({ maxInFlight: 4, maxInFlightBytes: 400 })
  const rows = upTo(8).map((id) => ({ id, bucket: 0, bytes: 100, heldBytes: 100 }) as CarriedRow)
  for (const row of rows.slice(0, 4)) inFlight.add(row)
  inFlight.keep(rows)
  expect([inFlight.freeRows, inFlight.freeBytes]).toEqual([2, 200])
  for (const row of rows.slice(4)) inFlight.add(row)
  inFlight.keep(rows)
  expect(inFlight.freeRows).toBeLessThanOrEqual(0)
  expect(inFlight.freeBytes).toBeLessThanOrEqual(0)
})

test('a transport without producer ids is refused', () => {
  const transport = memoryTransport({ producerIds: false })
  expect(() => testRelay(database.url, transport, { exactlyOnce: true })).toThrow(
    expect.objectContaining({ code: 'OUTBOX_INVALID_OPTION', field: 'exactlyOnce' }),
  )
})
