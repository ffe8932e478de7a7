import { fileURLToPath } from 'node:url'
import { ConfigResourceTypes } from 'kafkajs'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { createDatabase, type TestDatabase } from '../support/database.ts'
import { emptied, eventually } from '../support/eventually.ts'
import { numberOf } from '../support/numbered.ts'
import { relayEnv, startRelayProcess } from '../support/relay-process.ts'
import { insertMany } from '../support/rows.ts'
import { createTopic, readTopic, withAdmin } from '../support/topics.ts'

let database: TestDatabase
beforeEach(async () => {
  database = await createDatabase()
})
afterEach(() => database.drop())

const failing = ['--import', 'tsx', fileURLToPath(new URL('../support/failing-relay.ts', import.meta.url))]
const points = ['before-record', 'while-recording', 'recorded', 'while-sending', 'acknowledged', 'before-delete', 'deleted']
const rows = 200
const keys = 20

/** Each message stands in the log once, as consumers that read uncommitted records see it, and in the order of its key. */
async function expectOnce(topic: string): Promise<void> {
  const records = await readTopic(topic)
  const numbers = records.map(numberOf)
  expect([...numbers].sort((a, b) => a - b)).toEqual(Array.from({ length: rows }, (_, i) => i + 1))
  for (let key = 0; key < keys; key++) {
    const ofKey = numbers.filter((n) => n % keys === key)
    expect(ofKey).toEqual([...ofKey].sort((a, b) => a - b))
  }
  expect(await database.query('SELECT 1 FROM outbox_batch')).toEqual([])
}

const relay = (env: Record<string, string>) => startRelayProcess(relayEnv(database, env), failing)

test.each(points)(
  'a relay killed at %s leaves no copy behind (rule 27)',
  async (point) => {
    const topic = await createTopic('once', 3)
    await insertMany(database.pool, topic, rows, keys)
    for (const turn of ['1', '4']) await relay({ POINT: point, TURN: turn }).ended()
    relay({})
    await emptied(database.pool)
    await expectOnce(topic)
  },
  60_000,
)

test.each(points)(
  'a relay stopped at %s makes no copy when it goes on (rule 27)',
  async (point) => {
    const topic = await createTopic('once', 3)
    await insertMany(database.pool, topic, rows, keys)
    const first = relay({ POINT: point, TURN: '3', SIGNAL: 'SIGSTOP' })
    // Otherwise the other one may take all buckets first, and this one never comes to the point.
    await first.until(({ event }) => event === 'leases_taken')
    const next = relay({})
    await next.until(({ event }) => event === 'relays_dying' || event === 'leases_taken')
    await emptied(database.pool)
    first.child.kill('SIGCONT')
    await first.until(({ event }) => event === 'leases_lost' || event === 'database_trouble')
    await emptied(database.pool)
    await expectOnce(topic)
  },
  60_000,
)

test.each(['recorded', 'acknowledged'])(
  'a plain relay after one that was killed at %s makes no copy, and changes the mode (rule 29)',
  async (point) => {
    const topic = await createTopic('off', 3)
    await insertMany(database.pool, topic, rows, keys)
    await relay({ POINT: point, TURN: '2' }).ended()
    startRelayProcess(relayEnv(database))
    await emptied(database.pool)
    await expectOnce(topic)
    await eventually(database.pool, 'SELECT FROM outbox_lease HAVING bool_and(format = 1)')
  },
  60_000,
)

test('a plain relay that stands still while the mode changes publishes nothing afterwards, and waits (rule 29)', async () => {
  const topic = await createTopic('switch', 3)
  await insertMany(database.pool, topic, rows, keys)
  const plain = startRelayProcess(relayEnv(database))
  await plain.until(({ event }) => event === 'leases_taken')
  plain.child.kill('SIGSTOP')
  const once = startRelayProcess(relayEnv(database, { OUTBOX_EXACTLY_ONCE: 'true' }))
  await once.until(({ event }) => event === 'leases_taken')
  await insertMany(database.pool, topic, rows, keys)
  await emptied(database.pool)
  const before = (await readTopic(topic)).length
  plain.child.kill('SIGCONT')
  await plain.until(({ event }) => event === 'leases_lost' || event === 'database_trouble')
  await plain.until(({ event }) => event === 'standing_by')
  await insertMany(database.pool, topic, rows, keys)
  await emptied(database.pool)
  const ids = (await readTopic(topic)).map(({ headers }) => headers.id)
  // What the plain relay had sent and not deleted when it stopped may be there twice, once.
  expect(ids.length - before).toBe(rows)
  expect(new Set(ids).size).toBe(3 * rows)
}, 60_000)

test('a batch that is refused after its relay had published it is found in the log (rule 28)', async () => {
  const topic = await createTopic('refused', 1)
  await insertMany(database.pool, topic, 10, 5)
  await relay({ POINT: 'acknowledged', TURN: '1' }).ended()
  const configEntries = [{ name: 'max.message.bytes', value: '100' }]
  const resources = [{ type: ConfigResourceTypes.TOPIC, name: topic, configEntries }]
  await withAdmin((admin) => admin.alterConfigs({ validateOnly: false, resources }))
  startRelayProcess(relayEnv(database, { OUTBOX_EXACTLY_ONCE: 'true' }))
  await emptied(database.pool)
  expect(await readTopic(topic)).toHaveLength(10)
  expect(await database.query('SELECT 1 FROM outbox_dead_letter')).toEqual([])
  expect(await database.query('SELECT 1 FROM outbox_batch')).toEqual([])
}, 60_000)
