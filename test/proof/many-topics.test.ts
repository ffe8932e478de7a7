import { get } from 'node:http'
import { expect, inject, onTestFinished, test } from 'vitest'
import { bucketOf } from '../../src/message/key.ts'
import { createDatabase, type TestDatabase } from '../support/database.ts'
import { eventually } from '../support/eventually.ts'
import { numbered, numberOf } from '../support/numbered.ts'
import { freePort } from '../support/ports.ts'
import { startRelayProcess } from '../support/relay-process.ts'
import { insertRows } from '../support/rows.ts'
import { createTopic, createTopicNamed, deleteTopic, readTopic } from '../support/topics.ts'

// An application that makes topics of user input: 20,000 messages, each for a topic of its own that Kafka does not have.
const missing = 20_000

/** Messages for so many topics that do not exist, `${name}-0` and so on. */
async function insertMissing(database: TestDatabase, name: string, count = missing): Promise<void> {
  const topics = Array.from({ length: count }, (_, n) => `${name}-${n}`)
  const keys = topics.map((_, n) => (n % 2 === 0 ? 'k' : `k${n}`))
  const buckets = topics.map((topic, n) => bucketOf(topic, Buffer.from(keys[n]!)))
  await database.query(
    `INSERT INTO outbox (bucket, message_id, topic, key, value)
     SELECT b, gen_random_uuid(), t, convert_to(k, 'UTF8'), '{"n":0}' FROM unnest($1::int[], $2::text[], $3::text[]) WITH ORDINALITY AS x(b, t, k, n) ORDER BY n`,
    [buckets, topics, keys],
  )
}

/** A relay in a process of its own, which listens. */
async function startRelay(database: TestDatabase) {
  const port = await freePort()
  const relay = startRelayProcess({
    DATABASE_URL: database.url,
    KAFKA_BROKERS: inject('brokers'),
    OUTBOX_LEASE_MS: '3000',
    OUTBOX_LISTEN: `127.0.0.1:${port}`,
  })
  onTestFinished(() => void relay.child.kill('SIGKILL'))
  /** Status of a page, and milliseconds to its answer. */
  const page = (path: string) =>
    new Promise<{ status: number; ms: number; body: string }>((resolve, reject) => {
      const asked = performance.now()
      get({ port, host: '127.0.0.1', path }, async (response) => {
        let body = ''
        for await (const part of response) body += part
        resolve({ status: response.statusCode!, ms: performance.now() - asked, body })
      }).on('error', reject)
    })
  const lines = (event: string) => relay.log.filter((line) => line.event === event)
  return { ...relay, page, lines }
}

const gone = (database: TestDatabase, ids: readonly number[]) =>
  eventually(database.pool, 'SELECT WHERE NOT EXISTS (SELECT FROM outbox WHERE id = ANY($1))', [ids])

/** The fastest of some measurements: of the relay's making is what none of them can do without. */
async function fastest(measure: (n: number) => Promise<number>): Promise<number> {
  const all: number[] = []
  for (let n = 0; n < 5; n++) all.push(await measure(n))
  return Math.min(...all)
}

test('20,000 missing topics: a message of a good topic flows within a second, probes answer, and the log has a few lines', async () => {
  await using database = await createDatabase()
  // Each of them is new to the relay.
  const topics = await Promise.all(Array.from({ length: 5 }, () => createTopic('good', 3)))
  await insertMissing(database, 'made-up')
  const relay = await startRelay(database)
  const met = (await relay.until((line) => line.event === 'topics_missing')) as { topics: number }
  expect(met.topics).toBeGreaterThan(900)
  const ms = await fastest(async (n) => {
    const from = performance.now()
    await gone(database, await insertRows(database.pool, numbered(topics[n]!, 'k', 1)))
    return performance.now() - from
  })
  console.log(`20,000 missing topics: a good message in ${Math.round(ms)} ms, at most ${Math.round(relay.highestRss() / 1e6)} MB`)
  expect(ms).toBeLessThan(1_000)
  for (const path of ['/livez', '/metrics']) {
    expect(await fastest(async () => (await relay.page(path)).ms)).toBeLessThan(1_000)
    expect((await relay.page(path)).status).toBe(200)
  }
  expect((await relay.page('/metrics')).body).toMatch(
    new RegExp(`outbox_messages_published_total\\{topic="${topics[4]}"\\} 1\\b`),
  )
  expect(relay.lines('topic_paused').length).toBeLessThanOrEqual(20)
  expect(relay.lines('topics_missing').length).toBeLessThanOrEqual(2)
  for (const event of ['leases_lost', 'database_trouble', 'kafka_trouble', 'sample_failed'])
    expect(relay.lines(event)).toEqual([])
  // The memory rule of docs/operating.md.
  expect(relay.highestRss()).toBeLessThan(3 * 67_108_864 + 150e6)
  expect((await database.query('SELECT count(*)::int AS n FROM outbox'))[0]).toEqual({ n: missing })
}, 100_000)

test('topics that appear later, the first, one in the middle and the last: their messages flow, those of a key in order', async () => {
  await using database = await createDatabase()
  const name = await createTopic('later', 1)
  const relay = await startRelay(database)
  await insertMissing(database, name)
  const chosen = [0, 776, missing - 2].map((n) => `${name}-${n}`)
  for (const topic of chosen) await insertRows(database.pool, numbered(topic, 'k', 1, 2))
  await relay.until((line) => line.event === 'topics_missing')
  for (const topic of chosen) await createTopicNamed(topic, 2)
  for (const topic of chosen) await insertRows(database.pool, numbered(topic, 'k', 3, 4))
  await eventually(database.pool, 'SELECT WHERE NOT EXISTS (SELECT FROM outbox WHERE topic = ANY($1))', [chosen])
  for (const topic of chosen) expect((await readTopic(topic)).map(numberOf)).toEqual([0, 1, 2, 3, 4])
}, 100_000)

test('a topic that is deleted among thousands that are missing, and made again: its messages wait, and flow again', async () => {
  await using database = await createDatabase()
  const topic = await createTopic('deleted', 1)
  const relay = await startRelay(database)
  await gone(database, await insertRows(database.pool, numbered(topic, 'k', 1)))
  await insertMissing(database, topic, 2_000)
  await relay.until((line) => line.event === 'topics_missing')
  await deleteTopic(topic)
  const ids = await insertRows(database.pool, numbered(topic, 'k', 2, 3))
  // Told of by name in the log only as one of few.
  while (!(await relay.page('/metrics')).body.includes(`outbox_topic_paused{topic="${topic}"} 1`));
  await createTopicNamed(topic, 1)
  await gone(database, ids)
  expect((await readTopic(topic)).map(numberOf)).toEqual([2, 3])
}, 100_000)
