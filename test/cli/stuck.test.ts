import { randomUUID } from 'node:crypto'
import { describe, expect, inject, test } from 'vitest'
import { cli } from '../support/cli.ts'
import { useDatabase } from '../support/database.ts'
import { emptied, eventually } from '../support/eventually.ts'
import { relayEnv, startRelayProcess } from '../support/relay-process.ts'
import { insertRows } from '../support/rows.ts'
import { readTopic, withAdmin } from '../support/topics.ts'
import { messageOfA, page, surfaces, twoRelays, urlOf } from './surfaces.ts'

/** What keeps messages from Kafka is said by every command and by every relay, not only by the one that has the bucket. */
const database = useDatabase()
const brokers = inject('brokers')
const env = relayEnv(database, { OUTBOX_LISTEN: '127.0.0.1:0' })

test('a topic that does not exist: each says so, with the command and the brokers, and none says to start another relay', async () => {
  const { a, b } = await twoRelays(database, env)
  const topic = `missing-${randomUUID().slice(0, 8)}`
  const id = await messageOfA(database, topic)
  const paused = await a.until(({ event }) => event === 'topic_paused')
  const command = `kafka-topics.sh --bootstrap-server ${brokers} --create --topic ${topic} --partitions 12`
  expect(paused).toMatchObject({ topic, remedy: expect.stringContaining('Create it.'), command })
  await database.query("UPDATE outbox SET created_at = clock_timestamp() - interval '2 minutes'")
  const words = `Topic ${topic} does not exist.`
  for (const [name, text] of Object.entries(await surfaces({ id, topic, words }, b, env))) {
    if (name !== 'doctor') expect(text, name).toContain(words)
    expect(text.replaceAll('&quot;', '"'), name).toContain(command)
    expect(text, name).not.toContain('start another')
  }
  expect(JSON.parse((await cli(['where', id, '--json'], env)).stdout).trouble).toEqual([
    { topic, partition: null, code: 'UNKNOWN_TOPIC_OR_PARTITION' },
  ])
  await withAdmin((admin) => admin.createTopics({ topics: [{ topic }] }))
  await emptied(database.pool)
  await eventually(database.pool, "SELECT FROM outbox_relay HAVING bool_and(trouble = '[]')")
  expect((await cli(['status'], env)).stdout).not.toContain('!')
})

test('a relay without Kafka is alive, and all say what it lacks', async () => {
  const good = startRelayProcess({ ...env, OUTBOX_NAME: 'good' })
  startRelayProcess({ ...env, OUTBOX_NAME: 'bad', KAFKA_BROKERS: '127.0.0.1:1' })
  const silent = `SELECT FROM outbox_relay WHERE name = 'bad' AND answered_at IS NULL AND started_at < now() - interval '4 s'`
  await eventually(database.pool, silent)
  const status = (await cli(['status'], env)).stdout
  expect(status).toMatch(/^bad +alive, no Kafka +0 /m)
  expect(status).toMatch(/^good +alive +64 /m)
  expect(status).toContain('! Relay bad is alive, no Kafka: no broker answers it.\n  Check its network')
  expect((await cli(['doctor'], env)).stdout).toContain('✗ relay bad: Relay bad is alive, no Kafka')
  const url = await urlOf(good)
  expect(JSON.parse(await page(`${url}/readyz`, 'Relay bad is alive'))).toMatchObject({ ready: true })
  expect(await page(`${url}/`, 'Relay bad is alive')).toContain('alive, no Kafka</strong>')
})

describe('--create-topics', () => {
  test('creates what does not exist, with as many partitions as are asked for', async () => {
    const topic = `created-${randomUUID().slice(0, 8)}`
    await insertRows(database.pool, [{ topic, key: 'k' }])
    const args = ['relay', '--drain', '--create-topics', '--partitions', '5']
    expect(await cli(args, { ...env, OUTBOX_LISTEN: '' })).toMatchObject({ code: 0 })
    expect(await readTopic(topic)).toHaveLength(1)
    const { topics } = await withAdmin((admin) => admin.fetchTopicMetadata({ topics: [topic] }))
    expect(topics[0]!.partitions).toHaveLength(5)
  })

  test.each([
    [['--create-topics'], { NODE_ENV: 'production' }, 'is for development'],
    [['--partitions', '5'], {}, 'is for topics that --create-topics creates'],
    [['--create-topics', '--partitions', '0'], {}, '--partitions must be a whole number from 1 to 10,000.'],
  ])('%s with %o is refused', async (flags, more, words) => {
    const { code, stderr } = await cli(['relay', ...flags], { ...env, ...more })
    expect([code, stderr]).toEqual([2, expect.stringContaining(words)])
  })
})
