import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { createDatabase, type TestDatabase } from '../support/database.ts'
import { emptied } from '../support/eventually.ts'
import { numberOf } from '../support/numbered.ts'
import { relayEnv, startRelayProcess } from '../support/relay-process.ts'
import { insertMany } from '../support/rows.ts'
import { createTopic, readTopic } from '../support/topics.ts'

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
  'a relay that is killed at the point %s leaves no copy behind (rule 27)',
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
  'a relay that stands still at the point %s while another one takes over makes no copy (rule 27)',
  async (point) => {
    const topic = await createTopic('once', 3)
    await insertMany(database.pool, topic, rows, keys)
    const first = relay({ POINT: point, TURN: '3', SIGNAL: 'SIGSTOP' })
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
