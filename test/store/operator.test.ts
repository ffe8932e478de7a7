import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { tablesOf } from '../../src/message/tables.ts'
import type { Operator, Selection } from '../../src/store/operator.ts'
import { postgresOperator } from '../../src/store/postgres/operator.ts'
import { operatorStatements } from '../../src/store/postgres/operator-statements.ts'
import { useDatabase } from '../support/database.ts'
import { freePort } from '../support/ports.ts'
import { insertRows, type NewRow, times, withoutChecks } from '../support/rows.ts'

const database = useDatabase('emptied')
let operator: Operator

beforeAll(async () => {
  operator = await postgresOperator({ databaseUrl: database.url })
})
afterAll(async () => {
  operator.close()
})

/** Puts rows into outbox_dead_letter; a row without a reason waits behind the one before it. */
async function insertDead(rows: readonly (NewRow & { reason?: string })[]): Promise<{ id: number; messageId: string }[]> {
  const named = rows.map((row) => ({ ...row, messageId: row.messageId ?? randomUUID() }))
  const ids = await insertRows(database.pool, named)
  for (const [at, row] of named.entries()) {
    await database.query(
      `WITH gone AS (DELETE FROM outbox WHERE id = $1 RETURNING *)
       INSERT INTO outbox_dead_letter (bucket, id, message_id, topic, type, key, value, headers, created_at, reason, error, relay)
       SELECT bucket, id, message_id, topic, type, key, value, headers, created_at, $2, $3, 'relay-one' FROM gone`,
      [ids[at], row.reason ?? null, row.reason === undefined ? null : 'in words'],
    )
  }
  return ids.map((id, at) => ({ id, messageId: named[at]!.messageId }))
}

/** A relay that holds the leases of all buckets below `buckets`. */
async function insertRelay(name: string, { buckets = 0, from = 0, seenMsAgo = 0, leftMs = 10_000 } = {}): Promise<void> {
  const id = randomUUID()
  await database.query(
    "INSERT INTO outbox_relay (id, name, version, seen_at) VALUES ($1, $2, '1.2.3', clock_timestamp() - $3 * interval '1 ms')",
    [id, name, seenMsAgo],
  )
  await database.query(
    "UPDATE outbox_lease SET owner = $1, epoch = epoch + 1, leased_until = clock_timestamp() + $2 * interval '1 ms' WHERE bucket >= $3 AND bucket < $4",
    [id, leftMs, from, from + buckets],
  )
}

const idsOf = (rows: readonly { id: number }[]): number[] => rows.map((row) => row.id)

describe('status', () => {
  test('an empty outbox without a relay', async () => {
    expect(await operator.status()).toEqual({
      backlog: { messages: 0, exact: true, oldestMs: null },
      leases: { held: 0, expired: 0, free: 64 },
      relays: [],
      exactlyOnce: null,
      dead: { byReason: {}, blocked: 0, exact: true },
    })
  })

  test('the age is that of the oldest message, in whichever bucket it is', async () => {
    const [old] = await insertRows(database.pool, [
      { topic: 't', key: 'one' },
      { topic: 't', key: 'two' },
      { topic: 't', key: 'three' },
    ])
    await database.query("UPDATE outbox SET created_at = clock_timestamp() - interval '1 hour' WHERE id = $1", [old])
    const { backlog } = await operator.status()
    expect(backlog).toMatchObject({ messages: 3, exact: true })
    expect(Math.round(backlog.oldestMs! / 60_000)).toBe(60)
  })

  test('leases are held, expired or free, and relays alive or gone', async () => {
    await insertRelay('alive', { buckets: 30 })
    await insertRelay('gone', { from: 30, buckets: 4, seenMsAgo: 60_000, leftMs: -1 })
    const { leases, relays } = await operator.status()
    expect(leases).toEqual({ held: 30, expired: 4, free: 30 })
    expect(relays).toMatchObject([
      { name: 'alive', version: '1.2.3', buckets: 30, alive: true, ackedMsAgo: null },
      { name: 'gone', buckets: 0, alive: false },
    ])
  })

  test('dead messages are counted by reason, those behind them apart', async () => {
    await insertDead([
      { topic: 't', key: 'a', reason: 'INVALID_RECORD' },
      { topic: 't', key: 'a' },
      { topic: 't', key: 'b', reason: 'MESSAGE_TOO_LARGE' },
      { topic: 't', key: 'c', reason: 'MESSAGE_TOO_LARGE' },
    ])
    const { dead } = await operator.status()
    expect(dead).toEqual({ byReason: { MESSAGE_TOO_LARGE: 2, INVALID_RECORD: 1 }, blocked: 1, exact: true })
  })

  test('of a backlog of 300,000 messages ten thousand are read, and the rest estimated', async () => {
    await database.query(
      "INSERT INTO outbox (bucket, message_id, topic) SELECT n % 64, gen_random_uuid(), 't' FROM generate_series(1, 300000) AS n",
    )
    await database.query('ANALYZE outbox')
    await database.query("SELECT pg_stat_reset_single_table_counters('outbox'::regclass)")
    const { backlog } = await operator.status()
    expect(backlog.exact).toBe(false)
    expect(backlog.messages).toBeGreaterThan(250_000)
    expect(backlog.messages).toBeLessThan(350_000)
    const read = `SELECT (coalesce(t.seq_tup_read, 0) + coalesce(i.idx_tup_read, 0))::int AS n
      FROM pg_stat_user_tables AS t JOIN pg_stat_user_indexes AS i USING (relid) WHERE t.relname = 'outbox'`
    let [looks, rows] = [1, 0]
    // PostgreSQL publishes what a connection has read once a second, with the statement after it.
    for (; rows === 0; looks++) {
      await operator.status()
      rows = (await database.query<{ n: number }>(read))[0]!.n
    }
    expect(rows).toBeLessThan(looks * 25_000)
  })
})

