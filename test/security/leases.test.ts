import { randomUUID } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { memoryTransport } from '../../src/transport/memory.ts'
import { diagnose } from '../doctor/diagnose.ts'
import { useDatabase } from '../support/database.ts'
import { emptied } from '../support/eventually.ts'
import { startedRelay } from '../support/relay.ts'
import { insertRows, withoutChecks } from '../support/rows.ts'

/** What a login with the rights of a relay can write to keep the others from their work. */

const database = useDatabase()

/** Every bucket leased by nobody for that long. */
const leased = (until: string, leaseMs: number) =>
  database.query(`UPDATE outbox_lease SET owner = gen_random_uuid(), leased_until = ${until}, lease_ms = ${leaseMs}`)
const heartbeats = (seenAt: string) =>
  database.query(
    `INSERT INTO outbox_relay (id, name, version, seen_at) SELECT gen_random_uuid(), 'r', '0', ${seenAt} FROM generate_series(1, 500)`,
  )

describe('the tables refuse', () => {
  test.each([
    ['a lease of 24 days', () => leased('now()', 2 ** 31 - 1)],
    ['a lease of no length', () => leased('now()', 0)],
    ['a heartbeat without end', () => heartbeats("'infinity'")],
    [
      'a start without beginning',
      () =>
        database.query(
          `INSERT INTO outbox_relay (id, name, version, started_at) VALUES ('${randomUUID()}', 'r', '0', '-infinity')`,
        ),
    ],
  ])('%s', async (_, write) => {
    await expect(write()).rejects.toMatchObject({ code: '23514' })
  })
})

describe('a relay on tables without the CHECKs', () => {
  test.each([
    ['leases that end in 20 days, and would last so long', () => leased("now() + interval '20 days'", 2 ** 31 - 1)],
    ['leases without end', () => leased("'infinity'", 2 ** 31 - 1)],
    ['heartbeats of tomorrow', () => heartbeats("now() + interval '1 day'")],
    ['heartbeats of a minute ahead', () => heartbeats("now() + interval '1 minute'")],
    ['heartbeats without end', () => heartbeats("'infinity'")],
  ])('publishes in every bucket at once in spite of %s', async (_, write) => {
    await withoutChecks(database.pool)
    await write()
    await using one = await startedRelay(database.url, memoryTransport())
    await one.until('leases_taken', ({ owned }) => owned === 64)
    await insertRows(database.pool, [{ topic: 't', key: 'k' }])
    await emptied(database.pool)
    expect(one.all('database_trouble')).toEqual([])
  })
})

describe('doctor', () => {
  test.each([
    ['of nobody that has a heartbeat', "now() + interval '9 seconds'"],
    ['that end later than a lease may', "now() + interval '20 days'"],
  ])('names buckets whose leases are %s', async (_, until) => {
    await using one = await startedRelay(database.url, memoryTransport())
    await one.until('leases_taken', ({ owned }) => owned === 64)
    const look = async () => (await diagnose({ DATABASE_URL: database.directUrl })).of('buckets')
    expect((await look()).level).toBe('ok')
    await one.relay.stop()
    // One that is alive, and has none of them.
    await database.query(`INSERT INTO outbox_relay (id, name, version) VALUES ('${randomUUID()}', 'r', '0')`)
    await leased(until, 10_000)
    expect(await look()).toMatchObject({ level: 'warning', finding: '64 buckets without owner.' })
  })
})
