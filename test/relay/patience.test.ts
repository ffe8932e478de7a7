import { describe, expect, inject, test } from 'vitest'
import { kafkajsTransport } from '../../src/transport/kafkajs/kafkajs.ts'
import { memoryTransport } from '../../src/transport/memory.ts'
import { platformaticTransport } from '../../src/transport/platformatic/platformatic.ts'
import type { Outcome, Transport } from '../../src/transport/transport.ts'
import { useDatabase } from '../support/database.ts'
import { emptied } from '../support/eventually.ts'
import { kafkaTool } from '../support/kafka.ts'
import { numbered, numberOf } from '../support/numbered.ts'
import { shared, startedRelay, testRelay } from '../support/relay.ts'
import { insertMany, insertRows, times } from '../support/rows.ts'
import { createTopic, readTopic } from '../support/topics.ts'

const database = useDatabase()

/** A request may take half of it. */
const leaseMs = 3_000

/** A broker that appends at once and answers `ms` later; who does not wait so long does not know. */
function slow(transport: Transport, ms: () => number): Transport & { waits: number[]; records: number[] } {
  const [waits, records]: [number[], number[]] = [[], []]
  return {
    ...shared(transport),
    waits,
    records,
    async publish(batch, timeoutMs, how = {}) {
      const { waitMs = timeoutMs, giveUp } = how
      waits.push(waitMs)
      records.push(batch.records.length)
      const written = transport.publish(batch, timeoutMs)
      const unknown: Outcome = { kind: 'unknown', code: 'TIMEOUT', error: 'too late' }
      return new Promise((resolve) => {
        setTimeout(() => resolve(ms() <= waitMs ? written : unknown), Math.min(ms(), waitMs))
        giveUp?.addEventListener('abort', () => resolve(unknown))
      })
    },
  }
}

describe('a broker that answers after the time-out', () => {
  test('makes progress: the lane waits longer, and a batch that was late is there once (rules 3 and 21)', async () => {
    const memory = memoryTransport({ partitions: 1 })
    const transport = slow(memory, () => 2_000)
    await insertMany(database.pool, 't', 500, 10)
    await using one = await startedRelay(database.url, transport, { leaseMs })
    await emptied(database.pool)
    expect(one.all('publish_failed')).toHaveLength(1)
    // The second batch waits as long: the broker was not quick yet.
    expect(transport.waits.slice(0, 3)).toEqual([1_500, 3_000, 3_000])
    expect(transport.records.slice(0, 3)).toEqual([250, 250, 250])
    expect(memory.records()).toHaveLength(500)
  }, 30_000)

  test('makes progress without producer ids: the lane waits longer, and sends one record first (rule 3)', async () => {
    const memory = memoryTransport({ partitions: 1, producerIds: false })
    const transport = slow(memory, () => 2_000)
    await insertMany(database.pool, 't', 500, 10)
    await using one = testRelay(database.url, transport, { leaseMs })
    await one.relay.start()
    await emptied(database.pool)
    const unknown = one.all('publish_failed')
    expect(unknown).toHaveLength(1)
    expect(transport.waits.slice(0, 3)).toEqual([1_500, 3_000, 3_000])
    expect(transport.records.slice(0, 2)).toEqual([250, 1])
    expect(memory.records()).toHaveLength(500 + 250)
  }, 30_000)

  test('is given twice as long each time, up to 30 s, and the usual time again once it is quick', async () => {
    const memory = memoryTransport({ partitions: 1 })
    let ms = 9_000
    const transport = slow(memory, () => ms)
    await insertRows(database.pool, numbered('t', 'k', 1))
    await using _one = await startedRelay(database.url, transport, { leaseMs })
    await emptied(database.pool)
    expect(transport.waits).toEqual([1_500, 3_000, 6_000, 12_000])
    ms = 1
    await insertRows(database.pool, numbered('t', 'k', 2))
    await emptied(database.pool)
    await insertRows(database.pool, numbered('t', 'k', 3))
    await emptied(database.pool)
    expect(transport.waits.slice(4)).toEqual([12_000, 1_500])
  }, 40_000)

  /** A relay whose lane waits up to twelve seconds for an answer that does not come, and has for a moment. */
  async function waiting(memory: ReturnType<typeof memoryTransport>) {
    const transport = slow(memory, () => 100_000)
    const one = testRelay(database.url, transport, { leaseMs })
    await one.relay.start()
    await one.until('leases_taken', (e) => e.owned === 64)
    await insertRows(database.pool, numbered('t', 'k', 1))
    while (transport.waits.length < 4) await new Promise((resolve) => setTimeout(resolve, 20))
    expect(transport.waits[3]).toBe(12_000)
    return one
  }

  test('keeps no relay from stopping (rule 3)', async () => {
    const one = await waiting(memoryTransport({ partitions: 1 }))
    const begun = performance.now()
    await one.relay.stop()
    // The usual time-out, the lease given back, and a busy machine.
    expect(performance.now() - begun).toBeLessThan(4_000)
    expect(one.all('stopped')).toMatchObject([{ clean: true }])
  }, 40_000)

  test('is let go of when the lease is lost (rule 3)', async () => {
    await using one = await waiting(memoryTransport({ partitions: 1 }))
    await new Promise((resolve) => setTimeout(resolve, 2_000))
    const failed = one.all('publish_failed').length
    const begun = performance.now()
    await database.query(
      `UPDATE outbox_lease SET owner = gen_random_uuid(), epoch = epoch + 1, lease_ms = 300000, leased_until = clock_timestamp() + interval '4 minutes'`,
    )
    await one.until('leases_lost')
    await one.until('publish_failed', () => one.all('publish_failed').length > failed)
    expect(performance.now() - begun).toBeLessThan(leaseMs + 1_000)
  }, 40_000)
})

describe.each([
  ['kafkajs', (clientId: string) => kafkajsTransport({ brokers: inject('brokers').split(','), clientId })],
  ['platformatic', (clientId: string) => platformaticTransport({ brokers: inject('brokers').split(','), clientId })],
] as const)('a produce quota, over %s', (name, transport) => {
  test('makes no copy, no failed publish and no alarm', async () => {
    const clientId = `quota-${name}-${process.pid}`
    const where = ['--bootstrap-server', inject('brokers'), '--entity-type', 'clients', '--entity-name', clientId]
    await kafkaTool('kafka.admin.ConfigCommand', [...where, '--alter', '--add-config', 'producer_byte_rate=50000'])
    const topic = await createTopic('quota', 6)
    await using one = await startedRelay(database.url, transport(clientId), { leaseMs: 10_000 })
    const value = (n: number) => `{"n":${n},"x":"${'x'.repeat(1_000)}"}`
    await insertRows(
      database.pool,
      times(1_200, (n) => ({ topic, key: `key-${n % 50}`, value: value(n + 1) })),
    )
    await emptied(database.pool)
    await kafkaTool('kafka.admin.ConfigCommand', [...where, '--alter', '--delete-config', 'producer_byte_rate'])
    const log = await readTopic(topic)
    expect(log).toHaveLength(1_200)
    const last = new Map<string, number>()
    for (const record of log) {
      expect(numberOf(record)).toBeGreaterThan(last.get(String(record.key)) ?? 0)
      last.set(String(record.key), numberOf(record))
    }
    expect(one.all('publish_failed')).toEqual([])
    expect(one.all('kafka_trouble')).toEqual([])
  }, 180_000)
})
