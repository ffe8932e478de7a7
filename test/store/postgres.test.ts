import { randomUUID } from 'node:crypto'
import pg from 'pg'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { postgresStore } from '../../src/store/postgres/store.ts'
import type { Fetch, Identity, Lease, Scan, StoreSession } from '../../src/store/store.ts'
import { createDatabase, type TestDatabase } from '../support/database.ts'
import { insertRows } from '../support/rows.ts'

let database: TestDatabase
const open: StoreSession[] = []

beforeAll(async () => {
  database = await createDatabase()
})
beforeEach(async () => {
  await database.query('TRUNCATE outbox, outbox_dead, outbox_relay')
  await database.query("UPDATE outbox_lease SET owner = NULL, leased_until = '2000-01-01', lease_ms = 10000")
})
afterAll(async () => {
  for (const session of open) await session.close()
  await database.drop()
})

async function connect(leaseMs = 10_000, url = database.url): Promise<StoreSession & { me: Identity }> {
  const me = { id: randomUUID(), name: `relay-${open.length}`, version: '0.0.0', leaseMs }
  const session = await postgresStore({ databaseUrl: url }).connect(me)
  open.push(session)
  return Object.assign(session, { me })
}

const all = (more: Partial<Fetch> = {}): Fetch => ({
  scans: Array.from({ length: 64 }, (_, bucket) => ({ bucket, after: 0, limit: 1000, look: 1000 })),
  limit: 1000,
  withoutTopics: [],
  withoutIds: [],
  maxRowBytes: 1_000_000,
  maxBytes: 64_000_000,
  ...more,
})

describe('reading', () => {
  test('every column comes back as it was stored', async () => {
    const session = await connect()
    const messageId = randomUUID()
    const [id] = await insertRows(database.pool, [
      {
        topic: 'té-st',
        key: 'k\u00e9y',
        value: Buffer.from([0, 255, 10]),
        headers: { a: 'b', 'c"': 'd\\' },
        type: 'T',
        messageId,
      },
    ])
    const { rows } = await session.fetch(all())
    expect(rows).toHaveLength(1)
    const row = rows[0]!
    expect(row).toMatchObject({ id, messageId, topic: 'té-st', type: 'T', headers: { a: 'b', 'c"': 'd\\' }, oversized: false })
    expect(Buffer.from(row.key!)).toEqual(Buffer.from('k\u00e9y'))
    expect(Buffer.from(row.value!)).toEqual(Buffer.from([0, 255, 10]))
    expect(Math.abs(row.createdAt - Date.now())).toBeLessThan(60_000)
  })

  test('null, empty key, tombstone and empty value stay four different things', async () => {
    const session = await connect()
    await insertRows(database.pool, [
      { topic: 't', key: null, value: '' },
      { topic: 't', key: '', value: null },
    ])
    const { rows } = await session.fetch(all())
    const byKey = rows.map((row) => [row.key === null ? null : row.key.length, row.value === null ? null : row.value.length])
    expect(byKey).toEqual(
      expect.arrayContaining([
        [null, 0],
        [0, null],
      ]),
    )
    expect(byKey).toHaveLength(2)
  })

  test('topics and ids are left out, and a fetch after an id starts behind it', async () => {
    const session = await connect()
    const ids = await insertRows(
      database.pool,
      ["a'b\\", 'b', 'b', 'c'].map((topic) => ({ topic, key: 'same' })),
    )
    const found = async (more: Partial<Fetch>) => (await session.fetch(all(more))).rows.map((row) => row.id)
    expect(await found({})).toEqual(ids)
    expect(await found({ withoutTopics: ["a'b\\"] })).toEqual(ids.slice(1))
    expect(await found({ withoutIds: [ids[1]!] })).toEqual([ids[0], ids[2], ids[3]])
    expect(await found({ scans: all().scans.map((scan) => ({ ...scan, after: ids[1]! })) })).toEqual(ids.slice(2))
  })

  test('among rows of topics that are left out a scan looks no further than it may, and its last row says how far that was', async () => {
    const session = await connect()
    const topics = ['gone', 'gone', 'here', 'gone', 'gone', 'gone', 'here']
    const ids = await insertRows(
      database.pool,
      topics.map((topic) => ({ topic, key: 'same' })),
    )
    const found = async (more: Partial<Scan>, withoutIds: number[] = []) => {
      const scans = all().scans.map((scan) => ({ ...scan, ...more }))
      return (await session.fetch(all({ scans, withoutTopics: ['gone'], withoutIds }))).rows.map((row) => ids.indexOf(row.id))
    }
    expect(await found({ look: 7 })).toEqual([2, 6])
    expect(await found({ look: 5 })).toEqual([2, 4])
    expect(await found({ look: 3 })).toEqual([2])
    expect(await found({ look: 2 })).toEqual([1])
    // Rows in hand are not looked at: a relay with a full hand would come no further.
    expect(await found({ look: 2 }, ids.slice(0, 2))).toEqual([2, 3])
    expect(await found({ look: 7, limit: 1 })).toEqual([2])
  })

  test('a row over the size limit comes without its value, an answer over the byte limit is cut', async () => {
    const session = await connect()
    const ids = await insertRows(database.pool, [
      { topic: 't', key: 'k', value: 'x'.repeat(2000) },
      { topic: 't', key: 'k', value: 'y' },
      { topic: 't', key: 'k', value: 'z' },
    ])
    const { rows, truncated } = await session.fetch(all({ maxRowBytes: 1000, maxBytes: 2 }))
    expect(rows.map((row) => [row.id, row.oversized, row.value?.length ?? null])).toEqual([
      [ids[0], true, null],
      [ids[1], false, 1],
    ])
    expect(truncated).toBe(true)
  })
})

