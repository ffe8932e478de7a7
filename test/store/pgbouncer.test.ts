import pg from 'pg'
import { expect, test } from 'vitest'
import { postgresOperator } from '../../src/store/postgres/operator.ts'
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
    const pooler = await startPgbouncer(database.directUrl, 2)
    const transport = memoryTransport({ partitions: 3 })
    {
      await using a = testRelay(pooler.url, shared(transport))
      await using b = testRelay(pooler.url, shared(transport))
      await Promise.all([a.relay.start(), b.relay.start()])
      await Promise.all([a, b].map((one) => one.until('heartbeat', (e) => e.owned === 32)))
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

test.skipIf(!hasPgbouncer)(
  'a database that is not there, and a login that the pooler itself is refused, end the relay behind PgBouncer too',
  async () => {
    await using database = await createDatabase()
    const wrong = new URL(database.directUrl)
    wrong.password = 'not-it'
    for (const [behind, name, remedy] of [
      [database.directUrl, '/nowhere', 'correct the name'],
      [wrong.href, wrong.pathname, 'pg_hba.conf'],
    ] as const) {
      const refused = { code: 'OUTBOX_DATABASE_REFUSED', message: expect.stringContaining(remedy) }
      const starts = (databaseUrl: string) => testRelay(databaseUrl, memoryTransport()).relay.start()
      for (const connect of [starts, (databaseUrl: string) => postgresOperator({ databaseUrl })]) {
        // PgBouncer keeps every client after the first waiting for 15 s (server_login_retry): each gets a pooler of its own.
        const pooler = await startPgbouncer(behind, 2)
        const url = new URL(pooler.url)
        url.pathname = name
        await expect(connect(url.href)).rejects.toMatchObject(refused)
        await pooler.stop()
      }
    }
  },
)
