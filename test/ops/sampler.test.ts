import { randomUUID } from 'node:crypto'
import pg from 'pg'
import { describe, expect, onTestFinished, test } from 'vitest'
import { tablesOf } from '../../src/message/tables.ts'
import { longestRestMs, restMs, startSampler } from '../../src/ops/sampler.ts'
import type { RelayEngine } from '../../src/relay/relay.ts'
import { type RelayEvents, Telemetry } from '../../src/relay/telemetry.ts'
import { operatorStatements } from '../../src/store/postgres/operator-statements.ts'
import { useDatabase } from '../support/database.ts'
import { insertMany, insertRows } from '../support/rows.ts'

const database = useDatabase('emptied')

/** A sampler; gives its next sample, or its next failure. */
function sampling({ databaseUrl = database.url, intervalMs = 20 } = {}) {
  const telemetry = new Telemetry()
  const id = randomUUID()
  const waiting: { event: string; resolve: (fields: never) => void }[] = []
  telemetry.on('*', (event, fields) => {
    for (const one of waiting.splice(0)) {
      if (one.event === event) one.resolve(fields as never)
      else waiting.push(one)
    }
  })
  const next = <E extends 'sampled' | 'sample_failed'>(event: E) =>
    new Promise<RelayEvents[E]>((resolve) => waiting.push({ event, resolve }))
  const stop = startSampler({ telemetry, id } as RelayEngine, { databaseUrl, intervalMs })
  onTestFinished(stop)
  return { id, next, stop, telemetry }
}

test('the tables are sampled again at once when the relay takes its first buckets, also if a sample is under way, and not for later ones', async () => {
  const { stop, telemetry } = sampling({ intervalMs: 3_600_000 })
  const taken = { buckets: [0], owned: 1 }
  // The first one has begun, and did not see what is claimed from now on.
  telemetry.emit('leases_taken', taken)
  const sampled: number[] = []
  telemetry.on('sampled', ({ ms }) => void sampled.push(ms))
  await expect.poll(() => sampled.length, { timeout: 30_000 }).toBe(2)
  telemetry.emit('leases_taken', taken)
  const other = sampling({ intervalMs: 3_600_000 })
  await other.next('sampled')
  other.telemetry.emit('leases_taken', taken)
  await other.next('sampled')
  expect(sampled).toHaveLength(2)
  stop()
})

describe('a sample', () => {
  test('of an empty outbox', async () => {
    expect(await sampling().next('sampled')).toEqual({
      backlog: { messages: 0, exact: true, oldestMs: null },
      topics: [],
      leases: { held: 0, expired: 0, free: 64 },
      holders: Array.from({ length: 64 }, (_, bucket) => ({ bucket, relay: null, expired: false })),
      relays: [],
      dead: { byReason: {}, blocked: 0, exact: true },
      blockedKeys: 0,
      oldestTransactionMs: expect.any(Number),
      deadRowShare: expect.any(Number),
      deletedRows: expect.any(Number),
      exactlyOnce: null,
      format: 1,
      ms: expect.any(Number),
    })
  })

  test('has the oldest message of each topic, and whether it is in a bucket of the relay that asks', async () => {
    const { id, next } = sampling()
    await insertRows(database.pool, [
      { topic: 'mine', key: 'a' },
      { topic: 'mine', key: 'a' },
      { topic: 'other', key: 'b' },
    ])
    await database.query(
      "UPDATE outbox SET created_at = clock_timestamp() - interval '1 minute' WHERE id = (SELECT min(id) FROM outbox)",
    )
    await database.query(
      "UPDATE outbox_lease SET owner = $1, leased_until = clock_timestamp() + interval '1 minute' WHERE bucket IN (SELECT bucket FROM outbox WHERE topic = 'mine')",
      [id],
    )
    const { topics, backlog } = await next('sampled').then(() => next('sampled'))
    expect(backlog).toMatchObject({ messages: 3, exact: true })
    expect(backlog.oldestMs).toBeGreaterThan(60_000)
    const of = (name: string) => topics.find(({ topic }) => topic === name)!
    expect(of('mine').oldestMs).toBeGreaterThan(60_000)
    expect(of('other').oldestMs).toBeLessThan(60_000)
    expect(of('mine').ownOldestMs).toBeGreaterThan(60_000)
    expect(of('other').ownOldestMs).toBeNull()
  })

  test('counts a backlog of few keys, though it looks at the first of each bucket only, and estimates a large one', async () => {
    await insertMany(database.pool, 'few', 305, 1)
    expect((await sampling().next('sampled')).backlog).toMatchObject({ messages: 305, exact: true })
    await insertMany(database.pool, 'few', 12_000, 1)
    await database.query('ANALYZE outbox')
    const { messages, exact } = (await sampling().next('sampled')).backlog
    expect(exact).toBe(false)
    expect(Math.abs(messages - 12_305)).toBeLessThan(1_000)
  })

  test('has the batches of the exactly-once mode that wait for their acknowledgement', async () => {
    await database.query('UPDATE outbox_lease SET format = 2')
    await database.query(`INSERT INTO outbox_batch SELECT 1, 0, 't', n, 0, 1, '', n = 0, clock_timestamp() - n * interval '1 minute'
      FROM generate_series(0, 2) AS n`)
    const { format, exactlyOnce } = await sampling().next('sampled')
    expect([format, exactlyOnce]).toEqual([2, { waiting: 2, oldestMs: expect.any(Number) }])
    expect(exactlyOnce!.oldestMs).toBeGreaterThan(119_000)
    expect(exactlyOnce!.oldestMs).toBeLessThan(180_000)
  })

  test('has the dead by reason, those behind them, and the keys that wait', async () => {
    await insertRows(
      database.pool,
      ['a', 'a', 'b', null].map((key) => ({ topic: 't', key })),
    )
    await database.query(
      `INSERT INTO outbox_dead_letter (bucket, id, message_id, topic, key, created_at, relay, reason)
       SELECT bucket, id, message_id, topic, key, created_at, 'r', CASE WHEN id = (SELECT min(id) + 1 FROM outbox) THEN NULL ELSE 'TOO_LARGE' END FROM outbox`,
    )
    const { dead, blockedKeys } = await sampling().next('sampled')
    expect(dead).toEqual({ byReason: { TOO_LARGE: 3 }, blocked: 1, exact: true })
    expect(blockedKeys).toBe(2)
  })

  test('has the age of a transaction that has written and does not end; one that only idles holds nothing back', async () => {
    const client = new pg.Client({ connectionString: database.url })
    await client.connect()
    onTestFinished(() => client.end())
    const { next } = sampling()
    const age = async () => (await next('sampled').then(() => next('sampled'))).oldestTransactionMs!
    await client.query('BEGIN; SELECT 1')
    await client.query('SELECT pg_sleep(0.3)')
    expect(await age()).toBeLessThan(300)
    await insertRows(client, [{ topic: 't' }])
    expect(await age()).toBeGreaterThan(300)
  })

  test('leaves that age out where the role may not see transactions of others', async () => {
    const url = new URL(database.url)
    const role = `blind_${url.pathname.slice(-12)}`
    await database.query(`CREATE ROLE ${role} LOGIN PASSWORD 'x'`)
    await database.query(`GRANT SELECT ON outbox, outbox_lease, outbox_relay, outbox_dead_letter, outbox_batch TO ${role}`)
    onTestFinished(async () => {
      await database.query(`DROP OWNED BY ${role}`)
      await database.query(`DROP ROLE ${role}`)
    })
    ;[url.username, url.password] = [role, 'x']
    expect((await sampling({ databaseUrl: url.href }).next('sampled')).oldestTransactionMs).toBeNull()
  })
})

