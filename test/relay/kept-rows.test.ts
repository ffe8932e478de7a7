import { describe, expect, inject, test } from 'vitest'
import { kafkajsTransport } from '../../src/transport/kafkajs/kafkajs.ts'
import { memoryTransport } from '../../src/transport/memory.ts'
import { useDatabase } from '../support/database.ts'
import { emptied, eventually } from '../support/eventually.ts'
import { numbered, numberOf } from '../support/numbered.ts'
import { shared, startedRelay } from '../support/relay.ts'
import { insertMany, insertRows } from '../support/rows.ts'
import { createTopic, readTopic } from '../support/topics.ts'

// A trigger or a rule of somebody else keeps rows that the relay has deleted.

const database = useDatabase()

const trigger = (condition: string) => `CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER keep BEFORE DELETE ON outbox FOR EACH ROW WHEN (${condition}) EXECUTE FUNCTION keep()`

/** How rows are kept, which, and what ends it. */
const ways = {
  'a trigger that keeps all': [trigger('true'), [1, 2, 3, 4], 'DROP FUNCTION keep CASCADE'],
  'a trigger that keeps every second one': [trigger('OLD.id % 2 = 0'), [2, 4], 'DROP FUNCTION keep CASCADE'],
  'a trigger that keeps one key': [trigger(`OLD.key = '\\x6b34'`), [4], 'DROP FUNCTION keep CASCADE'],
  'a rule that does nothing': [
    'CREATE RULE keep AS ON DELETE TO outbox DO INSTEAD NOTHING',
    [1, 2, 3, 4],
    'DROP RULE keep ON outbox',
  ],
  'a rule that does something else': [
    'CREATE RULE keep AS ON DELETE TO outbox DO INSTEAD UPDATE outbox SET type = OLD.type WHERE id = OLD.id',
    [1, 2, 3, 4],
    'DROP RULE keep ON outbox',
  ],
} as const

describe.each(Object.entries(ways))('%s', (_, [keep, ids, end]) => {
  test('rows are sent once and told of once, others flow, and all are deleted when it has ended', async () => {
    const topic = await createTopic('kept', 2)
    await database.query(keep)
    await using one = await startedRelay(database.url, kafkajsTransport({ brokers: inject('brokers').split(',') }))
    for (const n of [1, 2, 3, 4]) await insertRows(database.pool, numbered(topic, `k${n}`, n))
    await one.until('rows_kept', ({ rows }) => rows === ids.length)
    await eventually(database.pool, 'SELECT FROM outbox HAVING array_agg(id ORDER BY id) = $1::bigint[]', [ids])
    // Whatever makes the relay read again: it knows what it has sent.
    const beats = one.all('heartbeat').length
    await insertRows(database.pool, numbered(topic, 'other', 5))
    await one.until('heartbeat', () => one.all('heartbeat').length > beats + 10)
    expect((await readTopic(topic)).map(numberOf).sort()).toEqual([1, 2, 3, 4, 5])
    expect(one.all('database_trouble')).toEqual([])
    expect(JSON.stringify(one.all('rows_kept'))).not.toContain('"n"')
    await database.query(end)
    await emptied(database.pool)
    await one.until('rows_deleted')
    expect(await readTopic(topic)).toHaveLength(5)
  })
})

test('rows that are kept and rows that are locked are told apart', async () => {
  const transport = memoryTransport({ partitions: 1 })
  await database.query(trigger('OLD.id = 2'))
  await insertRows(database.pool, numbered('t', 'k', 1, 2, 3))
  const client = await database.pool.connect()
  await client.query('BEGIN')
  await client.query('SELECT FROM outbox WHERE id = 1 FOR UPDATE')
  await using one = await startedRelay(database.url, transport)
  await one.until('rows_locked')
  expect(await one.until('rows_kept')).toMatchObject({ rows: 1, topic: 't' })
  await client.query('ROLLBACK')
  client.release()
  await one.until('rows_free')
  expect(await database.query('SELECT id::int FROM outbox')).toEqual([{ id: 2 }])
  expect(one.all('rows_deleted')).toEqual([])
  expect(transport.records()).toHaveLength(3)
})

test.each([
  ['one by one', 'DELETE FROM outbox'],
  ['all at once', 'TRUNCATE outbox'],
])('rows that somebody else has deleted, %s, are no fault', async (_, sql) => {
  const transport = memoryTransport({ partitions: 1 })
  await insertRows(database.pool, numbered('t', 'k', 1))
  await using one = await startedRelay(database.url, shared(transport))
  await emptied(database.pool)
  transport.pause()
  await insertMany(database.pool, 't', 3, 1)
  await transport.called(2)
  await database.query(sql)
  transport.resume()
  await transport.written(4)
  await insertRows(database.pool, numbered('t', 'k', 5))
  await transport.written(5)
  await emptied(database.pool)
  expect([one.all('rows_kept'), one.all('database_trouble')]).toEqual([[], []])
})

test('a relay whose every delete has no effect comes to a stand, and sends nothing twice', async () => {
  const transport = memoryTransport({ partitions: 1 })
  await database.query(trigger('true'))
  await insertMany(database.pool, 't', 11_000, 10)
  await using one = await startedRelay(database.url, transport, { maxInFlight: 500 })
  await one.until('rows_kept', ({ rows }) => rows === 10_500)
  const beats = one.all('heartbeat').length
  await one.until('heartbeat', () => one.all('heartbeat').length > beats + 10)
  expect(transport.records()).toHaveLength(10_500)
  expect(new Set(transport.records().map(numberOf)).size).toBe(10_500)
})
