import { describe, expect, test } from 'vitest'
import { bucketOf } from '../../src/message/key.ts'
import { memoryTransport } from '../../src/transport/memory.ts'
import { useDatabase } from '../support/database.ts'
import { emptied, eventually } from '../support/eventually.ts'
import { migrationSql } from '../support/migrations.ts'
import { numbered, numberOf } from '../support/numbered.ts'
import { shared, startedRelay, testRelay } from '../support/relay.ts'
import { action } from '../support/requests.ts'
import { insertMany, insertRows } from '../support/rows.ts'

const database = useDatabase()

const oneToN = (n: number) => Array.from({ length: n }, (_, i) => i + 1)

/** Each way in one message, which is one transaction, so that no heartbeat comes in between. */
const ways: [name: string, sql: string][] = [
  ['TRUNCATE … RESTART IDENTITY', 'TRUNCATE outbox RESTART IDENTITY'],
  ['setval', "SELECT setval('outbox_id_seq', 1, false)"],
  ['a schema dropped and created again', `DROP SCHEMA public CASCADE; CREATE SCHEMA public; ${migrationSql}`],
  [
    'a table replaced by rename',
    `ALTER TABLE outbox RENAME TO outbox_old; ALTER SEQUENCE outbox_id_seq RENAME TO outbox_old_id_seq;
     CREATE TABLE outbox (LIKE outbox_old INCLUDING ALL); CREATE SEQUENCE outbox_id_seq OWNED BY outbox.id;
     ALTER TABLE outbox ALTER id SET DEFAULT nextval('outbox_id_seq')`,
  ],
]

describe('ids restart under a running relay (rule 7)', () => {
  // As many as before, fewer, or more at once: the last id drawn may tell nothing by the time of the next question.
  const cases = ways.flatMap(([name, sql]) => [100, 20, 120].map((count) => [name, count, 0, sql] as const))
  test.each([...cases, ['TRUNCATE … RESTART IDENTITY of a sequence that starts high', 120, 5_000, ways[0]![1]] as const])(
    '%s, then %i messages at once: noticed within two seconds, all arrive, those after it in order',
    async (_, count, start, sql) => {
      if (start > 0) await database.query(`ALTER SEQUENCE outbox_id_seq START ${start} RESTART`)
      const transport = memoryTransport()
      await using one = await startedRelay(database.url, transport, { leaseMs: 10_000 })
      await insertMany(database.pool, 'before', 100, 10)
      await transport.written(100, 'before')
      await emptied(database.pool)
      // A heartbeat that knows what is settled by now.
      for (let n = one.all('heartbeat').length, i = 1; i <= 2; i++) {
        await one.until('heartbeat', () => one.all('heartbeat').length >= n + i)
      }
      await database.query(sql)
      const at = performance.now()
      await insertMany(database.pool, 'after', count, 1)
      expect(await one.until('ids_restarted')).toMatchObject({ error: expect.any(String), remedy: null })
      expect(performance.now() - at).toBeLessThan(2_000)
      await transport.written(count, 'after')
      await insertMany(database.pool, 'later', 50, 1)
      await transport.written(50, 'later')
      await emptied(database.pool)
      expect(new Set(transport.records('after').map(numberOf))).toEqual(new Set(oneToN(count)))
      expect(transport.records('later').map(numberOf)).toEqual(oneToN(50))
      expect(one.all('ids_restarted')).toHaveLength(1)
      expect([one.all('database_trouble'), one.all('row_found_below_position')]).toEqual([[], []])
    },
  )

  test('a row of a transaction that commits late in a table replaced by rename is waited for', async () => {
    const transport = memoryTransport()
    await using one = await startedRelay(database.url, transport)
    await insertMany(database.pool, 'before', 10, 1)
    await transport.written(10)
    await database.query(ways.at(-1)![1])
    await one.until('ids_restarted')
    const late = await database.pool.connect()
    await late.query('BEGIN')
    await insertRows(late, numbered('t', 'late', 1))
    await insertMany(database.pool, 'other', 30, 30)
    await transport.written(30, 'other')
    await late.query('COMMIT')
    late.release()
    await transport.written(1, 't')
    expect(one.all('row_found_below_position')).toEqual([])
  })
})

