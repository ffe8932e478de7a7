import { describe, expect, test } from 'vitest'
import { healthPages } from '../../src/ops/health.ts'
import { LivenessCheck } from '../../src/ops/liveness.ts'
import { relayMetrics } from '../../src/ops/metrics.ts'
import { type MemoryTransport, memoryTransport } from '../../src/transport/memory.ts'
import { type Transport, TransportError } from '../../src/transport/transport.ts'
import { useDatabase } from '../support/database.ts'
import { shared, type TestRelay, testRelay } from '../support/relay.ts'
import { insertMany, insertRows } from '../support/rows.ts'

const database = useDatabase()

/** A relay with its readiness and its metric of Kafka's trouble. */
function watched(transport: Transport): { one: TestRelay; shows: () => Promise<{ ready: boolean; trouble: string }> } {
  const one = testRelay(database.url, transport)
  const { telemetry, settings } = one.relay
  const liveness = new LivenessCheck(telemetry, settings.leaseMs)
  const registry = relayMetrics(telemetry)
  const pages = healthPages({
    liveness,
    name: 'one',
    leaseMs: settings.leaseMs,
    formats: [1],
    servers: 'kafka:9092',
    askKafka: (signal) => transport.connect(signal),
  })
  const shows = async () => {
    const { status } = await pages['/readyz'].answer(new URL('http://relay/readyz'), true)
    return { ready: status === 200, trouble: /^outbox_kafka_trouble (.*)$/m.exec(await registry.metrics())![1]! }
  }
  return { one, shows }
}

/** Kafka goes away until the relay has told so, and comes back. */
async function outage(transport: MemoryTransport, one: TestRelay): Promise<void> {
  transport.goDown()
  await one.until('kafka_trouble')
  transport.goUp()
}

describe('Kafka comes back, and a topic takes nothing', () => {
  // Nothing is sent during the outage: only the relay's question for the topic's partitions can raise the doubt.
  test.each([
    ['is missing', undefined],
    ['is forbidden', 'TOPIC_AUTHORIZATION_FAILED'],
  ])('that %s: the broker’s answer ends the trouble', async (_, code) => {
    const memory = memoryTransport({ topics: { gone: code ? 1 : 0 } })
    const { one, shows } = watched({
      ...shared(memory),
      async partitions(topic, signal) {
        const count = await memory.partitions(topic, signal)
        if (topic === 'gone' && code) throw new TransportError(code, 'topic', 'forbidden')
        return count
      },
    })
    await using _one = one
    await insertRows(database.pool, [{ topic: 'gone', key: 'k' }])
    await one.relay.start()
    await one.until('topic_paused')
    await outage(memory, one)
    expect(await shows()).toEqual({ ready: false, trouble: '1' })
    await one.until('kafka_recovered')
    expect(await shows()).toEqual({ ready: true, trouble: '0' })
    await insertRows(database.pool, [{ topic: 'good', key: 'k' }])
    await memory.written(1, 'good')
    expect([one.all('kafka_trouble').length, one.all('kafka_recovered').length]).toEqual([1, 1])
    expect(one.all('topic_resumed')).toEqual([])
  })

  test('that was deleted meanwhile: its pause ends the trouble of its lanes', async () => {
    const memory = memoryTransport({ topics: { gone: 6 } })
    const { one, shows } = watched(memory)
    await using _one = one
    await one.relay.start()
    await insertMany(database.pool, 'gone', 60, 60)
    await memory.written(60)
    memory.goDown()
    memory.setPartitions('gone', 0)
    await insertMany(database.pool, 'gone', 60, 60)
    await one.until('kafka_trouble')
    memory.goUp()
    await one.until('topic_paused')
    await one.until('kafka_recovered')
    expect(await shows()).toEqual({ ready: true, trouble: '0' })
    expect(one.all('kafka_recovered')).toHaveLength(1)
  })
})
