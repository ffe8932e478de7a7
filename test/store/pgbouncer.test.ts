import pg from 'pg'
import { expect, test } from 'vitest'
import { memoryTransport } from '../../src/transport/memory.ts'
import { createDatabase } from '../support/database.ts'
import { hasPgbouncer, startPgbouncer } from '../support/pgbouncer.ts'
import { shared, testRelay } from '../support/relay.ts'
import { insertMany } from '../support/rows.ts'

if (!hasPgbouncer) console.log('Skipped: PgBouncer is not installed (apt-get install pgbouncer).')

test.skipIf(!hasPgbouncer)(
  'two relays behind PgBouncer in transaction mode with two server connections: each message once, in order; notifications are swallowed',
  async () => {
    await using database = await createDatabase()
    const pooler = await startPgbouncer(database.url, 2)
    const transport = memoryTransport({ partitions: 3 })
    {
      await using a = testRelay(pooler.url, shared(transport))
      await using b = testRelay(pooler.url, shared(transport))
      await Promise.all([a.relay.start(), b.relay.start()])
      await Promise.all([a.until('leases_taken', (e) => e.owned === 32), b.until('leases_taken', (e) => e.owned === 32)])
      await insertMany(database.pool, 't', 2_000, 50)
      await transport.written(2_000)
      await insertMany(database.pool, 't', 500, 50)
      await transport.written(2_500)
      expect([...a.all('database_trouble'), ...b.all('database_trouble')]).toEqual([])
    }
    expect(transport.records()).toHaveLength(2_500)
    expect(await database.query('SELECT 1 FROM outbox')).toEqual([])
    // Nothing of a relay's settings stayed in a server connection that others use.
    const stranger = new pg.Pool({ connectionString: pooler.url, max: 2 })
    const found = await Promise.all(
      [1, 2].map(() =>
        stranger.query("SELECT name, pg_sleep(0.1) FROM pg_settings WHERE source = 'session' AND name <> 'application_name'"),
      ),
    )
    const names = found.flatMap((result) => result.rows.map((row) => row.name))
    for (const name of ['statement_timeout', 'lock_timeout', 'enable_seqscan', 'row_security']) expect(names).not.toContain(name)
    await stranger.end()
    await pooler.stop()
  },
)