describe('the settled mark', () => {
  test('never passes a row whose transaction is still open, also on a fresh sequence', async () => {
    const fresh = await createDatabase()
    const session = await connect(10_000, fresh.url)
    expect(await session.mark()).toBe(0)
    const writer = await fresh.pool.connect()
    await writer.query('BEGIN')
    const [id] = await insertRows(writer, [{ topic: 't' }])
    await insertRows(fresh.pool, [{ topic: 't' }, { topic: 't' }])
    for (let i = 0; i < 3; i++) expect(await session.mark()).toBeLessThan(id!)
    await writer.query('COMMIT')
    writer.release()
    await session.mark()
    expect(await session.mark()).toBe(id! + 2)
    await session.close()
    await fresh.drop()
  })

  test('an old candidate is settled although newer writers are under way', async () => {
    const session = await connect()
    const writers = [await database.pool.connect(), await database.pool.connect()]
    await writers[0]!.query('BEGIN')
    const [first] = await insertRows(writers[0]!, [{ topic: 't' }])
    await session.mark()
    await writers[1]!.query('BEGIN')
    await insertRows(writers[1]!, [{ topic: 't' }])
    await writers[0]!.query('COMMIT')
    expect(await session.mark()).toBe(first)
    await writers[1]!.query('COMMIT')
    for (const writer of writers) writer.release()
  })

  test('a sequence that went back ends the session’s knowledge with an error', async () => {
    const session = await connect()
    await insertRows(database.pool, [{ topic: 't' }])
    await session.mark()
    await database.query('TRUNCATE outbox RESTART IDENTITY')
    await expect(session.mark()).rejects.toThrow('went back')
  })
})

