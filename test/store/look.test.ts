import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { bucketOf } from '../../src/message/key.ts'
import { tablesOf } from '../../src/message/tables.ts'
import type { Operator } from '../../src/store/operator.ts'
import { postgresOperator } from '../../src/store/postgres/operator.ts'
import { operatorStatements } from '../../src/store/postgres/operator-statements.ts'
import { createDatabase, type TestDatabase } from '../support/database.ts'
import { insertMany, insertRows } from '../support/rows.ts'

let database: TestDatabase
let operator: Operator
beforeAll(async () => {
  database = await createDatabase()
  operator = await postgresOperator({ databaseUrl: database.url })
  await insertMany(database.pool, 'many', 20_000, 200)
  await insertRows(database.pool, [{ topic: 'rare', key: 'key-7' }])
  await database.query('VACUUM ANALYZE outbox')
})
afterAll(async () => {
  operator.close()
  await database.drop()
})

const look = { dead: false, limit: 10 }

test('a bounded look finds what stands among the first rows of each bucket, and nothing beyond them', async () => {
  expect(await operator.list({ ...look, topic: 'rare', depth: 1_000 })).toHaveLength(1)
  expect(await operator.list({ ...look, topic: 'rare', depth: 10 })).toEqual([])
  expect(await operator.list({ ...look, topic: 'rare', depth: 10, newest: true })).toMatchObject([{ topic: 'rare' }])
})

test('the newest come first where they are asked for, and the filter is the same', async () => {
  const ids = (await operator.list({ ...look, topic: 'many', newest: true })).map(({ id }) => id)
  expect(ids).toEqual(Array.from({ length: 10 }, (_, n) => 20_000 - n))
  const bounded = (await operator.list({ ...look, topic: 'many', newest: true, depth: 50 })).map(({ id }) => id)
  expect(bounded).toEqual(ids)
})

test('of a key only its own bucket is looked at, 64 times as far', async () => {
  const key = Buffer.from('key-7')
  const [{ place }] = (await database.query<{ place: number }>(
    `SELECT count(*)::int AS place FROM outbox WHERE bucket = ${bucketOf('', key)}`,
  )) as [{ place: number }]
  const depth = Math.ceil(place / 64)
  expect(depth).toBeLessThan(place)
  expect(await operator.list({ ...look, topic: 'rare', key, depth })).toHaveLength(1)
  expect(await operator.list({ ...look, topic: 'rare', key, depth: Math.floor((place - 1) / 64) })).toEqual([])
})

test('a look that finds enough ends there, and one that finds nothing ends at its bound', async () => {
  const sql = operatorStatements(tablesOf('public'))
  const read = async (text: string) => {
    const plan = `SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; EXPLAIN (ANALYZE, FORMAT JSON) ${text}`
    const results = (await database.pool.query(plan)) as unknown as { rows: { 'QUERY PLAN': [{ Plan: Plan }] }[] }[]
    return rowsOf(results.at(-1)!.rows[0]!['QUERY PLAN'][0].Plan)
  }
  expect(await read(sql.listWaiting({ topic: 'nobody' }, 10, { depth: 100 }))).toBeLessThanOrEqual(6_400)
  expect(await read(sql.listWaiting({ topic: 'many' }, 10, { depth: 100 }))).toBeLessThanOrEqual(640)
  expect(await read(sql.listWaiting({ topic: 'many' }, 10, { depth: 100, newest: true }))).toBeLessThanOrEqual(640)
})

interface Plan {
  'Actual Rows': number
  'Actual Loops': number
  Plans?: Plan[]
}

/** The most rows that any step of a plan has read. */
function rowsOf(plan: Plan): number {
  return Math.max(plan['Actual Rows'] * plan['Actual Loops'], ...(plan.Plans ?? []).map(rowsOf))
}

test('a message is found at its place, by its id as well, and is too large for anyone who wants less', async () => {
  const messageId = randomUUID()
  const [id] = await insertRows(database.pool, [
    { topic: 't', key: 'k', messageId, value: 'x'.repeat(5_000), headers: { a: 'b' } },
  ])
  const place = { bucket: bucketOf('', Buffer.from('k')), id: id! }
  const found = await operator.show(messageId, true, { place })
  expect(found).toMatchObject({ messageId, tooLarge: false, diedAt: null, diedBy: null })
  expect(found!.createdAt).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/)
  expect(await operator.show(messageId, true, { place: { ...place, id: 1 } })).toBeNull()
  expect(await operator.show(randomUUID(), true, { place })).toBeNull()
  expect(await operator.show(messageId, true, { place, mostBytes: 1_000 })).toMatchObject({
    tooLarge: true,
    value: null,
    headers: null,
  })
})

test('without its place a message is looked for in the order of the table, not in that of an index that cannot find it', async () => {
  const sql = operatorStatements(tablesOf('public'))
  const planOf = async (text: string) => {
    const at = text.lastIndexOf(';') + 1
    const plan = `SET LOCAL enable_seqscan = off; ${text.slice(0, at)} EXPLAIN ${text.slice(at)}`
    return JSON.stringify(((await database.pool.query(plan)) as unknown as { rows: unknown }[]).at(-1)!.rows)
  }
  expect(await planOf(sql.show(randomUUID(), false, 1))).toContain('Seq Scan on outbox m')
  expect(await planOf(sql.show(randomUUID(), false, 1, { bucket: 1, id: 1 }))).not.toContain('Seq Scan')
})

test('dead messages are counted by reason and topic, and it is told when there may be more', async () => {
  await database.query(
    `INSERT INTO outbox_dead_letter (bucket, id, message_id, topic, created_at, reason, error, relay)
     SELECT n % 2, n, gen_random_uuid(), 'topic-' || n % 2, now() - interval '1 hour', CASE WHEN n <= 10 THEN 'A' ELSE 'B' END, 'in words', 'r'
     FROM generate_series(1, 30) AS n UNION ALL SELECT 5, 99, gen_random_uuid(), 'behind', now(), NULL, NULL, 'r'`,
  )
  const groups = await operator.deadGroups(100)
  expect(groups.map(({ reason, topic, messages }) => [reason, topic, messages])).toEqual([
    ['B', 'topic-0', 10],
    ['B', 'topic-1', 10],
    ['A', 'topic-0', 5],
    ['A', 'topic-1', 5],
    [null, 'behind', 1],
  ])
  expect(groups[0]).toMatchObject({ error: 'in words', cut: false })
  expect(groups[0]!.oldestMs).toBeGreaterThan(3_599_000)
  const few = await operator.deadGroups(7)
  expect(few.map(({ reason, messages }) => [reason, messages])).toContainEqual(['B', 2])
  expect(few.some(({ cut }) => cut)).toBe(true)
})
