import pg from 'pg'
import { afterEach, expect, inject, test, vi } from 'vitest'
import { createDatabase } from './database.ts'
import { hasPgbouncer } from './pgbouncer.ts'

// [ci]: without these, `npm run test:surroundings` could test the default three times and call it proof.

afterEach(() => {
  vi.unstubAllEnvs()
})

async function shown(url: string, setting: string): Promise<string> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return (await client.query(`SELECT current_setting($1) AS value`, [setting])).rows[0].value
  } finally {
    await client.end()
  }
}

test.each([
  ['serializable', 'transaction_isolation', 'serializable'],
  ['kolkata', 'TimeZone', 'Asia/Kolkata'],
])('a test database of the surrounding %s starts every connection with its %s', async (surrounding, setting, value) => {
  vi.stubEnv('OUTBOX_TEST_DATABASE', surrounding)
  await using database = await createDatabase()
  expect(await shown(database.url, setting)).toBe(value)
})

if (!hasPgbouncer) console.log('Skipped: PgBouncer is not installed (apt-get install pgbouncer).')

test.skipIf(!hasPgbouncer)(
  'a test database behind PgBouncer is reached through the pooler by what is tested, directly by the test',
  async () => {
    vi.stubEnv('OUTBOX_TEST_DATABASE', 'pgbouncer')
    await using database = await createDatabase()
    expect(new URL(database.url).port).not.toBe(new URL(inject('databaseUrl')).port)
    // PgBouncer 1.18 refuses this start-up parameter; PostgreSQL takes it.
    const refused = new pg.Client({ connectionString: database.url, options: '-c work_mem=1MB' })
    refused.on('error', () => {})
    await expect(refused.connect()).rejects.toThrow('unsupported startup parameter')
    expect(await database.query('SELECT 1 AS one')).toEqual([{ one: 1 }])
  },
)

test('an unknown surrounding is refused', async () => {
  vi.stubEnv('OUTBOX_TEST_DATABASE', 'serialisable')
  await expect(createDatabase()).rejects.toThrow('"serialisable"')
})
