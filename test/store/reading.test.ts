import { randomUUID } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { type Fetch, IdsRestarted, type Scan } from '../../src/store/store.ts'
import { createDatabase } from '../support/database.ts'
import { insertRows, withoutChecks } from '../support/rows.ts'
import { all, Sessions } from './sessions.ts'

const sessions = new Sessions()

describe('reading', () => {
  test('every column comes back as it was stored', async () => {
    const session = await sessions.connect()
    const messageId = randomUUID()
    await withoutChecks(sessions.database.pool)
    const [id] = await insertRows(sessions.database.pool, [
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
    const session = await sessions.connect()
    await insertRows(sessions.database.pool, [
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
    const session = await sessions.connect()
    await withoutChecks(sessions.database.pool)
    const ids = await insertRows(
      sessions.database.pool,
      ["a'b\\", 'b', 'b', 'c'].map((topic) => ({ topic, key: 'same' })),
    )
    const found = async (more: Partial<Fetch>) => (await session.fetch(all(more))).rows.map((row) => row.id)
    expect(await found({})).toEqual(ids)
    expect(await found({ withoutTopics: ["a'b\\"] })).toEqual(ids.slice(1))
    expect(await found({ withoutIds: [ids[1]!] })).toEqual([ids[0], ids[2], ids[3]])
    expect(await found({ scans: all().scans.map((scan) => ({ ...scan, after: ids[1]! })) })).toEqual(ids.slice(2))
  })

  test('among rows of topics that are left out a scan looks no further than it may, and its last row says how far that was', async () => {
    const session = await sessions.connect()
    const topics = ['gone', 'gone', 'here', 'gone', 'gone', 'gone', 'here']
    const ids = await insertRows(
      sessions.database.pool,
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
    // Rows in flight are not looked at: a relay with a full hand would come no further.
    expect(await found({ look: 2 }, ids.slice(0, 2))).toEqual([2, 3])
    expect(await found({ look: 7, limit: 1 })).toEqual([2])
  })

  test('a row over the size limit comes without its value, an answer over the byte limit is cut', async () => {
    const session = await sessions.connect()
    const ids = await insertRows(sessions.database.pool, [
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
    const session = await sessions.connect(10_000, fresh.url)
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
    const session = await sessions.connect()
    const writers = [await sessions.database.pool.connect(), await sessions.database.pool.connect()]
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

  test.each([
    ["SELECT setval('outbox_id_seq', 1, false)", 'went back'],
    ['TRUNCATE outbox RESTART IDENTITY', 'was replaced'],
  ])('%s ends the session with an error that says so', async (sql, words) => {
    const session = await sessions.connect()
    await insertRows(sessions.database.pool, [{ topic: 't' }, { topic: 't' }])
    await session.mark()
    await sessions.database.query(sql)
    await expect(session.mark()).rejects.toThrow(words)
    expect(await session.lost).toBeInstanceOf(IdsRestarted)
  })
})
