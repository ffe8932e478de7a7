import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { tablesOf } from '../../src/message/tables.ts'
import { fetchStatement } from '../../src/store/postgres/fetch-statement.ts'
import { postgresStore } from '../../src/store/postgres/store.ts'
import type { Fetch, StoreSession } from '../../src/store/store.ts'
import { createDatabase, type TestDatabase } from '../support/database.ts'
import { insertMany } from '../support/rows.ts'

let database: TestDatabase
let session: StoreSession
beforeAll(async () => {
  database = await createDatabase()
  session = await postgresStore({ databaseUrl: database.url }).connect({
    id: randomUUID(),
    name: 'a',
    version: '0',
    leaseMs: 10_000,
  })
  await insertMany(database.pool, 'many', 20_000, 200)
  await database.query('VACUUM ANALYZE outbox')
})
afterAll(async () => {
  await session?.close()
  await database.drop()
})

/** All buckets from one place on, and no share for any of them. */
function together(after: number, limit: number, more: Partial<Fetch> = {}): Fetch {
  const scans = Array.from({ length: 64 }, (_, bucket) => ({ bucket, after, limit, look: 1_000 }))
  return { scans, limit, withoutTopics: [], withoutIds: [], maxRowBytes: 1_000_000, maxBytes: 64_000_000, ...more }
}

const found = async (what: Fetch) => (await session.fetch(what)).rows.map(({ bucket, id }) => ({ bucket, id }))

const stored = async (where: string, limit: number) => {
  const rows = `SELECT bucket, id::int AS id FROM outbox WHERE ${where} ORDER BY bucket, id LIMIT ${limit}`
  return database.query<{ bucket: number; id: number }>(rows)
}

/** Each asked on its own, as soon as one thing tells the scans apart. */
const apart: [string, (what: Fetch) => Fetch][] = [
  [
    'one begins elsewhere',
    (what) => ({ ...what, scans: what.scans.map((scan, i) => (i === 63 ? { ...scan, after: scan.after + 1 } : scan)) }),
  ],
  ['one has a share', (what) => ({ ...what, scans: what.scans.map((scan, i) => (i === 63 ? { ...scan, limit: 1 } : scan)) })],
  ['another order', (what) => ({ ...what, scans: [...what.scans.slice(1), what.scans[0]!] })],
  ['a topic is left out', (what) => ({ ...what, withoutTopics: ['none'] })],
]

test.each<[string, Fetch, string, number]>([
  ['the last ones', together(19_900, 2_000), 'id > 19900', 2_000],
  ['without some', together(19_900, 2_000, { withoutIds: [19_901, 20_000] }), 'id > 19901 AND id < 20000', 2_000],
  ['more than the limit', together(0, 1_000), 'true', 1_000],
  ['none', together(20_000, 2_000), 'false', 2_000],
  [
    'few buckets',
    { ...together(0, 500), scans: together(0, 500).scans.filter(({ bucket }) => bucket % 9 === 4) },
    'bucket % 9 = 4',
    500,
  ],
])('all buckets from one place on: %s', async (_, what, where, limit) => {
  expect(await found(what)).toEqual(await stored(where, limit))
})

test.each(apart)('asked for one by one, buckets bring the same rows: %s', async (_, change) => {
  const rows = await found(change(together(19_000, 2_000)))
  const alike = ({ bucket }: { bucket: number }) => bucket > 0 && bucket < 63
  const expected = (await stored('id > 19000', 2_000)).filter(alike)
  expect(rows.filter(alike)).toEqual(expected)
})

test('in both ways a fetch reads its rows from the index, and no more of them than it may bring', async () => {
  const { outbox } = tablesOf('public')
  const plan = async (what: Fetch) => {
    const text = fetchStatement(outbox, what).replace(/^COPY \((.*)\) TO STDOUT.*$/s, '$1')
    const settings = 'SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off;'
    const results = (await database.pool.query(`${settings} EXPLAIN (ANALYZE, TIMING OFF, COSTS OFF) ${text}`)) as unknown as {
      rows: object[]
    }[]
    return results
      .at(-1)!
      .rows.map((row) => Object.values(row)[0])
      .join('\n')
  }
  const what = together(0, 100)
  for (const one of [what, ...apart.map(([, change]) => change(what))]) {
    const told = await plan(one)
    expect(told).not.toContain('Sort')
    // A hundred rows each of a bucket, and of so many buckets that the fetch is full.
    expect(Math.max(...[...told.matchAll(/rows=(\d+)/g)].map(([, rows]) => Number(rows)))).toBeLessThanOrEqual(100)
  }
  expect(await plan(what)).not.toContain('Nested Loop')
  for (const [, change] of apart) expect(await plan(change(what))).toContain('Nested Loop')
})