describe('dead rows from before the ids restarted (rule 7)', () => {
  const poison = { kind: 'not-written', scope: 'record', code: 'INVALID_RECORD', error: 'refused' } as const

  /** A relay whose ids have restarted, with a dead row of key k, its number 1, and 2 and 3 behind it; their ids are after `before` others. */
  async function deadBefore(before: number, transport = memoryTransport({ partitions: 1, topics: { gone: 0 } })) {
    const accept = transport.refuse((record, { topic }) => topic === 't' && numberOf(record) === 1, { outcome: poison })
    const one = testRelay(database.url, shared(transport))
    await one.relay.start()
    if (before > 0) await insertMany(database.pool, 'before', before, 1)
    const [id] = await insertRows(database.pool, numbered('t', 'k', 1, 2, 3))
    await deadRows(3)
    await emptied(database.pool)
    await database.query('TRUNCATE outbox RESTART IDENTITY')
    const told = await one.until('ids_restarted')
    return { transport, one, accept, told, id: id! }
  }
  const sent = (transport: ReturnType<typeof memoryTransport>) => transport.records('t').map(numberOf)
  const deadRows = (n: number) => eventually(database.pool, `SELECT FROM outbox_dead_letter HAVING count(*) = ${n}`)

  // Above the sequence, at the same ids as later rows, and passed by these in the end.
  test.each([50, 0])(
    'after %i others hold their key back whatever the ids of its rows are, and come first when redriven; the remedy is told',
    async (before) => {
      const { transport, one, accept, told } = await deadBefore(before)
      await using _one = one
      expect(told.remedy).toContain("setval('public.outbox_id_seq'")
      await insertRows(database.pool, numbered('t', 'k', 4, 5, 6, 7))
      await insertRows(database.pool, numbered('t', 'free', 9))
      await deadRows(7)
      await transport.written(before + 1)
      expect(sent(transport)).toEqual([9])
      accept()
      await action(database.pool, 'redrive')
      await transport.written(before + 8)
      expect(sent(transport)).toEqual([9, 1, 2, 3, 4, 5, 6, 7])
      await emptied(database.pool)
      expect([one.all('ids_restarted').length, one.all('request_failed'), one.all('database_trouble')]).toEqual([1, [], []])
    },
  )

  test('refused again when redriven, hold their key back as before', async () => {
    const { transport, one, accept } = await deadBefore(50)
    await using _one = one
    await insertRows(database.pool, numbered('t', 'k', 4, 5))
    await deadRows(5)
    await action(database.pool, 'redrive')
    await one.until('redriven')
    await one.until('dead_lettered', () => one.all('dead_lettered').length === 2)
    await insertRows(database.pool, numbered('t', 'k', 6))
    await deadRows(6)
    expect(sent(transport)).toEqual([])
    accept()
    await action(database.pool, 'redrive')
    await transport.written(56)
    expect(sent(transport)).toEqual([1, 2, 3, 4, 5, 6])
  })

  test('hold their key back for the next relay as well, which serves although one that starts is refused', async () => {
    const transport = memoryTransport({ partitions: 1 })
    await using other = await startedRelay(database.url, shared(transport))
    const { one, accept } = await deadBefore(50, transport)
    expect((await other.until('ids_restarted')).remedy).toContain('setval')
    await one.relay.stop()
    await expect(testRelay(database.url, shared(transport)).relay.start()).rejects.toMatchObject({
      code: 'OUTBOX_SEQUENCE_BEHIND',
    })
    await other.until('leases_taken', (e) => e.owned === 64)
    await insertRows(database.pool, numbered('t', 'k', 4))
    await deadRows(4)
    accept()
    await action(database.pool, 'redrive')
    await transport.written(54)
    expect(sent(transport)).toEqual([1, 2, 3, 4])
  })

  test('wait for a row of another key that has their id by now, and are redriven when it has left', async () => {
    const { transport, one, accept, id } = await deadBefore(0)
    await using _one = one
    const bucket = bucketOf('t', Buffer.from('k'))
    await database.query(
      "INSERT INTO outbox (bucket, id, message_id, topic, key, value) VALUES ($1, $2, gen_random_uuid(), 'gone', 'other', '{}')",
      [bucket, id],
    )
    await one.until('topic_paused')
    accept()
    await action(database.pool, 'redrive')
    expect(await one.until('request_failed')).toEqual({ topic: 't', action: 'redrive', code: 'ID_TAKEN' })
    transport.setPartitions('gone', 1)
    await transport.written(3, 't')
    expect(sent(transport)).toEqual([1, 2, 3])
  })

  test('discarded, give way to those of their key from after', async () => {
    const { transport, one } = await deadBefore(50)
    await using _one = one
    await insertRows(database.pool, numbered('t', 'k', 4, 5))
    await deadRows(5)
    await action(database.pool, 'discard', "convert_from(value, 'UTF8') IN ('{\"n\":1}', '{\"n\":2}', '{\"n\":3}')")
    await transport.written(52)
    expect(sent(transport)).toEqual([4, 5])
  })
})
