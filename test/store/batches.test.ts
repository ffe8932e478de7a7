import { describe, expect, test } from 'vitest'
import { clusterMark } from '../../src/running/cluster-mark.ts'
import { checksumOf, decodeRows, encodeRows } from '../../src/store/postgres/batch-rows.ts'
import type { BatchWork, Lease, NamedBatch, OutboxRow, StoreSession } from '../../src/store/store.ts'
import { insertRows } from '../support/rows.ts'
import { all, Sessions } from './sessions.ts'

const sessions = new Sessions()
const { database } = sessions

const connect = () => sessions.connect(10_000, database.url, true)
const nothing: BatchWork = { rows: [], landed: [], acknowledged: [], withdrawn: [], begun: [], leases: [] }
const batchOf = (rows: readonly OutboxRow[], sequence = 0): NamedBatch => ({
  producerId: 7n,
  epoch: 3,
  topic: "it's",
  partition: 2,
  sequence,
  rows,
  recordedAt: Date.now(),
})
const record = async (session: StoreSession, work: BatchWork) => {
  const done = await session.record(work)
  if (done === 'locked') throw new Error('locked')
  return done
}
const recorded = () => database.query('SELECT sequence, acknowledged FROM outbox_batch ORDER BY sequence')

/** A relay of the exactly-once mode with all buckets, and rows in two of them. */
async function owner() {
  const session = await connect()
  expect(await session.enterMode()).toBe('entered')
  const leases: Lease[] = await session.take(64)
  await insertRows(
    database.pool,
    ['a', 'b', 'c', 'd', 'e', 'f'].map((key) => ({ topic: 't', key })),
  )
  const { rows } = await session.fetch(all())
  const leasesOf = (some: readonly OutboxRow[]) => leases.filter(({ bucket }) => some.some((row) => row.bucket === bucket))
  return { session, leases, rows, leasesOf }
}

const lock = async (sql: string) => {
  const client = await database.pool.connect()
  await client.query('BEGIN')
  await client.query(sql)
  return async () => {
    await client.query('ROLLBACK')
    client.release()
  }
}