test('a large backlog is estimated, and no statement of a sample reads more than the first rows of it', async () => {
  await insertMany(database.pool, 'large', 200_000, 200)
  await database.query('VACUUM ANALYZE outbox')
  const { backlog } = await sampling().next('sampled')
  expect(backlog.exact).toBe(false)
  expect(Math.abs(backlog.messages - 200_000)).toBeLessThan(20_000)
  const sql = operatorStatements(tablesOf('public'))
  for (const statement of [sql.backlog(), sql.counted(), sql.heads(randomUUID()), sql.sampleDead(), sql.horizon()]) {
    const plan = `SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; EXPLAIN (ANALYZE, FORMAT JSON) ${statement}`
    const results = (await database.pool.query(plan)) as unknown as pg.QueryResult[]
    expect(rowsOf(results.at(-1)!.rows[0]['QUERY PLAN'][0].Plan)).toBeLessThan(25_000)
  }
})

/** The most rows that any step of a plan has read. */
function rowsOf(plan: { 'Actual Rows': number; 'Actual Loops': number; Plans?: unknown[] }): number {
  const below = (plan.Plans ?? []).map((one) => rowsOf(one as typeof plan))
  return Math.max(plan['Actual Rows'] * plan['Actual Loops'], ...below)
}

test('a look that fails is told by its code, and the next one is tried on a new connection', async () => {
  const { next } = sampling()
  await next('sampled')
  await database.query('ALTER TABLE outbox RENAME TO hidden')
  expect(await next('sample_failed')).toEqual({ code: '42P01' })
  await database.query('ALTER TABLE hidden RENAME TO outbox')
  expect((await next('sampled')).format).toBe(1)
})

test('a look waits for no lock for longer than its time-out, and nobody waits for it', async () => {
  const client = new pg.Client({ connectionString: database.url })
  await client.connect()
  onTestFinished(() => client.end())
  const { next, stop } = sampling()
  await next('sampled')
  await client.query('BEGIN; LOCK TABLE outbox_dead_letter')
  expect(['55P03', '57014']).toContain((await next('sample_failed')).code)
  stop()
})

describe('the rest after a look', () => {
  test.each([
    { tookMs: 1, intervalMs: 5_000, rest: 5_000, because: 'a fast look needs no more than the interval' },
    { tookMs: 100, intervalMs: 5_000, rest: 5_000, because: 'this is a fiftieth of the time already' },
    { tookMs: 400, intervalMs: 5_000, rest: 19_600, because: 'a look takes one fiftieth of the time' },
    {
      tookMs: 2_000,
      intervalMs: 5_000,
      rest: longestRestMs,
      because: 'it has waited, and gauges must not be silent for minutes',
    },
    { tookMs: 12_000, intervalMs: 5_000, rest: longestRestMs, because: 'each of its seven statements may take two seconds' },
    { tookMs: 12_000, intervalMs: 60_000, rest: 60_000, because: 'who set a longer interval meant it' },
  ])('of $tookMs ms, every $intervalMs ms, is $rest ms: $because', ({ tookMs, intervalMs, rest }) => {
    expect(restMs(tookMs, intervalMs)).toBe(rest)
  })
})