describe('list and show', () => {
  test('waiting messages come oldest first, with the relay that has claimed them, and never with their payload', async () => {
    await insertRelay('relay-one', { buckets: 64, leftMs: 10_000 })
    const ids = await insertRows(
      database.pool,
      times(5, (n) => ({ topic: 't', key: `k${n}`, value: 'S3cret' })),
    )
    const rows = await operator.list({ dead: false, limit: 3 })
    expect(idsOf(rows)).toEqual(ids.slice(0, 3))
    expect(rows[0]).toMatchObject({ state: 'waiting', claimedBy: 'relay-one', bytes: 8, reason: null, requestedAction: null })
    expect(rows[0]!.claimedForMs).toBeGreaterThan(0)
    expect(Math.abs(Date.parse(rows[0]!.claimedUntil!) - Date.now() - rows[0]!.claimedForMs!)).toBeLessThan(5_000)
    expect(JSON.stringify(rows)).not.toContain('S3cret')
  })

  test('a lease that has run out claims nothing', async () => {
    await insertRelay('relay-one', { buckets: 64, leftMs: -1 })
    await insertRows(database.pool, [{ topic: 't' }])
    expect(await operator.list({ dead: false, limit: 3 })).toMatchObject([
      { claimedBy: null, claimedForMs: null, claimedUntil: null },
    ])
  })

  test('topic, key and reason narrow a list; quotes and bytes are safe in them', async () => {
    const topic = "a'b\\"
    await withoutChecks(database.pool)
    const ids = await insertRows(database.pool, [
      { topic, key: 'k' },
      { topic, key: "k'" },
      { topic: 'b', key: 'k' },
    ])
    const listed = async (which: Selection) => idsOf(await operator.list({ ...which, dead: false, limit: 9 }))
    expect(await listed({ topic })).toEqual(ids.slice(0, 2))
    expect(await listed({ key: Buffer.from("k'") })).toEqual([ids[1]])
    expect(await listed({ topic: 'b', key: Buffer.from('k') })).toEqual([ids[2]])
    const dead = await insertDead([
      { topic, key: 'x', reason: 'ONE' },
      { topic, key: 'y', reason: 'TWO' },
    ])
    expect(idsOf(await operator.list({ dead: true, limit: 9, reason: 'TWO' }))).toEqual([dead[1]!.id])
  })

  test('one message is shown wherever it is, its payload only when asked for', async () => {
    const waits = randomUUID()
    await insertRows(database.pool, [{ topic: 't', key: 'k', value: 'S3cret', messageId: waits, headers: { tenant: 'blue' } }])
    const [head, behind] = await insertDead([
      { topic: 't', key: 'd', reason: 'INVALID_RECORD' },
      { topic: 't', key: 'd' },
    ])
    expect(await operator.show(waits, false)).toMatchObject({ state: 'waiting', value: null, headers: { tenant: 'blue' } })
    expect(Buffer.from((await operator.show(waits, true))!.value!).toString()).toBe('S3cret')
    expect(await operator.show(head!.messageId, false)).toMatchObject({
      state: 'dead',
      reason: 'INVALID_RECORD',
      error: 'in words',
      blocked: 1,
    })
    expect(await operator.show(behind!.messageId, false)).toMatchObject({ state: 'blocked', reason: null, blocked: 0 })
    expect(await operator.show(randomUUID(), false)).toBeNull()
  })
})