describe('a recorded batch (rule 27)', () => {
  test('is there with its rows in their order, for each relay that claims one of its buckets', async () => {
    const { session, rows, leasesOf } = await owner()
    const mixed = [...rows].reverse()
    const { held } = await record(session, { ...nothing, begun: [batchOf(mixed)], leases: leasesOf(mixed) })
    expect(held).toEqual(new Set(rows.map((row) => row.bucket)))
    for (const { bucket } of rows) {
      const [found] = await session.batchesOf([bucket])
      const { recordedAt: _, ...name } = batchOf([])
      expect(found).toMatchObject({ ...name, rows: mixed, whole: true, acknowledged: false })
      expect(Number.isInteger(found!.recordedAt)).toBe(true)
      expect(Math.abs(found!.recordedAt - Date.now())).toBeLessThan(60_000)
    }
    const others = Array.from({ length: 64 }, (_, bucket) => bucket).filter(
      (bucket) => !rows.some((row) => row.bucket === bucket),
    )
    expect(await session.batchesOf(others)).toEqual([])
  })

  test('needs every lease of its rows, and a relay that lost one records nothing', async () => {
    const { session, rows, leasesOf } = await owner()
    const [{ bucket }] = rows as [OutboxRow]
    await database.query('UPDATE outbox_lease SET epoch = epoch + 1 WHERE bucket = $1', [bucket])
    const others = rows.filter((row) => row.bucket !== bucket)
    const begun = [batchOf(rows), batchOf(others, 1)]
    const { held } = await record(session, { ...nothing, begun, leases: leasesOf(rows) })
    expect(held).toEqual(new Set(others.map((row) => row.bucket)))
    expect(await recorded()).toEqual([{ sequence: 1, acknowledged: false }])
  })

  test('ends with the delete of its rows, in one step, and without a lease', async () => {
    const { session, rows, leasesOf } = await owner()
    await session.record({ ...nothing, begun: [batchOf(rows)], leases: leasesOf(rows) })
    const other = await connect()
    await other.record({ ...nothing, rows, landed: [batchOf(rows)] })
    expect(await recorded()).toEqual([])
    expect(await database.query('SELECT 1 FROM outbox')).toEqual([])
    expect(await session.batchState(batchOf(rows))).toBe('gone')
  })

  test('stays with all its rows while somebody has locked one of them', async () => {
    const { session, rows, leasesOf } = await owner()
    await session.record({ ...nothing, begun: [batchOf(rows)], leases: leasesOf(rows) })
    const free = await lock(`SELECT 1 FROM outbox WHERE id = ${rows[2]!.id} FOR UPDATE`)
    expect(await session.record({ ...nothing, rows, landed: [batchOf(rows)] })).toBe('locked')
    expect(await database.query('SELECT 1 FROM outbox')).toHaveLength(rows.length)
    await session.record({ ...nothing, acknowledged: [batchOf(rows)] })
    expect(await recorded()).toEqual([{ sequence: 0, acknowledged: true }])
    expect(await session.batchState(batchOf(rows))).toBe('acknowledged')
    await free()
  })

  test('is withdrawn by a relay that holds one of its buckets, and by no other', async () => {
    const { session, rows, leases, leasesOf } = await owner()
    await session.record({ ...nothing, begun: [batchOf(rows)], leases: leasesOf(rows) })
    const withdrawn = [batchOf(rows)]
    const foreign = leases.filter(({ bucket }) => !rows.some((row) => row.bucket === bucket))
    await session.record({ ...nothing, withdrawn, leases: foreign })
    await session.record({ ...nothing, withdrawn, leases: leasesOf(rows).map((one) => ({ ...one, epoch: one.epoch - 1 })) })
    expect(await session.batchState(batchOf(rows))).toBe('recorded')
    await session.record({ ...nothing, withdrawn, leases: leasesOf(rows).slice(0, 1) })
    expect(await session.batchState(batchOf(rows))).toBe('gone')
  })

  test('is not whole when somebody deletes a row, or puts another message in its place', async () => {
    const { session, rows, leasesOf } = await owner()
    await session.record({ ...nothing, begun: [batchOf(rows)], leases: leasesOf(rows) })
    const buckets = rows.map((row) => row.bucket)
    await database.query('UPDATE outbox SET message_id = gen_random_uuid() WHERE id = $1', [rows[1]!.id])
    expect((await session.batchesOf(buckets))[0]).toMatchObject({ whole: false })
    await database.query('DELETE FROM outbox WHERE id = $1', [rows[1]!.id])
    expect((await session.batchesOf(buckets))[0]).toMatchObject({ whole: false })
  })
})

test('a record has the time of the database, or that of a relay that is more than an hour behind', async () => {
  const { session, rows, leasesOf } = await owner()
  const hour = 3_600_000
  const behind = [0, 0.5 * hour, 2 * hour]
  const begun = behind.map((ms, sequence) => ({ ...batchOf(rows, sequence), recordedAt: Date.now() - ms }))
  await record(session, { ...nothing, begun, leases: leasesOf(rows) })
  const found = await session.batchesOf(rows.map(({ bucket }) => bucket))
  const hours = (ms: number) => Math.round(ms / hour)
  const bySequence = [...found].sort((a, b) => a.sequence - b.sequence)
  expect(bySequence.map(({ ageMs, recordedAt }) => [hours(ageMs), hours(Date.now() - recordedAt)])).toEqual([
    [0, 0],
    [0, 0],
    [2, 2],
  ])
})

test('a lease row that somebody has locked stops neither the records nor the renewal of the others', async () => {
  const { session, leases, rows, leasesOf } = await owner()
  const [{ bucket }] = rows as [OutboxRow]
  const free = await lock(`SELECT 1 FROM outbox_lease WHERE bucket = ${bucket} FOR UPDATE`)
  const others = rows.filter((row) => row.bucket !== bucket)
  const begun = [batchOf(rows), batchOf(others, 1)]
  await session.record({ ...nothing, begun, leases: leasesOf(rows) })
  expect(await recorded()).toEqual([{ sequence: 1, acknowledged: false }])
  expect(await session.renew(leases)).toHaveLength(63)
  await free()
})

