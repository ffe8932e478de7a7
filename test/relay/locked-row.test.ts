import type pg from 'pg'
import { afterEach, describe, expect, inject, test } from 'vitest'
import { bucketOf } from '../../src/message/key.ts'
import { systemClock } from '../../src/running/clock.ts'
import { kafkajsTransport } from '../../src/transport/kafkajs/kafkajs.ts'
import { memoryTransport } from '../../src/transport/memory.ts'
import { useDatabase } from '../support/database.ts'
import { emptied, eventually } from '../support/eventually.ts'
import { numbered, numberOf } from '../support/numbered.ts'
import { shared, startedRelay, testRelay } from '../support/relay.ts'
import { action } from '../support/requests.ts'
import { insertMany, insertRows } from '../support/rows.ts'
import { createTopic, readTopic } from '../support/topics.ts'

const database = useDatabase()
const locks = new Set<() => Promise<void>>()
afterEach(async () => {
  for (const end of locks) await end()
})

const kafka = () => kafkajsTransport({ brokers: inject('brokers').split(',') })
const poison = { kind: 'not-written', scope: 'record', code: 'INVALID_RECORD', error: 'refused' } as const

/** An open transaction that has locked rows, as a forgotten psql has. Resolves when they are locked; `end` frees them. */
async function lock(sql: string, values: unknown[] = []): Promise<{ end: () => Promise<void> }> {
  const client: pg.PoolClient = await database.pool.connect()
  await client.query('BEGIN')
  await client.query(sql, values)
  const end = async () => {
    if (!locks.delete(end)) return
    await client.query('ROLLBACK')
    client.release()
  }
  locks.add(end)
  return { end }
}

const onlyLeft = (ids: readonly number[]) =>
  eventually(database.pool, 'SELECT FROM outbox HAVING array_agg(id ORDER BY id) = $1::bigint[]', [ids])