describe('leases', () => {
  test('a bucket has one owner, and each claim a new epoch', async () => {
    const [a, b] = [await connect(), await connect()]
    await Promise.all([a.beat({ alive: true, ackedMsAgo: null }), b.beat({ alive: true, ackedMsAgo: null })])
    const [mine, theirs] = await Promise.all([a.take(40), b.take(40)])
    expect(new Set([...mine, ...theirs].map((lease) => lease.bucket)).size).toBe(mine.length + theirs.length)
    await a.release(mine)
    const again = await b.take(64)
    for (const lease of again) {
      const before = mine.find((one) => one.bucket === lease.bucket)
      if (before) expect(lease.epoch).toBe(before.epoch + 1)
    }
    expect(again.length + theirs.length).toBe(64)
  })

  test('a lease that ran out is taken over, and its old owner can neither renew nor park', async () => {
    const [a, b] = [await connect(), await connect()]
    const [lease] = await a.take(1)
    await database.query("UPDATE outbox_lease SET leased_until = clock_timestamp() - interval '1 ms' WHERE bucket = $1", [
      lease!.bucket,
    ])
    expect(await a.renew([lease!])).toEqual([])
    expect((await b.take(64)).map((one) => one.bucket)).toContain(lease!.bucket)
    const park = await a.park(
      lease!,
      { bucket: lease!.bucket, id: 1, messageId: randomUUID() },
      { reason: 'R', error: 'e', holds: true },
    )
    expect(park).toEqual({ fenced: true, ids: [] })
  })

  test('a lease that ends too far in the future counts as expired: the clock was set back', async () => {
    const [a, b] = [await connect(), await connect()]
    const [lease] = await a.take(1)
    await database.query("UPDATE outbox_lease SET leased_until = clock_timestamp() + interval '1 hour' WHERE bucket = $1", [
      lease!.bucket,
    ])
    expect((await b.take(64)).map((one) => one.bucket)).toContain(lease!.bucket)
  })

  test('a lease row that somebody locked does not stop the renewal of the others', async () => {
    const a = await connect()
    const leases = await a.take(5)
    const admin = await database.pool.connect()
    await admin.query('BEGIN')
    await admin.query('SELECT 1 FROM outbox_lease WHERE bucket = $1 FOR SHARE', [leases[2]!.bucket])
    expect((await a.renew(leases)).length).toBe(4)
    await admin.query('ROLLBACK')
    admin.release()
    expect((await a.renew(leases)).length).toBe(5)
  })

  test('missing lease rows are put in by the heartbeat, and relays are counted', async () => {
    await database.query('DELETE FROM outbox_lease WHERE bucket > 10')
    const [a, b] = [await connect(), await connect()]
    await b.beat({ alive: true, ackedMsAgo: 1234 })
    const pulse = await a.beat({ alive: true, ackedMsAgo: null })
    expect(pulse.relays).toBe(2)
    expect(pulse.peerAckedMsAgo).toBeGreaterThanOrEqual(1234)
    expect(pulse.peerEndsInMs).toBeGreaterThan(0)
    expect(pulse.peerEndsInMs).toBeLessThanOrEqual(10_000)
    expect((await database.query('SELECT 1 FROM outbox_lease')).length).toBe(64)
    await b.beat({ alive: false, ackedMsAgo: null })
    expect(await a.beat({ alive: true, ackedMsAgo: null })).toMatchObject({ relays: 1, peerEndsInMs: null })
  })

  test('retaking raises the epoch, so that a statement of the old session is fenced', async () => {
    const a = await connect()
    const [lease] = await a.take(1)
    const [id] = await insertRows(database.pool, [{ topic: 't', key: 'k' }])
    const { rows } = await a.fetch(all())
    const claims = await a.retake()
    expect(claims).toEqual([{ bucket: lease!.bucket, epoch: lease!.epoch + 1 }])
    expect((await a.park({ ...lease!, bucket: lease!.bucket }, rows[0]!, { reason: 'R', error: 'e', holds: true })).fenced).toBe(
      true,
    )
    expect(rows[0]!.id).toBe(id)
  })
})

