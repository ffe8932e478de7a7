import pg from 'pg'
import { beforeAll, beforeEach, expect, inject, onTestFinished, test } from 'vitest'
import { useDatabase } from '../support/database.ts'
import { startRelayProcess } from '../support/relay-process.ts'
import { action } from '../support/requests.ts'
import { insertRows } from '../support/rows.ts'
import { createTopic } from '../support/topics.ts'
import { diagnose } from './diagnose.ts'

const database = useDatabase('all')
let env: Record<string, string>
beforeAll(async () => {
  env = { DATABASE_URL: database.directUrl, KAFKA_BROKERS: inject('brokers'), OUTBOX_LEASE_MS: '3000' }
})
beforeEach(() => database.query('TRUNCATE outbox, outbox_dead_letter, outbox_relay'))

const look = (more: Record<string, string> = {}) => diagnose({ DATABASE_URL: database.directUrl, ...more })

/** A relay that has its buckets. */
async function relayed() {
  const relay = startRelayProcess(env)
  await relay.until(({ event }) => event === 'leases_taken')
  return relay
}

test('no relay is a warning, with messages that wait a failure, and with a relay that runs neither', async () => {
  expect((await look()).of('relays')).toMatchObject({ level: 'warning', finding: 'No relay is alive.' })
  const topic = await createTopic('doctor', 1)
  await insertRows(database.pool, [{ topic }])
  expect((await look()).of('relays')).toMatchObject({
    level: 'failure',
    finding: expect.stringMatching(/^No relay is alive; the oldest message waits for \d/),
    fix: 'Start one: npx prisma-extension-outbox relay',
  })
  const relay = await relayed()
  const { of, level } = await look()
  expect(of('relays').finding).toBe('1 relay alive.')
  expect([level('relays'), level('lease'), level('dead')]).toEqual(['ok', 'ok', 'ok'])
  await relay.end('SIGTERM')
})

test('a bucket that nobody can take is a warning, and none once it is taken', async () => {
  await database.query('INSERT INTO outbox_lease (bucket) SELECT generate_series(0, 63) ON CONFLICT DO NOTHING')
  const holder = new pg.Client(database.directUrl)
  await holder.connect()
  onTestFinished(() => holder.end())
  // A lock by a foreign hand, as of a transaction that somebody left open: relays pass the row by.
  await holder.query('BEGIN; SELECT FROM outbox_lease WHERE bucket = 7 FOR UPDATE')
  const relay = await relayed()
  expect((await look()).of('buckets')).toMatchObject({ level: 'warning', finding: '1 bucket without owner.' })
  await holder.query('ROLLBACK')
  await expect.poll(async () => (await look()).level('buckets'), { timeout: 30_000 }).toBe('ok')
  await relay.end('SIGTERM')
})

test('a time for an answer of Kafka as long as a lease is a warning, half of it is none', async () => {
  const relay = await relayed()
  expect((await look({ OUTBOX_REQUEST_TIMEOUT_MS: '3000' })).of('lease')).toMatchObject({
    level: 'warning',
    finding: 'A lease lasts 3.0 s, and Kafka may take 3.0 s to answer.',
  })
  expect((await look({ OUTBOX_REQUEST_TIMEOUT_MS: '1500' })).level('lease')).toBe('ok')
  await relay.end('SIGTERM')
})

test('a message that Kafka refused is told with its reason, and no longer once it is discarded', async () => {
  const small = await createTopic('doctor', 1, { config: { 'max.message.bytes': '2000' } })
  const relay = await relayed()
  await insertRows(database.pool, [
    { topic: small, key: 'a', value: 'x'.repeat(5_000) },
    { topic: small, key: 'a', value: 'behind' },
  ])
  await expect.poll(async () => (await look()).level('dead'), { timeout: 30_000 }).toBe('warning')
  await expect.poll(async () => (await look()).of('dead').finding).toBe('Dead: 1 MESSAGE_TOO_LARGE; 1 wait behind them.')
  await action(database.pool, 'discard', 'true')
  await expect.poll(async () => (await look()).level('dead'), { timeout: 30_000 }).toBe('ok')
  await relay.end('SIGTERM')
})
