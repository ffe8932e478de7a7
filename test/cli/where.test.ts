import { randomUUID } from 'node:crypto'
import { beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { advice, unsuccessful } from '../../src/cli/where.ts'
import { uuidv7 } from '../../src/message/id.ts'
import { cli } from '../support/cli.ts'
import { useDatabase } from '../support/database.ts'
import { freePort } from '../support/ports.ts'
import { relayEnv, startRelayProcess } from '../support/relay-process.ts'
import { insertRows, moveToDead } from '../support/rows.ts'
import { createTopic, readTopic, withAdmin } from '../support/topics.ts'

const database = useDatabase('all')
const env = relayEnv(database, { OUTBOX_NAME: 'relay-w' })
beforeEach(() => database.query('TRUNCATE outbox, outbox_dead_letter, outbox_relay'))

const where = async (...args: string[]) => {
  const { code, stdout, stderr } = await cli(['where', ...args, '--json'], env)
  return { code, stderr, json: stdout === '' ? undefined : JSON.parse(stdout) }
}

describe('a message that is published', () => {
  let topic: string
  const ids = Array.from({ length: 30 }, () => uuidv7())
  const foreign = randomUUID()
  beforeAll(async () => {
    topic = await createTopic('where', 3)
    await insertRows(database.pool, [
      ...ids.map((messageId, n) => ({ topic, key: `k${n % 7}`, messageId })),
      { topic, key: 'k0', messageId: foreign },
    ])
    const { code } = await cli(['relay', '--drain'], env)
    expect(code).toBe(0)
  })

  test('is found at its place in Kafka after its row is gone, with the time that it took', async () => {
    const record = (await readTopic(topic)).find(({ headers }) => headers.id === ids[29])!
    const { code, json } = await where(ids[29]!, '--topic', topic)
    expect(code).toBe(0)
    expect(json).toMatchObject({
      messageId: ids[29],
      state: 'published',
      topic,
      partition: record.partition,
      offset: String(record.offset),
      createdAt: record.headers['created-at'],
      tookMs: record.timestamp - Date.parse(record.headers['created-at']!),
    })
    expect(Buffer.from(json.key, 'base64').toString()).toBe('k1')
    const { stdout } = await cli(['where', ids[29]!, '--topic', topic, '--key', 'k1'], env)
    expect(stdout).toContain(`${topic}[${record.partition}]@${record.offset}`)
    expect(stdout).toMatch(/^Took +\d/m)
  })

  test('is found by its key in one partition, and not in that of another key, which is said', async () => {
    expect((await where(ids[1]!, '--topic', topic, '--key', 'k1')).code).toBe(0)
    const placeOf = (key: string) => readTopic(topic).then((all) => all.find((one) => String(one.key) === key)!.partition)
    const partition = await placeOf('k1')
    let other = 2
    while ((await placeOf(`k${other}`)) === partition) other++
    const { code, stderr } = await where(ids[1]!, '--topic', topic, '--key', `k${other}`)
    expect(code).toBe(1)
    expect(stderr).toMatch(/Nor is it among the \d+ records? of .*Leave --key out/s)
  })

  test('with an id of another version is found by reading everything', async () => {
    expect((await where(foreign, '--topic', topic)).json).toMatchObject({ state: 'published', messageId: foreign })
  })

  test('is not found where its time in Kafka is not looked at, and leaves no consumer group behind', async () => {
    const later = uuidv7(Date.now() + 3_600_000)
    const { code, stderr } = await where(later, '--topic', topic)
    expect(code).toBe(1)
    expect(stderr).toContain('Nor is it among the 0 records')
    // Searches of other test files come and go on the same broker: one that was left behind would stay.
    const groups = () => withAdmin(async (admin) => (await admin.listGroups()).groups.map(({ groupId }) => groupId))
    const seen = (await groups()).filter((id) => id.startsWith('outbox-where-'))
    await expect.poll(async () => (await groups()).filter((id) => seen.includes(id)), { timeout: 30_000 }).toEqual([])
  })

  test('is not asked for in Kafka without a topic, and a topic that does not exist is named', async () => {
    expect((await where(ids[0]!)).stderr).toContain('Give --topic')
    const missing = await where(ids[0]!, '--topic', 'nothing-here')
    expect(missing.code).toBe(1)
    expect(missing.stderr).toContain('The topic nothing-here does not exist.')
  })

  test('without a broker that answers the command ends, with the reason', async () => {
    const broken = { ...env, KAFKA_BROKERS: `127.0.0.1:${await freePort()}` }
    const { code, stderr } = await cli(['where', ids[0]!, '--topic', topic], broken)
    expect(code).toBe(1)
    expect(stderr).toContain('Kafka cannot be asked (ECONNREFUSED')
  })
})

describe('a message in the outbox', () => {
  test('waits, and says by whom it is claimed and until when, or that nobody holds its bucket', async () => {
    const messageId = uuidv7()
    await insertRows(database.pool, [{ topic: 'no-such-topic', key: 'k', messageId }])
    const { stdout } = await cli(['where', messageId], env)
    expect(stdout).toMatch(/^State +waits for Kafka/m)
    expect(stdout).toMatch(/^Claimed by +nobody: no relay holds bucket \d+$/m)
    const relay = startRelayProcess(env)
    await relay.until((line) => line.event === 'topic_paused')
    const { json } = await where(messageId)
    expect(json).toMatchObject({ messageId, state: 'waiting', claimedBy: 'relay-w' })
    expect(Date.parse(json.claimedUntil)).toBeGreaterThan(Date.now() - 60_000)
    await relay.end('SIGTERM')
  })

  test('is dead, or waits behind a dead one, whose id and reason it tells', async () => {
    const [head, behind] = [randomUUID(), randomUUID()]
    await insertRows(database.pool, [
      { topic: 't', key: 'k', messageId: head },
      { topic: 't', key: 'k', messageId: behind },
    ])
    await moveToDead(database.pool, head)
    const dead = await cli(['where', head], env)
    expect(dead.stdout).toMatch(/^State +dead; 1 message of its key behind it$/m)
    expect(dead.stdout).toContain('INVALID_RECORD: e')
    const waits = await cli(['where', behind], env)
    expect(waits.stdout).toContain(`waits behind the dead message ${head} (INVALID_RECORD)`)
    expect(waits.stdout).toContain(`redrive ${head}`)
    expect((await where(behind)).json).toMatchObject({ state: 'blocked', blockedBy: head })
  })
})

test('a search that time was too short for is never told as "not there"', () => {
  const search = { topic: 't', messageIds: ['m'], sinceMs: 0, timeoutMs: 2_000 }
  const cut = { record: null, found: 0, read: 1_000, partitions: 3, unread: 2 }
  expect(unsuccessful(search, cut)).toBe(
    'In 2.0 s 1000 records of t were read and it was not among them; 2 of 3 partitions not to the end.',
  )
  expect(advice(search, cut)).toContain('--timeout')
  expect(unsuccessful(search, { ...cut, unread: 0 })).toBe('Nor is it among the 1000 records of t.')
})