describe('dead rows', () => {
  async function deadKey() {
    const session = await connect()
    const leases = await session.take(64)
    const ids = await insertRows(
      database.pool,
      ['1', '2', '3'].map((value) => ({ topic: 't', key: 'k', value })),
    )
    const { rows } = await session.fetch(all())
    const lease = leases.find((one) => one.bucket === rows[0]!.bucket)!
    return { session, lease, rows, ids }
  }
  const dead = () => database.query<{ id: string; reason: string | null }>('SELECT id, reason FROM outbox_dead ORDER BY id')

  test('a parked row moves with its reason, once; asking again finds it there', async () => {
    const { session, lease, rows, ids } = await deadKey()
    const why = { reason: 'MESSAGE_TOO_LARGE', error: "it's too large", holds: true }
    expect(await session.park(lease, rows[0]!, why)).toEqual({ fenced: false, ids: [ids[0]] })
    expect(await session.park(lease, rows[0]!, why)).toEqual({ fenced: false, ids: [ids[0]] })
    expect(await dead()).toEqual([{ id: String(ids[0]), reason: 'MESSAGE_TOO_LARGE' }])
    const holds = await session.holds([lease.bucket])
    expect(holds).toMatchObject([{ bucket: lease.bucket, topic: 't', id: ids[0] }])
  })

  test('while a park is under way its bucket cannot be taken over, even if the lease has run out (rule 13)', async () => {
    const { session, lease, rows, ids } = await deadKey()
    const other = await connect()
    await database.query('UPDATE outbox_lease SET leased_until = clock_timestamp() WHERE bucket = $1', [lease.bucket])
    const admin = await database.pool.connect()
    await admin.query('BEGIN')
    await admin.query('SELECT 1 FROM outbox WHERE id = $1 FOR UPDATE', [ids[0]])
    const parking = session.park(lease, rows[0]!, { reason: 'R', error: '', holds: true })
    const waits =
      "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%outbox_dead%'"
    while ((await database.query(waits)).length === 0) await new Promise((resolve) => setImmediate(resolve))
    expect(await other.take(64)).toEqual([])
    await admin.query('ROLLBACK')
    admin.release()
    expect(await parking).toEqual({ fenced: false, ids: [ids[0]] })
    expect((await other.take(64)).map((one) => one.bucket)).toEqual([lease.bucket])
  })

  test('rows move behind only while the dead row that heads their key stands before them', async () => {
    const { session, lease, rows, ids } = await deadKey()
    const behind = (...list: typeof rows) => list.map((row) => ({ ...row, head: ids[1]! }))
    expect(await session.moveBehind(lease, behind(...rows))).toEqual({ fenced: false, ids: [] })
    await session.park(lease, rows[1]!, { reason: 'R', error: '', holds: true })
    expect(await session.moveBehind(lease, behind(rows[0]!, rows[2]!))).toEqual({ fenced: false, ids: [ids[2]] })
  })

  test('a row that was parked without a hold holds nothing, comes back alone, and says that it was skipped', async () => {
    const { session, lease, rows, ids } = await deadKey()
    await session.park(lease, rows[0]!, { reason: 'R', error: '', holds: false })
    expect(await session.holds([lease.bucket])).toEqual([])
    expect((await session.moveBehind(lease, [{ ...rows[1]!, head: ids[0]! }])).ids).toEqual([])
    await session.park(lease, rows[1]!, { reason: 'R', error: '', holds: true })
    await database.query("UPDATE outbox_dead SET wish = 'redrive', wished_by = 'ada@laptop' WHERE id = $1", [ids[0]])
    expect(await session.redrive(lease, { asked: 1_000, rows: 1_000 })).toEqual({
      fenced: false,
      tooMany: false,
      clashes: [],
      topics: [{ topic: 't', rows: 1, keys: 1, firstId: ids[0], lastId: ids[0], by: 'ada@laptop' }],
      keys: [],
    })
    expect(await dead()).toEqual([{ id: String(ids[1]), reason: 'R' }])
  })

  test('a redriven key comes back whole under its old ids, in order, whichever of its rows was asked for', async () => {
    const { session, lease, rows, ids } = await deadKey()
    await session.park(lease, rows[0]!, { reason: 'R', error: '', holds: true })
    await session.moveBehind(
      lease,
      rows.slice(1).map((row) => ({ ...row, head: ids[0]! })),
    )
    expect(await session.wished([lease.bucket])).toEqual([])
    expect((await session.redrive(lease, { asked: 1_000, rows: 1_000 })).topics).toEqual([])
    await database.query("UPDATE outbox_dead SET wish = 'redrive' WHERE id = $1", [ids[1]])
    expect(await session.wished([lease.bucket])).toEqual([{ bucket: lease.bucket, wish: 'redrive' }])
    expect(await session.redrive(lease, { asked: 1_000, rows: 1_000 })).toMatchObject({
      topics: [{ rows: 3, keys: 1, by: null }],
      keys: [{ topic: 't', key: Buffer.from('k'), next: null }],
    })
    expect((await session.fetch(all())).rows.map((row) => [row.id, row.messageId])).toEqual(
      rows.map((row) => [row.id, row.messageId]),
    )
    expect(await dead()).toEqual([])
  })

  /** Dead rows of one bucket, `keys` of them with `rows` each; a wish on the first of each. */
  async function wishedKeys(lease: Lease, keys: number, rows: number) {
    await database.query(
      `INSERT INTO outbox_dead (bucket, id, message_id, topic, key, value, created_at, reason, relay, wish)
       SELECT $1, 1 + n + r * $2::int, gen_random_uuid(), 't', convert_to('k' || n, 'UTF8'), '', now(), CASE r WHEN 0 THEN 'R' END, 'r', CASE r WHEN 0 THEN 'redrive' END
       FROM generate_series(0, $2::int - 1) AS n, generate_series(0, $3::int - 1) AS r`,
      [lease.bucket, keys, rows],
    )
  }

  test('wishes for more rows than one statement moves are refused whole, unless it is one: there the next row carries it on', async () => {
    const session = await connect()
    const [lease] = await session.take(1)
    await wishedKeys(lease!, 2, 700)
    expect(await session.redrive(lease!, { asked: 1_000, rows: 1_000 })).toMatchObject({ tooMany: true, topics: [], keys: [] })
    expect(await session.redrive(lease!, { asked: 1, rows: 1_000 })).toMatchObject({
      tooMany: false,
      topics: [{ rows: 700, keys: 1 }],
      keys: [{ next: null }],
    })
    await database.query('TRUNCATE outbox_dead, outbox')
    await wishedKeys(lease!, 1, 1_500)
    expect(await session.redrive(lease!, { asked: 1, rows: 1_000 })).toMatchObject({
      topics: [{ rows: 1_000, firstId: 1, lastId: 1_000 }],
      keys: [{ next: 1_001 }],
    })
    expect(await session.redrive(lease!, { asked: 1, rows: 1_000 })).toMatchObject({
      topics: [{ rows: 500, firstId: 1_001 }],
      keys: [{ next: null }],
    })
    expect(await dead()).toEqual([])
  })

  test('a key one of whose ids another message has stays as a whole, and keeps no other key back', async () => {
    const session = await connect()
    const [lease] = await session.take(1)
    await wishedKeys(lease!, 2, 2)
    await database.query(
      "INSERT INTO outbox (bucket, id, message_id, topic, key, value) VALUES ($1, 3, gen_random_uuid(), 't', 'x', '')",
      [lease!.bucket],
    )
    expect(await session.redrive(lease!, { asked: 1_000, rows: 1_000 })).toMatchObject({
      clashes: ['t'],
      topics: [{ rows: 2, firstId: 2, lastId: 4 }],
    })
    expect((await dead()).map((row) => row.id)).toEqual(['1', '3'])
  })

  test('discarding the head of a key asks for those behind it, in the name of who asked; what is dropped is named', async () => {
    const { session, lease, rows, ids } = await deadKey()
    await session.park(lease, rows[0]!, { reason: 'R', error: '', holds: true })
    await session.moveBehind(
      lease,
      rows.slice(1).map((row) => ({ ...row, head: ids[0]! })),
    )
    await database.query("UPDATE outbox_dead SET wish = 'discard', wished_by = 'ada@laptop' WHERE id = $1", [ids[0]])
    expect(await session.discard(lease)).toEqual({
      fenced: false,
      rows: [{ id: ids[0], messageId: rows[0]!.messageId, topic: 't', by: 'ada@laptop' }],
      keys: [{ topic: 't', key: Buffer.from('k'), next: ids[1] }],
    })
    expect(await database.query('SELECT id, wish, wished_by FROM outbox_dead WHERE wish IS NOT NULL')).toEqual([
      { id: String(ids[1]), wish: 'redrive', wished_by: 'ada@laptop' },
    ])
  })

  test('discarding one that waits leaves the head of its key alone', async () => {
    const { session, lease, rows, ids } = await deadKey()
    await session.park(lease, rows[0]!, { reason: 'R', error: '', holds: true })
    await session.moveBehind(
      lease,
      rows.slice(1).map((row) => ({ ...row, head: ids[0]! })),
    )
    await database.query("UPDATE outbox_dead SET wish = 'discard' WHERE id = $1", [ids[1]])
    expect(await session.discard(lease)).toMatchObject({ rows: [{ id: ids[1] }], keys: [{ next: ids[0] }] })
    expect(await database.query('SELECT 1 FROM outbox_dead WHERE wish IS NOT NULL')).toEqual([])
  })

  test('under another relay’s lease nothing is put back or dropped', async () => {
    const { session, lease, rows } = await deadKey()
    await session.park(lease, rows[0]!, { reason: 'R', error: '', holds: true })
    for (const wish of ['redrive', 'discard']) {
      await database.query('UPDATE outbox_dead SET wish = $1', [wish])
      const old = { ...lease, epoch: lease.epoch - 1 }
      expect(
        await (wish === 'redrive' ? session.redrive(old, { asked: 1_000, rows: 1_000 }) : session.discard(old)),
      ).toMatchObject({
        fenced: true,
        keys: [],
      })
    }
    expect(await dead()).toHaveLength(1)
  })

  test('settling deletes by message id as well: an id that came a second time is left alone', async () => {
    const { session, rows } = await deadKey()
    await session.settle([{ ...rows[0]!, messageId: randomUUID() }, rows[1]!])
    expect((await session.fetch(all())).rows.map((row) => row.id)).toEqual([rows[0]!.id, rows[2]!.id])
  })
})