test('renewals come through while batches are recorded one after the other', async () => {
  const { session, leases, rows, leasesOf } = await owner()
  let recording = true
  let sequence = 0
  const records = (async () => {
    while (recording) await session.record({ ...nothing, begun: [batchOf(rows, sequence++)], leases: leasesOf(rows) })
  })()
  for (let turn = 0; turn < 20; turn++) expect(await session.renew(leases)).toHaveLength(64)
  recording = false
  await records
  expect(sequence).toBeGreaterThan(10)
})

describe('the mode of the leases (rule 29)', () => {
  test('changes when no lease of the other mode runs, and fences every writer of that mode', async () => {
    const plain = await sessions.connect()
    const once = await connect()
    const [lease] = await plain.take(1)
    expect(await once.enterMode()).toBe('others')
    expect(await once.take(64)).toEqual([])
    await database.query("UPDATE outbox_lease SET leased_until = clock_timestamp() - interval '1 second'")
    expect(await once.enterMode()).toBe('entered')
    expect(await plain.renew([lease!])).toEqual([])
    expect(await plain.owned()).toEqual([])
    expect(await plain.retake()).toEqual([])
    expect(await plain.take(64)).toEqual([])
    expect(await once.take(64)).toHaveLength(64)
    expect(await plain.enterMode()).toBe('others')
  })

  test('changes back when nothing is recorded any more', async () => {
    const { session, leases, rows, leasesOf } = await owner()
    await session.record({ ...nothing, begun: [batchOf(rows)], leases: leasesOf(rows) })
    await session.release(leases)
    const plain = await sessions.connect()
    expect(await plain.enterMode()).toBe('recorded')
    await session.record({ ...nothing, rows, landed: [batchOf(rows)] })
    expect(await plain.enterMode()).toBe('entered')
    expect(await plain.take(64)).toHaveLength(64)
  })

  test.each(['all', 'one'])('does not change a format that this version does not know (%s of the leases)', async (which) => {
    // Connected before, as a relay that meets a newer one: a start would be refused.
    const running = [await sessions.connect(), await connect()]
    await database.query(`UPDATE outbox_lease SET format = 7 ${which === 'one' ? 'WHERE bucket = 5' : ''}`)
    for (const session of running) expect(await session.enterMode()).toBe('others')
    const kept = await database.query('SELECT 1 FROM outbox_lease WHERE format = 7')
    expect(kept).toHaveLength(which === 'one' ? 1 : 64)
  })

  test('does not change while somebody has locked a lease row', async () => {
    const once = await connect()
    const free = await lock('SELECT 1 FROM outbox_lease WHERE bucket = 5 FOR UPDATE')
    expect(await once.enterMode()).toBe('others')
    await free()
    expect(await once.enterMode()).toBe('entered')
  })

  test('divides relays: none counts one of the other mode', async () => {
    const beat = { alive: true, ackedMsAgo: null, answeredMsAgo: 0, trouble: [] }
    const [plain, once] = [await sessions.connect(), await connect()]
    await plain.beat(beat)
    expect(await once.beat(beat)).toMatchObject({ relays: 1, peerAnsweredMsAgo: null, sharing: 0 })
    expect(await plain.beat(beat)).toMatchObject({ relays: 1, peerAnsweredMsAgo: null, sharing: 0 })
  })
})

test.each([
  [[{ bucket: 0, id: 1 }]],
  [
    [
      { bucket: 63, id: 2 ** 53 - 1 },
      { bucket: 0, id: 1 },
      { bucket: 0, id: 2 ** 53 - 1 },
    ],
  ],
  [Array.from({ length: 1_000 }, (_, i) => ({ bucket: i % 64, id: (i * 7_919) % 100_003 }))],
])('the names of rows survive their encoding', (places) => {
  const rows = places.map((place, i) => ({ ...place, messageId: `00000000-0000-7000-8000-${String(i).padStart(12, '0')}` }))
  const encoded = encodeRows(rows, 'a cluster')
  expect(decodeRows(encoded)).toEqual({ places, checksum: checksumOf(rows), cluster: clusterMark('a cluster') })
  expect(checksumOf([...rows, rows[0]!])).not.toEqual(checksumOf(rows))
})
