import { randomUUID } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import type { Lease } from '../../src/store/store.ts'
import { insertRows } from '../support/rows.ts'
import { all, Sessions } from './sessions.ts'

const sessions = new Sessions()
const beat = { alive: true, ackedMsAgo: null, answeredMsAgo: null, trouble: [] }

describe('leases', () => {
  const endsIn = (interval: string, { bucket }: Lease) =>
    sessions.database.query('UPDATE outbox_lease SET leased_until = clock_timestamp() + $1::interval WHERE bucket = $2', [
      interval,
      bucket,
    ])

  test('a bucket has one owner, and each claim a new epoch', async () => {
    const [a, b] = [await sessions.connect(), await sessions.connect()]
    await Promise.all([a.beat(beat), b.beat(beat)])
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

  test('a lease that ran out is taken over, and its old owner can neither renew nor dead-letter', async () => {
    const [a, b] = [await sessions.connect(), await sessions.connect()]
    const [lease] = await a.take(1)
    await endsIn('-1 ms', lease!)
    expect(await a.renew([lease!])).toEqual([])
    expect((await b.take(64)).map((one) => one.bucket)).toContain(lease!.bucket)
    const deadLetter = await a.deadLetter(
      lease!,
      { bucket: lease!.bucket, id: 1, messageId: randomUUID() },
      { reason: 'R', error: 'e', blocksKey: true },
    )
    expect(deadLetter).toEqual({ fenced: true, ids: [] })
  })

  test('a lease that ends too far in the future counts as expired: the clock was set back', async () => {
    const [a, b] = [await sessions.connect(), await sessions.connect()]
    const [lease] = await a.take(1)
    await endsIn('1 hour', lease!)
    expect((await b.take(64)).map((one) => one.bucket)).toContain(lease!.bucket)
  })

  test('a lease row that somebody locked does not stop the renewal of the others', async () => {
    const a = await sessions.connect()
    const leases = await a.take(5)
    const admin = await sessions.database.pool.connect()
    await admin.query('BEGIN')
    await admin.query('SELECT 1 FROM outbox_lease WHERE bucket = $1 FOR SHARE', [leases[2]!.bucket])
    expect((await a.renew(leases)).length).toBe(4)
    await admin.query('ROLLBACK')
    admin.release()
    expect((await a.renew(leases)).length).toBe(5)
  })

  test('missing lease rows are put in by the heartbeat, and relays are counted', async () => {
    await sessions.database.query('DELETE FROM outbox_lease WHERE bucket > 10')
    const [a, b] = [await sessions.connect(), await sessions.connect()]
    await b.beat({ ...beat, ackedMsAgo: 1234 })
    const pulse = await a.beat(beat)
    expect(pulse.relays).toBe(2)
    expect(pulse.peerAckedMsAgo).toBeGreaterThanOrEqual(1234)
    // A relay that has just started shares; answered it is only once a broker has.
    expect(pulse).toMatchObject({ peerAnsweredMsAgo: null, sharing: 1 })
    await sessions.database.query("UPDATE outbox_relay SET started_at = now() - interval '1 hour'")
    expect(await a.beat(beat)).toMatchObject({ relays: 2, peerAnsweredMsAgo: null, sharing: 0 })
    const trouble = [{ topic: "it's", partition: 3, code: 'NOT_ENOUGH_REPLICAS' }]
    await b.beat({ ...beat, answeredMsAgo: 9_000, trouble })
    const answered = await a.beat(beat)
    expect(answered).toMatchObject({ relays: 2, sharing: 1 })
    expect(answered.peerAnsweredMsAgo).toBeGreaterThanOrEqual(9_000)
    expect(await sessions.database.query("SELECT trouble FROM outbox_relay WHERE trouble <> '[]'")).toEqual([{ trouble }])
    await b.beat({ ...beat, answeredMsAgo: 11_000 })
    const late = await a.beat(beat)
    expect(late).toMatchObject({ relays: 2, sharing: 0 })
    expect(late.peerAnsweredMsAgo).toBeGreaterThanOrEqual(11_000)
    expect(pulse.peerEndsInMs).toBeGreaterThan(0)
    expect(pulse.peerEndsInMs).toBeLessThanOrEqual(10_000)
    expect((await sessions.database.query('SELECT 1 FROM outbox_lease')).length).toBe(64)
    await b.beat({ ...beat, alive: false })
    expect(await a.beat(beat)).toMatchObject({ relays: 1, peerEndsInMs: null })
  })

  test('retaking raises the epoch, so that a statement of the old session is fenced', async () => {
    const a = await sessions.connect()
    const [lease] = await a.take(1)
    const [id] = await insertRows(sessions.database.pool, [{ topic: 't', key: 'k' }])
    const { rows } = await a.fetch(all())
    const claims = await a.retake()
    expect(claims).toEqual([{ bucket: lease!.bucket, epoch: lease!.epoch + 1 }])
    expect(
      (await a.deadLetter({ ...lease!, bucket: lease!.bucket }, rows[0]!, { reason: 'R', error: 'e', blocksKey: true })).fenced,
    ).toBe(true)
    expect(rows[0]!.id).toBe(id)
  })
})