describe('a database that can never serve is refused', () => {
  const refused = (url: string, schema?: string) =>
    postgresStore({ databaseUrl: url, schema }).connect({ id: randomUUID(), name: 'r', version: '0', leaseMs: 10_000 })

  test('without our tables', async () => {
    const empty = await createDatabase('', { migrate: false })
    await expect(refused(empty.url)).rejects.toMatchObject({ code: 'OUTBOX_TABLES_MISSING' })
    await expect(refused(database.url, 'elsewhere')).rejects.toMatchObject({ code: 'OUTBOX_TABLES_MISSING' })
    await empty.drop()
  })

  test('with a wrong URL, password or name, and the error shows no secret', async () => {
    expect(() => postgresStore({ databaseUrl: 'not a url with s3cret' })).toThrow(
      expect.objectContaining({ code: 'OUTBOX_DATABASE_REFUSED' }),
    )
    const url = new URL(database.directUrl)
    url.pathname = '/nowhere'
    const error = await refused(url.href).catch((error: Error) => error)
    expect(error).toMatchObject({ code: 'OUTBOX_DATABASE_REFUSED' })
    expect(String(error)).not.toContain(url.password)
  })

  test('that is read-only, as a replica is', async () => {
    await expect(refused(`${database.directUrl}?options=-c%20default_transaction_read_only%3Don`)).rejects.toMatchObject({
      code: 'OUTBOX_READ_ONLY_DATABASE',
    })
  })

  test('with a newer table format, a sequence that is behind, a cached sequence, or row-level security', async () => {
    const own = await createDatabase()
    await own.query('UPDATE outbox_lease SET format = 2')
    await expect(refused(own.url)).rejects.toMatchObject({ code: 'OUTBOX_TABLE_FORMAT' })
    await own.query('UPDATE outbox_lease SET format = 1')
    await insertRows(own.pool, [{ topic: 't' }, { topic: 't' }])
    await own.query("SELECT setval('outbox_id_seq', 1)")
    await expect(refused(own.url)).rejects.toMatchObject({ code: 'OUTBOX_SEQUENCE_BEHIND' })
    await own.query("SELECT setval('outbox_id_seq', 2)")
    await own.query('ALTER SEQUENCE outbox_id_seq CACHE 10')
    await expect(refused(own.url)).rejects.toMatchObject({ code: 'OUTBOX_SEQUENCE_BEHIND' })
    await own.query('ALTER SEQUENCE outbox_id_seq CACHE 1')
    const role = `relay_${randomUUID().replaceAll('-', '')}`
    await own.query(`CREATE ROLE ${role} LOGIN PASSWORD 'pw'`)
    const url = new URL(own.directUrl)
    url.username = role
    url.password = 'pw'
    await expect(refused(url.href)).rejects.toMatchObject({ code: 'OUTBOX_MISSING_RIGHTS' })
    await own.query(
      `GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO ${role}; GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO ${role}`,
    )
    await (await refused(url.href)).close()
    await own.query('ALTER TABLE outbox ENABLE ROW LEVEL SECURITY')
    await expect(refused(url.href)).rejects.toMatchObject({ code: 'OUTBOX_ROW_SECURITY' })
    await own.drop()
    await database.query(`DROP ROLE ${role}`)
  })
})