describe('requests', () => {
  /** Two keys with two rows behind each of their dead ones, one key of another topic, and two dead rows without a key. */
  const rows = [
    { topic: 't', key: 'a', reason: 'ONE' },
    { topic: 't', key: 'b', reason: 'TWO' },
    { topic: 't', key: 'a' },
    { topic: 't', key: 'b' },
    { topic: 'u', key: 'a', reason: 'ONE' },
    { topic: 't', reason: 'ONE' },
    { topic: 't', reason: 'ONE' },
  ]

  test('a redrive chooses the first row of every key of which a row fits, and each row without a key', async () => {
    const dead = await insertDead(rows)
    const chosen = async (which: Selection) => idsOf(await operator.choose({ ...which, limit: 100 }, 'redrive'))
    const at = (...places: number[]) => places.map((place) => dead[place]!.id)
    expect(await chosen({})).toEqual(at(0, 1, 4, 5, 6))
    expect(await chosen({ messageIds: [dead[3]!.messageId] })).toEqual(at(1))
    expect(await chosen({ messageIds: [dead[6]!.messageId] })).toEqual(at(6))
    expect(await chosen({ reason: 'TWO' })).toEqual(at(1))
    expect(await chosen({ topic: 't', key: Buffer.from('a') })).toEqual(at(0))
    expect(await chosen({ topic: 'nothing' })).toEqual([])
  })

  test('a discard chooses exactly the rows that are named, and by topic only those that were refused', async () => {
    const dead = await insertDead(rows)
    const chosen = async (which: Selection) => idsOf(await operator.choose({ ...which, limit: 100 }, 'discard'))
    expect(await chosen({ messageIds: [dead[2]!.messageId] })).toEqual([dead[2]!.id])
    expect(await chosen({ topic: 't', key: Buffer.from('a') })).toEqual([dead[0]!.id])
    expect(await chosen({ topic: 't' })).toEqual([dead[0]!.id, dead[1]!.id, dead[5]!.id, dead[6]!.id])
  })

  test('ten thousand dead rows of one bucket are chosen within seconds', async () => {
    await database.query(
      "INSERT INTO outbox_dead_letter (bucket, id, message_id, topic, created_at, reason, relay) SELECT 7, n, gen_random_uuid(), 't', now(), 'ONE', 'r' FROM generate_series(1, 10000) AS n",
    )
    const since = performance.now()
    expect(await operator.choose({ limit: 10_000 }, 'redrive')).toHaveLength(10_000)
    expect(performance.now() - since).toBeLessThan(3_000)
  })

  test('a list of 50 among 200,000 dead rows reads no more than 50 of each bucket', async () => {
    await database.query(
      "INSERT INTO outbox_dead_letter (bucket, id, message_id, topic, key, created_at, reason, relay) SELECT n % 64, n, gen_random_uuid(), 't', convert_to('k' || n / 10, 'UTF8'), now(), CASE n % 10 WHEN 0 THEN 'ONE' END, 'r' FROM generate_series(1, 200000) AS n",
    )
    await database.query('ANALYZE outbox_dead_letter')
    const client = await database.pool.connect()
    // As every statement of the operator is sent.
    await client.query('BEGIN; SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off')
    const sql = operatorStatements(tablesOf('public')).listDead({}, 50)
    const explained = await client.query(`EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) ${sql}`)
    await client.query('ROLLBACK')
    client.release()
    interface Plan {
      'Relation Name'?: string
      'Actual Rows': number
      'Actual Loops': number
      'Rows Removed by Filter'?: number
      Plans?: Plan[]
    }
    const read = (plan: Plan): number =>
      (plan['Relation Name'] === 'outbox_dead_letter'
        ? (plan['Actual Rows'] + (plan['Rows Removed by Filter'] ?? 0)) * plan['Actual Loops']
        : 0) + (plan.Plans ?? []).reduce((sum, child) => sum + read(child), 0)
    const rows = read(explained.rows[0]['QUERY PLAN'][0].Plan)
    expect(rows).toBeGreaterThan(50)
    expect(rows).toBeLessThanOrEqual(64 * 50 + 50)
    expect(await operator.list({ dead: true, limit: 50 })).toHaveLength(50)
    expect(await operator.reach({ limit: 1_000_000 }, 'redrive')).toEqual({ keys: expect.any(Number), messages: 200_000 })
    await database.query('TRUNCATE outbox_dead_letter')
  })

  test('portions follow one another in the order of the ids, and what a request reaches is counted with those behind', async () => {
    const dead = await insertDead(rows)
    const at = (...places: number[]) => places.map((place) => dead[place]!.id)
    const first = await operator.keys({ limit: 2 })
    expect(idsOf(first)).toEqual(at(0, 1))
    expect(idsOf(await operator.keys({ limit: 9, after: first[1]!.id }))).toEqual(at(4, 5, 6))
    expect(await operator.reach({ limit: 9 }, 'redrive')).toEqual({ keys: 5, messages: 7 })
    expect(await operator.reach({ limit: 1 }, 'redrive')).toEqual({ keys: 1, messages: 2 })
    expect(await operator.reach({ limit: 9, reason: 'ONE', topic: 't' }, 'discard')).toEqual({ keys: 3, messages: 3 })
    expect(idsOf(await operator.names({ limit: 9, after: at(0)[0]!, reason: 'ONE' }))).toEqual(at(4, 5, 6))
  })

  test('a row that holds nothing is listed as skipped, and chosen for itself', async () => {
    const dead = await insertDead([
      { topic: 't', key: 'a', reason: 'ONE' },
      { topic: 't', key: 'a', reason: 'ONE' },
    ])
    await database.query('UPDATE outbox_dead_letter SET blocks_key = false WHERE id = $1', [dead[0]!.id])
    expect((await operator.list({ dead: true, limit: 9 })).map((row) => row.state)).toEqual(['skipped', 'dead'])
    expect(idsOf(await operator.choose({ limit: 9 }, 'redrive'))).toEqual(idsOf(dead))
    expect(await operator.reach({ limit: 9 }, 'redrive')).toEqual({ keys: 2, messages: 2 })
    expect(await operator.show(dead[0]!.messageId, false)).toMatchObject({ state: 'skipped', blocked: 0 })
  })

  test('a request stands on its rows until a relay answers, and wakes the relays', async () => {
    const dead = await insertDead(rows.slice(0, 3))
    const listener = new pg.Client({ connectionString: database.directUrl })
    await listener.connect()
    await listener.query('LISTEN outbox_wake')
    const woken = new Promise((resolve) => listener.once('notification', (note) => resolve(note.payload)))
    const chosen = await operator.choose({ limit: 100 }, 'redrive')
    await operator.request(chosen, 'redrive', 'ada@laptop')
    expect(await woken).toBe('request')
    await listener.end()
    expect(await database.query('SELECT id::int FROM outbox_dead_letter WHERE requested_action IS NOT NULL ORDER BY id')).toEqual(
      [{ id: dead[0]!.id }, { id: dead[1]!.id }],
    )
    await database.query('DELETE FROM outbox_dead_letter WHERE id = $1', [dead[0]!.id])
    expect(idsOf(await operator.unanswered(chosen, 'redrive'))).toEqual([dead[1]!.id])
  })
})

