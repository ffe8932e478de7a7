import { fork } from 'node:child_process'
import { createServer, connect as connectTo, type AddressInfo } from 'node:net'
import { describe, expect, test } from 'vitest'
import { relaySettings } from '../../src/relay/options.ts'
import type { Clock } from '../../src/running/clock.ts'
import { postgresStore } from '../../src/store/postgres/store.ts'
import { memoryTransport } from '../../src/transport/memory.ts'
import { useDatabase } from '../support/database.ts'
import { shared, testRelay } from '../support/relay.ts'
import { insertRows, times } from '../support/rows.ts'

const database = useDatabase('emptied')

/** No timer ever ends; a signal ends a wait. */
const frozen: Clock = {
  now: () => 1_000_000,
  date: () => Date.now(),
  wait: (ms, signal) =>
    new Promise((resolve) => {
      if (ms <= 0 || signal?.aborted) return resolve()
      signal?.addEventListener('abort', () => resolve())
    }),
}

describe('a relay that is alone waits for no timer', () => {
  test('until its first record', async () => {
    await insertRows(database.pool, [{ topic: 'orders', key: 'k' }])
    await using one = testRelay(database.url, memoryTransport(), {}, { clock: frozen })
    void one.relay.start()
    await one.until('published')
    await one.until('settled')
  })

  test('until its first record, with another relay that left its lease behind and is gone', async () => {
    await insertRows(database.pool, [{ topic: 'orders', key: 'k' }])
    await database.query("UPDATE outbox_lease SET owner = gen_random_uuid(), leased_until = clock_timestamp() - interval '1 s'")
    await using one = testRelay(database.url, memoryTransport(), {}, { clock: frozen })
    void one.relay.start()
    await one.until('published')
  })

  test('in the whole drain of an outbox that is empty, nor one with messages of several topics', async () => {
    const transport = memoryTransport()
    expect(await testRelay(database.url, shared(transport), {}, { clock: frozen }).relay.drain()).toMatchObject({ endedBy: 'empty' })
    await insertRows(
      database.pool,
      times(50, (n) => ({ topic: `t${n % 3}`, key: `k${n}` })),
    )
    const report = await testRelay(database.url, transport, {}, { clock: frozen }).relay.drain()
    expect(report).toEqual({ published: 50, waiting: 0, blocked: 0, endedBy: 'empty', foreignBuckets: 0, pausedTopics: [] })
    expect(await database.query('SELECT 1 FROM outbox_lease WHERE owner IS NOT NULL')).toEqual([])
  })
})

/** Forwards to the database and counts what the relay sent. */
async function counting(url: string) {
  let sent = 0
  const target = new URL(url)
  const server = createServer((client) => {
    const upstream = connectTo(Number(target.port), target.hostname)
    client.on('data', () => sent++)
    client.pipe(upstream).pipe(client)
    for (const end of [client, upstream]) end.on('error', () => client.destroy())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  target.port = String((server.address() as AddressInfo).port)
  target.hostname = '127.0.0.1'
  return { url: target.href, sent: () => sent, close: () => server.close() }
}

/** What docs/guides/serverless.md states. */
const mostRoundTrips = 60

test('the drain of an empty outbox takes few round trips', async () => {
  const counted = await counting(database.directUrl)
  const store = postgresStore({ databaseUrl: counted.url, listenUrl: false })
  await testRelay(database.url, memoryTransport(), {}, { store }).relay.drain()
  console.log(`round trips of an empty drain: ${counted.sent()}`)
  expect(counted.sent()).toBeLessThanOrEqual(mostRoundTrips)
  counted.close()
})
