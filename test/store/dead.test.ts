import { randomUUID } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { keyDigest } from '../../src/message/key-digest.ts'
import { type BlockedKey, type BlockedKeyPosition, type Lease, noIds } from '../../src/store/store.ts'
import { insertRows } from '../support/rows.ts'
import { all, Sessions } from './sessions.ts'

const sessions = new Sessions()

describe('dead rows', () => {
  async function deadKey() {
    const session = await sessions.connect()
    const leases = await session.take(64)
    const ids = await insertRows(
      sessions.database.pool,
      ['1', '2', '3'].map((value) => ({ topic: 't', key: 'k', value })),
    )
    const { rows } = await session.fetch(all())
    const lease = leases.find((one) => one.bucket === rows[0]!.bucket)!
    return { session, lease, rows, ids }
  }
  /** The same, with the first of its rows dead-lettered and the others behind it. */
  async function refusedKey() {
    const key = await deadKey()
    const [head, ...others] = key.rows
    await key.session.deadLetter(key.lease, head!, { reason: 'R', error: '', blocksKey: true })
    await key.session.moveBlocked(
      key.lease,
      others.map((row) => ({ ...row, head: key.ids[0]! })),
    )
    return key
  }
  const dead = () =>
    sessions.database.query<{ id: string; reason: string | null }>('SELECT id, reason FROM outbox_dead_letter ORDER BY id')

  test('a dead-lettered row moves with its reason, once; asking again finds it there', async () => {
    const { session, lease, rows, ids } = await deadKey()
    const why = { reason: 'MESSAGE_TOO_LARGE', error: "it's too large", blocksKey: true }
    expect(await session.deadLetter(lease, rows[0]!, why)).toEqual({ fenced: false, ids: [ids[0]] })
    expect(await session.deadLetter(lease, rows[0]!, why)).toEqual({ fenced: false, ids: [ids[0]] })
    expect(await dead()).toEqual([{ id: String(ids[0]), reason: 'MESSAGE_TOO_LARGE' }])
    const { keys, next } = await session.blockedKeys([lease.bucket])
    expect(keys).toEqual([{ bucket: lease.bucket, digest: keyDigest('t', Buffer.from('k')), id: ids[0] }])
    expect(next).toBeUndefined()
  })

  test('while a dead-letter is under way its bucket cannot be taken over, even if the lease has run out (rule 13)', async () => {
    const { session, lease, rows, ids } = await deadKey()
    const other = await sessions.connect()
    await sessions.database.query('UPDATE outbox_lease SET leased_until = clock_timestamp() WHERE bucket = $1', [lease.bucket])
    await sessions.database.query(`CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(1.5); RETURN NEW; END';
CREATE TRIGGER slow BEFORE INSERT ON outbox_dead_letter FOR EACH ROW EXECUTE FUNCTION slow()`)
    const parking = session.deadLetter(lease, rows[0]!, { reason: 'R', error: '', blocksKey: true })
    const works =
      "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep' AND query LIKE '%outbox_dead_letter%'"
    while ((await sessions.database.query(works)).length === 0) await new Promise((resolve) => setImmediate(resolve))
    expect(await other.take(64)).toEqual([])
    await sessions.database.query('DROP FUNCTION slow CASCADE')
    expect(await parking).toEqual({ fenced: false, ids: [ids[0]] })
    expect((await other.take(64)).map((one) => one.bucket)).toEqual([lease.bucket])
  })

  test('rows move behind only while the dead row that heads their key is there', async () => {
    const { session, lease, rows, ids } = await deadKey()
    const behind = (...list: typeof rows) => list.map((row) => ({ ...row, head: ids[1]! }))
    expect(await session.moveBlocked(lease, behind(...rows))).toEqual({ fenced: false, ids: [] })
    await session.deadLetter(lease, rows[1]!, { reason: 'R', error: '', blocksKey: true })
    expect(await session.moveBlocked(lease, behind(rows[2]!))).toEqual({ fenced: false, ids: [ids[2]] })
  })

  test('a row that was dead-lettered without a hold holds nothing, comes back alone, and says that it was skipped', async () => {
    const { session, lease, rows, ids } = await deadKey()
    await session.deadLetter(lease, rows[0]!, { reason: 'R', error: '', blocksKey: false })
    expect((await session.blockedKeys([lease.bucket])).keys).toEqual([])
    expect((await session.moveBlocked(lease, [{ ...rows[1]!, head: ids[0]! }])).ids).toEqual([])
    await session.deadLetter(lease, rows[1]!, { reason: 'R', error: '', blocksKey: true })
    await sessions.database.query(
      "UPDATE outbox_dead_letter SET requested_action = 'redrive', requested_by = 'ada@laptop' WHERE id = $1",
      [ids[0]],
    )
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
    const { session, lease, rows, ids } = await refusedKey()
    expect(await session.requested([lease.bucket])).toEqual([])
    expect((await session.redrive(lease, { asked: 1_000, rows: 1_000 })).topics).toEqual([])
    await sessions.database.query("UPDATE outbox_dead_letter SET requested_action = 'redrive' WHERE id = $1", [ids[1]])
    expect(await session.requested([lease.bucket])).toEqual([{ bucket: lease.bucket, action: 'redrive' }])
    expect(await session.redrive(lease, { asked: 1_000, rows: 1_000 })).toMatchObject({
      topics: [{ rows: 3, keys: 1, by: 'postgres' }],
      keys: [{ topic: 't', key: Buffer.from('k'), next: null }],
    })
    expect((await session.fetch(all())).rows.map((row) => [row.id, row.messageId])).toEqual(
      rows.map((row) => [row.id, row.messageId]),
    )
    expect(await dead()).toEqual([])
  })

  /** Dead rows of one bucket, `keys` of them with `rows` each; a request on the first of each. */
  async function requestedKeys(lease: Lease, keys: number, rows: number) {
    // Above the sequence they would be rows from before the ids restarted.
    await sessions.database.query("SELECT setval('outbox_id_seq', 100000)")
    await sessions.database.query(
      `INSERT INTO outbox_dead_letter (bucket, id, message_id, topic, key, value, created_at, reason, relay, requested_action)
       SELECT $1, 1 + n + r * $2::int, gen_random_uuid(), 't', convert_to('k' || n, 'UTF8'), '', now(), CASE r WHEN 0 THEN 'R' END, 'r', CASE r WHEN 0 THEN 'redrive' END
       FROM generate_series(0, $2::int - 1) AS n, generate_series(0, $3::int - 1) AS r`,
      [lease.bucket, keys, rows],
    )
  }

  test('requests for more rows than one statement moves are refused whole, unless it is one: there the next row carries it on', async () => {
    const session = await sessions.connect()
    const [lease] = await session.take(1)
    await requestedKeys(lease!, 2, 700)
    expect(await session.redrive(lease!, { asked: 1_000, rows: 1_000 })).toMatchObject({ tooMany: true, topics: [], keys: [] })
    expect(await session.redrive(lease!, { asked: 1, rows: 1_000 })).toMatchObject({
      tooMany: false,
      topics: [{ rows: 700, keys: 1 }],
      keys: [{ next: null }],
    })
    await sessions.database.query('TRUNCATE outbox_dead_letter, outbox')
    await requestedKeys(lease!, 1, 1_500)
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
    const session = await sessions.connect()
    const [lease] = await session.take(1)
    await requestedKeys(lease!, 2, 2)
    await sessions.database.query(
      "INSERT INTO outbox (bucket, id, message_id, topic, key, value) VALUES ($1, 3, gen_random_uuid(), 't', 'x', '')",
      [lease!.bucket],
    )
    expect(await session.redrive(lease!, { asked: 1_000, rows: 1_000 })).toMatchObject({
      clashes: ['t'],
      topics: [{ rows: 2, firstId: 2, lastId: 4 }],
    })
    expect((await dead()).map((row) => row.id)).toEqual(['1', '3'])
  })

  test('blocked keys come in portions, by rows and by the bytes of their keys; none is left out', async () => {
    const session = await sessions.connect()
    const insert = (bucket: number, from: number, to: number, key: string) =>
      sessions.database.query(
        `INSERT INTO outbox_dead_letter (bucket, id, message_id, topic, key, value, created_at, relay)
         SELECT ${bucket}, n, gen_random_uuid(), 't', ${key}, '', now(), 'r' FROM generate_series(${from}, ${to}) AS n`,
      )
    await sessions.database.query("SELECT setval('outbox_id_seq', 100000)")
    await insert(3, 1, 4_000, "convert_to('k' || n, 'UTF8')")
    await insert(5, 1, 2, "convert_to(repeat(md5(n::text), 1300000), 'UTF8')")
    // Without a key, between the large ones and behind them.
    await insert(5, 3, 3, 'NULL')
    await insert(5, 4, 6, "convert_to(repeat(md5(n::text), 1300000), 'UTF8')")
    await insert(5, 7, 7, 'NULL')
    await insert(9, 1, 17_000, "convert_to('k' || n, 'UTF8')")
    const found: BlockedKey[] = []
    const sizes: number[] = []
    for (let from: BlockedKeyPosition | undefined; ; ) {
      const { keys, next } = await session.blockedKeys([9, 3, 5], from)
      found.push(...keys)
      sizes.push(keys.length)
      if (!next) break
      from = next
    }
    expect(sizes.length).toBeGreaterThan(3)
    expect(Math.max(...sizes)).toBeLessThanOrEqual(10_000)
    const ids = (bucket: number) => found.flatMap((hold) => (hold.bucket === bucket ? [hold.id] : []))
    const upTo = (count: number) => Array.from({ length: count }, (_, n) => n + 1)
    expect([ids(3), ids(5), ids(9)]).toEqual([upTo(4_000), [1, 2, 4, 5, 6], upTo(17_000)])
    expect(found[0]!.digest).toBe(keyDigest('t', Buffer.from('k1')))
  })

  // The last id drawn is 10: rows above it are from before the ids restarted.
  test.each([
    ['no row from before', [5], [6], { id: 5 }],
    ['a dead one from before: none goes on', [50], [6], { id: 50, goesOn: noIds }],
    ['a dead one from before, and one behind it that was not moved yet: none goes on', [50], [51], { id: 50, goesOn: noIds }],
    ['rows put back, with dead ones from after: the former go on', [5], [50, 51], { id: 5, goesOn: { from: 50, to: 51 } }],
    ['rows put back, with a dead one behind them', [5, 60], [50, 61], { id: 60, goesOn: { from: 50, to: 60 } }],
  ])('%s (rule 7)', async (_, deadIds, waiting, hold) => {
    const session = await sessions.connect()
    await sessions.database.query("SELECT setval('outbox_id_seq', 10)")
    const row = "0, n, gen_random_uuid(), 't', convert_to('k', 'UTF8'), ''"
    await sessions.database.query(
      `INSERT INTO outbox_dead_letter (bucket, id, message_id, topic, key, value, created_at, relay) SELECT ${row}, now(), 'r' FROM unnest($1::int[]) AS n`,
      [deadIds],
    )
    await sessions.database.query(
      `INSERT INTO outbox (bucket, id, message_id, topic, key, value) SELECT ${row} FROM unnest($1::int[]) AS n`,
      [waiting],
    )
    const digest = keyDigest('t', Buffer.from('k'))
    expect(await session.restartedBlockedKeys([0])).toEqual('goesOn' in hold ? [{ bucket: 0, digest, ...hold }] : [])
    expect(await session.blockedKeysOf(0, [digest])).toEqual([{ bucket: 0, digest, ...hold }])
    expect(await session.blockedKeysOf(0, [keyDigest('t', Buffer.from('other'))])).toEqual([])
  })

  test('discarding the head of a key asks for those behind it, in the name of who asked; what is dropped is named', async () => {
    const { session, lease, rows, ids } = await refusedKey()
    await sessions.database.query(
      "UPDATE outbox_dead_letter SET requested_action = 'discard', requested_by = 'ada@laptop' WHERE id = $1",
      [ids[0]],
    )
    expect(await session.discard(lease)).toEqual({
      fenced: false,
      rows: [{ id: ids[0], messageId: rows[0]!.messageId, topic: 't', by: 'ada@laptop' }],
      keys: [{ topic: 't', key: Buffer.from('k'), next: ids[1] }],
    })
    expect(
      await sessions.database.query(
        'SELECT id, requested_action, requested_by FROM outbox_dead_letter WHERE requested_action IS NOT NULL',
      ),
    ).toEqual([{ id: String(ids[1]), requested_action: 'redrive', requested_by: 'ada@laptop' }])
  })

  test('discarding one that waits leaves the head of its key alone', async () => {
    const { session, lease, ids } = await refusedKey()
    await sessions.database.query("UPDATE outbox_dead_letter SET requested_action = 'discard' WHERE id = $1", [ids[1]])
    expect(await session.discard(lease)).toMatchObject({ rows: [{ id: ids[1] }], keys: [{ next: ids[0] }] })
    expect(await sessions.database.query('SELECT 1 FROM outbox_dead_letter WHERE requested_action IS NOT NULL')).toEqual([])
  })

  test('under another relay’s lease nothing is put back or dropped', async () => {
    const { session, lease, rows } = await deadKey()
    await session.deadLetter(lease, rows[0]!, { reason: 'R', error: '', blocksKey: true })
    for (const action of ['redrive', 'discard']) {
      await sessions.database.query('UPDATE outbox_dead_letter SET requested_action = $1', [action])
      const old = { ...lease, epoch: lease.epoch - 1 }
      expect(
        await (action === 'redrive' ? session.redrive(old, { asked: 1_000, rows: 1_000 }) : session.discard(old)),
      ).toMatchObject({
        fenced: true,
        keys: [],
      })
    }
    expect(await dead()).toHaveLength(1)
  })

  test('under somebody’s lock a delete changes nothing, or takes all but the locked rows and names these (rule 12)', async () => {
    const { session, rows } = await deadKey()
    const admin = await sessions.database.pool.connect()
    await admin.query('BEGIN')
    await admin.query('SELECT 1 FROM outbox WHERE id = $1 FOR KEY SHARE', [rows[1]!.id])
    expect(await session.settle(rows)).toBe('locked')
    expect((await session.fetch(all())).rows).toHaveLength(3)
    const { bucket, id, messageId } = rows[1]!
    const strange = { ...rows[2]!, messageId: randomUUID() }
    expect(await session.settleUnlocked([rows[0]!, rows[1]!, strange])).toEqual([{ bucket, id, messageId, kept: false }])
    expect((await session.fetch(all())).rows.map((row) => row.id)).toEqual([rows[1]!.id, rows[2]!.id])
    await admin.query('ROLLBACK')
    admin.release()
    expect(await session.settleUnlocked([rows[0]!, rows[1]!])).toEqual([])
    expect(await session.settle(rows)).toBe('short')
    expect((await session.fetch(all())).rows).toEqual([])
  })

  test('settling deletes by message id as well: an id that came a second time is left alone', async () => {
    const { session, rows } = await deadKey()
    await session.settle([{ ...rows[0]!, messageId: randomUUID() }, rows[1]!])
    expect((await session.fetch(all())).rows.map((row) => row.id)).toEqual([rows[0]!.id, rows[2]!.id])
  })
})