describe('acknowledged rows that somebody has locked', () => {
  test('one in a backlog of 20,000: all others go, also of another topic, and the row goes when it is free', async () => {
    const [a, b] = [await createTopic('locked', 6), await createTopic('beside', 6)]
    await insertMany(database.pool, a, 20_000, 100)
    const [{ id }] = (await database.query<{ id: string }>('SELECT max(id) - 10000 AS id FROM outbox')) as [{ id: string }]
    const held = await lock('SELECT FROM outbox WHERE id = $1 FOR UPDATE', [id])
    await using one = await startedRelay(database.url, kafka())
    await one.until('rows_locked')
    await insertRows(database.pool, numbered(b, 'k', 1, 2, 3))
    await onlyLeft([Number(id)])
    expect(one.all('database_trouble')).toEqual([])
    await held.end()
    await emptied(database.pool)
    await one.until('rows_free')
    expect(await readTopic(a)).toHaveLength(20_000)
    expect(await readTopic(b)).toHaveLength(3)
    expect(one.all('rows_locked')).toMatchObject([{ topic: a, bucket: expect.any(Number), messageId: expect.any(String) }])
    expect(one.all('rows_free')).toHaveLength(1)
  })

  test('two of two buckets, locked in different ways: told once, and over when the second is free', async () => {
    const topic = await createTopic('locked', 2)
    const [first, second] = (await insertRows(database.pool, [...numbered(topic, 'k1', 1), ...numbered(topic, 'k2', 2)])) as [
      number,
      number,
    ]
    const [x, y] = [
      await lock('SELECT FROM outbox WHERE id = $1 FOR KEY SHARE', [first]),
      await lock('DELETE FROM outbox WHERE id = $1', [second]),
    ]
    await using one = await startedRelay(database.url, kafka())
    await one.until('rows_locked')
    for (let n = 3; n < 10; n++) {
      const ids = await insertRows(database.pool, numbered(topic, `k${n}`, n))
      await eventually(database.pool, 'SELECT WHERE NOT EXISTS (SELECT FROM outbox WHERE id = $1)', ids)
    }
    await x.end()
    await onlyLeft([second])
    expect(one.all('rows_free')).toEqual([])
    await y.end()
    await one.until('rows_free')
    await emptied(database.pool)
    expect(one.all('rows_locked')).toHaveLength(1)
    expect(one.all('database_trouble')).toEqual([])
    expect((await readTopic(topic)).map(numberOf).sort((a, b) => a - b)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9])
  })

  test('more than may be read at a time: they hold no room, and the next ones go', async () => {
    const transport = memoryTransport({ partitions: 2 })
    await insertMany(database.pool, 'many', 500, 50)
    const held = await lock("SELECT FROM outbox WHERE topic = 'many' FOR UPDATE")
    await using _one = await startedRelay(database.url, transport, { maxInFlight: 100, maxInFlightBytes: 2_000 })
    await transport.written(500, 'many')
    await insertRows(database.pool, numbered('next', 'k', 1, 2))
    await eventually(database.pool, "SELECT FROM outbox HAVING count(*) FILTER (WHERE topic = 'next') = 0")
    expect(transport.records()).toHaveLength(502)
    await held.end()
    await emptied(database.pool)
  })

  test('their bucket is given back all the same; the next owner sends them once more, and either deletes them (G4)', async () => {
    const transport = memoryTransport({ partitions: 1 })
    const [id] = await insertRows(database.pool, numbered('t', 'k', 1, 2))
    const held = await lock('SELECT FROM outbox WHERE id = $1 FOR UPDATE', [id])
    const a = testRelay(database.url, shared(transport))
    await a.relay.start()
    await a.until('rows_locked')
    const began = performance.now()
    await a.relay.stop()
    expect(performance.now() - began).toBeLessThan(a.relay.settings.stopTimeoutMs)
    expect(a.all('stopped')).toMatchObject([{ clean: false }])
    await using b = await startedRelay(database.url, shared(transport))
    await b.until('rows_locked')
    expect(transport.records().map(numberOf)).toEqual([1, 2, 1])
    await held.end()
    await emptied(database.pool)
    expect(transport.records()).toHaveLength(3)
  })
})