describe('a database that cannot serve', () => {
  test('the role of ops/grants.sql can do all that the commands do; another one is told what it lacks', async () => {
    await database.query(readFileSync(new URL('../../ops/grants.sql', import.meta.url), 'utf8'))
    const [dead] = await insertDead([{ topic: 't', key: 'k', reason: 'ONE' }])
    const login = async (grants: string): Promise<Operator> => {
      const role = `role_${randomUUID().slice(0, 8)}`
      await database.query(`CREATE ROLE ${role} LOGIN PASSWORD 'pw'; GRANT ${grants} TO ${role}`)
      const url = new URL(database.directUrl)
      ;[url.username, url.password] = [role, 'pw']
      return postgresOperator({ databaseUrl: url.href })
    }
    const able = await login('outbox_operator')
    await able.status()
    const chosen = await able.choose({ messageIds: [dead!.messageId], limit: 10 }, 'redrive')
    await able.request(chosen, 'redrive', 'ada@laptop')
    expect(await able.unanswered(chosen, 'redrive')).toHaveLength(1)
    able.close()
    const unable = await login('outbox_app')
    await expect(unable.status()).rejects.toMatchObject({ code: 'OUTBOX_MISSING_RIGHTS' })
    unable.close()
  })

  test('no server, no tables, no writing, and a certificate that is not there are told apart', async () => {
    const refused = postgresOperator({ databaseUrl: `postgresql://u:S3cret@localhost:${await freePort()}/d` })
    await expect(refused).rejects.toMatchObject({ code: 'OUTBOX_DATABASE_UNREACHABLE' })
    await expect(refused).rejects.not.toThrow('S3cret')
    await expect(postgresOperator({ databaseUrl: database.url, schema: 'elsewhere' })).rejects.toMatchObject({
      code: 'OUTBOX_TABLES_MISSING',
    })
    await expect(postgresOperator({ databaseUrl: `${database.directUrl}?sslrootcert=/not/there` })).rejects.toThrow('certificate')
    const readOnly = await postgresOperator({
      databaseUrl: `${database.directUrl}?options=-c%20default_transaction_read_only%3Don`,
    })
    const [dead] = await insertDead([{ topic: 't', key: 'k', reason: 'ONE' }])
    const chosen = await readOnly.choose({ messageIds: [dead!.messageId], limit: 10 }, 'discard')
    await expect(readOnly.request(chosen, 'discard', 'ada@laptop')).rejects.toMatchObject({ code: 'OUTBOX_READ_ONLY_DATABASE' })
    readOnly.close()
  })
})