test('a session ends as a whole when one of its backends is terminated', async () => {
  const session = await connect(10_000, database.directUrl)
  const client = new pg.Client({ connectionString: database.directUrl })
  await client.connect()
  await client.query(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'prisma-extension-outbox' AND datname = current_database() ORDER BY backend_start DESC LIMIT 1",
  )
  await client.end()
  expect(await session.lost).toBeInstanceOf(Error)
  await expect(session.take(1)).rejects.toThrow()
})

test('default isolation, time zone and time-outs of the role do not reach the statements of the relay', async () => {
  const own = await createDatabase()
  const name = new URL(own.url).pathname.slice(1)
  await own.query(`ALTER DATABASE "${name}" SET default_transaction_isolation = 'serializable'`)
  await own.query(`ALTER DATABASE "${name}" SET statement_timeout = 200`)
  await own.query(`ALTER DATABASE "${name}" SET TimeZone = 'Asia/Kolkata'`)
  const session = await connect(10_000, own.url)
  const leases = await session.take(64)
  expect(leases).toHaveLength(64)
  expect(await session.renew(leases)).toHaveLength(64)
  const admin = await own.pool.connect()
  await admin.query('BEGIN')
  await admin.query('SELECT 1 FROM outbox_lease WHERE bucket = 1 FOR UPDATE')
  const releasing = session.release(leases)
  await new Promise((resolve) => setTimeout(resolve, 400))
  await admin.query('ROLLBACK')
  admin.release()
  await releasing
  await session.close()
  await own.drop()
})
