import { expect, inject, onTestFinished, test } from 'vitest'
import { bucketOf } from '../../src/message/key.ts'
import { createDatabase, type TestDatabase } from '../support/database.ts'
import { eventually } from '../support/eventually.ts'
import { numbered, numberOf } from '../support/numbered.ts'
import { startRelayProcess } from '../support/relay-process.ts'
import { insertRows } from '../support/rows.ts'
import { createTopic, readTopic } from '../support/topics.ts'

// Many blocked keys, and a relay that starts with all of them. DEAD_KEYS=1000000 measures what docs/operating.md says of memory.
const count = Number(process.env.DEAD_KEYS ?? 100_000)

/** The memory rule of docs/operating.md, with the default of `maxInFlightBytes`; what a blocked key needs; what varies from run to run. */
const ruleBytes = 3 * 67_108_864 + 150e6

/** One dead message for each of so many keys, the first of them the key `key-1`. `topicOf`: SQL of the topic of number n. */
async function insertDead(database: TestDatabase, topicOf: string): Promise<void> {
  // In the bucket of a key that is looked for; the others anywhere.
  await database.query(
    `INSERT INTO outbox_dead_letter (bucket, id, message_id, topic, key, value, created_at, relay, reason)
     SELECT CASE n WHEN 1 THEN $1 ELSE n % 64 END, n, gen_random_uuid(), ${topicOf}, convert_to('key-' || n, 'UTF8'), '{}', now(), 'r', 'TEST'
     FROM generate_series(1, ${count}) AS n`,
    [bucketOf('t', Buffer.from('key-1'))],
  )
  await database.query(`SELECT setval('outbox_id_seq', ${count})`)
  await database.query('VACUUM ANALYZE outbox_dead_letter')
}

test.each([
  ['one topic', (topic: string) => `'${topic}'`],
  ['a thousand topics', (topic: string) => `CASE n WHEN 1 THEN '${topic}' ELSE 'topic-' || n % 1000 END`],
])(
  `${count} blocked keys of %s: the relay keeps its leases and its memory, what is blocked waits, the rest flows`,
  async (_, topicOf) => {
    await using database = await createDatabase()
    const topic = await createTopic('dead-keys', 3)
    await insertDead(database, topicOf(topic))
    const [blocked] = await insertRows(database.pool, numbered(topic, 'key-1', 1))
    const began = performance.now()
    const relay = startRelayProcess({ DATABASE_URL: database.url, KAFKA_BROKERS: inject('brokers'), OUTBOX_LEASE_MS: '3000' })
    onTestFinished(() => void relay.child.kill('SIGKILL'))
    await relay.until((line) => line.event === 'leases_taken')
    const first = performance.now() - began
    await relay.until((line) => line.event === 'leases_taken' && line.owned === 64)
    const all = performance.now() - began
    const free = await insertRows(database.pool, numbered(topic, 'free', 2, 3))
    await eventually(database.pool, 'SELECT WHERE NOT EXISTS (SELECT FROM outbox WHERE id = ANY($1))', [[blocked, ...free]])
    expect((await readTopic(topic)).map(numberOf)).toEqual([2, 3])
    expect(await database.query('SELECT id::int, reason FROM outbox_dead_letter WHERE id > $1', [count])).toEqual([
      { id: blocked, reason: null },
    ])
    for (const event of ['leases_lost', 'database_trouble', 'relays_dying']) {
      expect(relay.log.filter((line) => line.event === event)).toEqual([])
    }
    const peak = relay.highestRss()
    console.log(
      `${count} blocked keys: at most ${Math.round(peak / 1e6)} MB, first bucket after ${Math.round(first)} ms, all after ${Math.round(all)} ms`,
    )
    expect(peak).toBeLessThan(ruleBytes)
  },
  180_000,
)

test('keys of megabytes need no more memory than short ones', async () => {
  await using database = await createDatabase()
  const topic = await createTopic('long-keys', 1)
  await database.query(
    `INSERT INTO outbox_dead_letter (bucket, id, message_id, topic, key, value, created_at, relay, reason)
     SELECT 7, n, gen_random_uuid(), $1, convert_to(repeat(md5(n::text), 250000), 'UTF8'), '{}', now(), 'r', 'TEST' FROM generate_series(1, 12) AS n`,
    [topic],
  )
  await database.query("SELECT setval('outbox_id_seq', 100)")
  const relay = startRelayProcess({ DATABASE_URL: database.url, KAFKA_BROKERS: inject('brokers'), OUTBOX_LEASE_MS: '3000' })
  onTestFinished(() => void relay.child.kill('SIGKILL'))
  await relay.until((line) => line.event === 'leases_taken' && line.owned === 64)
  const ids = await insertRows(database.pool, numbered(topic, 'k', 1))
  await eventually(database.pool, 'SELECT WHERE NOT EXISTS (SELECT FROM outbox WHERE id = ANY($1))', [ids])
  expect(relay.highestRss()).toBeLessThan(200e6)
}, 120_000)