describe('moves and requests that meet a locked row', () => {
  test('a refused row waits for its lock, its key with it, and nothing else does', async () => {
    const transport = memoryTransport({ partitions: 1 })
    transport.refuse((record) => numberOf(record) === 1, { outcome: poison })
    const [bad] = await insertRows(database.pool, numbered('t', 'k', 1, 2))
    const held = await lock('SELECT FROM outbox WHERE id = $1 FOR UPDATE', [bad])
    await using one = await startedRelay(database.url, transport)
    expect(await one.until('rows_locked')).toMatchObject({ topic: 't' })
    const second = bad! + 1
    // Longer than a session lived whose every statement waited for the lock.
    const longEnough = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND xact_start < now() - interval '6 s'"
    for (let n = 3; (await database.query(longEnough)).length === 0; n++) {
      await insertRows(database.pool, numbered('t', `other-${n}`, n))
      await transport.written(n - 2)
      await onlyLeft([bad!, second])
    }
    expect(await database.query('SELECT 1 FROM outbox_dead_letter')).toEqual([])
    await held.end()
    await one.until('dead_lettered')
    await one.until('blocked', (e) => e.rows === 1)
    await one.until('rows_free')
    expect(one.all('database_trouble')).toEqual([])
    expect(one.all('leases_lost')).toEqual([])
  })

  test.each([
    ['IS NOT NULL', 'dead_lettered', { reason: 'INVALID_RECORD' }],
    ['IS NULL', 'blocked', { rows: 1 }],
  ] as const)(
    'a row that moves, reason %s, while its lease runs out by the clock of the relay is told',
    async (reason, event, fields) => {
      const transport = memoryTransport({ partitions: 1 })
      transport.refuse((record) => numberOf(record) === 1, { outcome: poison })
      await insertRows(database.pool, numbered('t', 'k', 1, 2))
      await database.query(`
      CREATE FUNCTION slowly() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(6); RETURN NEW; END $$;
      CREATE TRIGGER slowly BEFORE INSERT ON outbox_dead_letter FOR EACH ROW WHEN (NEW.reason ${reason}) EXECUTE FUNCTION slowly()`)
      let late = 0
      const clock = { ...systemClock, now: () => systemClock.now() + late }
      await using one = await startedRelay(database.url, transport, { leaseMs: 30_000 }, { clock })
      await eventually(
        database.pool,
        "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'",
      )
      late = 30_000
      await one.until('leases_lost')
      expect(one.all(event)).toEqual([])
      expect(await one.until(event)).toMatchObject({ topic: 't', ...fields })
      expect(one.all('database_trouble')).toEqual([])
    },
  )

  test('rows behind a dead one: those that are free move, the locked one when it can', async () => {
    const transport = memoryTransport({ partitions: 1 })
    transport.refuse((record) => numberOf(record) === 1, { outcome: poison })
    const ids = await insertRows(database.pool, numbered('t', 'k', 1, 2, 3, 4))
    const held = await lock('SELECT FROM outbox WHERE id = $1 FOR UPDATE', [ids[2]])
    await using one = await startedRelay(database.url, transport)
    await one.until('rows_locked')
    await eventually(database.pool, 'SELECT FROM outbox_dead_letter HAVING count(*) = 3')
    await onlyLeft([ids[2]!])
    await held.end()
    await emptied(database.pool)
    expect(await database.query('SELECT id::int FROM outbox_dead_letter ORDER BY id')).toEqual(ids.map((id) => ({ id })))
    await one.until('rows_free')
    expect(one.all('database_trouble')).toEqual([])
  })

  test.each(['redrive', 'discard'] as const)('a %s of a locked dead row waits, and the messages of others go on', async (how) => {
    const transport = memoryTransport({ partitions: 1 })
    const accept = transport.refuse((record) => numberOf(record) === 1, { outcome: poison })
    await insertRows(database.pool, numbered('t', 'k', 1))
    {
      await using before = await startedRelay(database.url, shared(transport))
      await before.until('dead_lettered')
    }
    accept()
    // No relay runs yet, so none can be faster than the lock.
    await action(database.pool, how)
    const held = await lock('SELECT FROM outbox_dead_letter FOR UPDATE')
    await using one = await startedRelay(database.url, shared(transport))
    expect(await one.until('rows_locked')).toMatchObject({ topic: null, bucket: bucketOf('t', Buffer.from('k')) })
    await insertRows(database.pool, numbered('t', 'other', 2))
    await emptied(database.pool)
    await held.end()
    await eventually(database.pool, 'SELECT WHERE NOT EXISTS (SELECT FROM outbox_dead_letter)')
    await one.until('rows_free')
    await emptied(database.pool)
    expect(one.all('database_trouble')).toEqual([])
  })

  test('a locked lease row keeps its bucket, and the others are given back; a locked heartbeat of a relay long dead harms none', async () => {
    const transport = memoryTransport({ partitions: 1 })
    await database.query(
      "INSERT INTO outbox_relay (id, name, version, seen_at) VALUES (gen_random_uuid(), 'old', '0', now() - interval '2 hours')",
    )
    const old = await lock('SELECT FROM outbox_relay FOR UPDATE')
    const a = testRelay(database.url, shared(transport), { stopTimeoutMs: 2_000 })
    await a.relay.start()
    await a.until('leases_taken', (e) => e.owned === 64)
    const held = await lock('SELECT FROM outbox_lease WHERE bucket = 7 FOR UPDATE')
    await a.relay.stop()
    expect(a.all('leases_released').flatMap((e) => e.buckets)).toHaveLength(63)
    expect(a.all('database_trouble')).toEqual([])
    await held.end()
    await old.end()
  })
})
