import { afterEach, beforeEach, describe, expect, inject, test } from 'vitest'
import { createDatabase, type TestDatabase } from '../../support/database.ts'
import { type RelayProcess, startRelayProcess } from '../../support/relay-process.ts'

// A red header must mean trouble: relays start, join and leave every day.
let database: TestDatabase
beforeEach(async () => {
  database = await createDatabase()
})
afterEach(() => database.drop())

const leaseMs = 10_000
const relayNamed = (name: string) =>
  startRelayProcess({
    DATABASE_URL: database.url,
    KAFKA_BROKERS: inject('brokers'),
    OUTBOX_LISTEN: '127.0.0.1:0',
    OUTBOX_LEASE_MS: String(leaseMs),
    OUTBOX_NAME: name,
    LOG_LEVEL: 'trace',
  })
const urlOf = async (relay: RelayProcess) => String((await relay.until(({ event }) => event === 'listening')).url)

/** Reads the page again and again until it is green and says this; all colors until then. */
async function tonesUntil(url: string, words: RegExp): Promise<Set<string>> {
  const tones = new Set<string>()
  for (;;) {
    const text = await (await fetch(url)).text()
    const tone = /data-tone="(\w+)"/.exec(text)![1]!
    tones.add(tone)
    if (tone === 'green' && words.test(text)) return tones
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

const buckets = (name: string, n: number) => new RegExp(`</i> ${name}</th>.*data-name="Leases">${n} buckets`)

describe('no red alarm on the dashboard', { timeout: 120_000 }, () => {
  test('of a relay that starts alone; it is in its own table', async () => {
    const url = await urlOf(relayNamed('alone'))
    expect([...(await tonesUntil(url, buckets('alone', 64)))]).not.toContain('red')
  })

  test('of two relays of which the second one takes its share', async () => {
    const first = await urlOf(relayNamed('first'))
    await tonesUntil(first, buckets('first', 64))
    const second = await urlOf(relayNamed('second'))
    const tones = await Promise.all([first, second].map((url) => tonesUntil(url, buckets('second', 32))))
    expect(tones.flatMap((one) => [...one])).not.toContain('red')
  })

  test('of a relay that takes over from one that stops, and from one that is killed', async () => {
    const [stays, leaves] = [relayNamed('stays'), relayNamed('leaves')]
    const url = await urlOf(stays)
    await tonesUntil(url, buckets('leaves', 32))
    leaves.child.kill('SIGTERM')
    expect([...(await tonesUntil(url, buckets('stays', 64)))]).not.toContain('red')
    const killed = relayNamed('killed')
    await tonesUntil(url, buckets('killed', 32))
    killed.child.kill('SIGKILL')
    expect([...(await tonesUntil(url, buckets('stays', 64)))]).not.toContain('red')
  })
})

test('the alarm is red for a relay that is gone and replaced by none', { timeout: 120_000 }, async () => {
  const url = await urlOf(relayNamed('held-up'))
  await tonesUntil(url, buckets('held-up', 64))
  // Nobody can take these: a lease that somebody locks is passed over.
  const client = await database.pool.connect()
  try {
    await client.query('BEGIN; UPDATE outbox_lease SET owner = NULL WHERE bucket < 5')
    await client.query('SELECT 1')
    for (let text = ''; !/data-tone="red"[\s\S]*buckets of 64 belong to no relay/.test(text); ) {
      text = await (await fetch(url)).text()
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
  } finally {
    await client.query('ROLLBACK')
    client.release()
  }
  await tonesUntil(url, buckets('held-up', 64))
})
