import { expect, inject, test } from 'vitest'
import { createRelay, type TransportName, transportNames } from '../../src/embed.ts'
import { useDatabase } from '../support/database.ts'
import { insertMany } from '../support/rows.ts'
import { createTopic, readTopic } from '../support/topics.ts'

const database = useDatabase('all')

test.each(transportNames)(
  'a relay drains ten thousand messages through %s, each once, each key in order',
  async (transport: TransportName) => {
    const topic = await createTopic(`drain-${transport}`, 6)
    await insertMany(database.pool, topic, 10_000, 50)
    const relay = createRelay({ databaseUrl: database.url, transport, kafka: { brokers: inject('brokers').split(',') } })
    expect(await relay.drain()).toMatchObject({ endedBy: 'empty', waiting: 0 })

    const log = await readTopic(topic)
    const places = new Map<string, { partition: number; last: number }>()
    for (const { key, value, partition } of log) {
      const n: number = JSON.parse(String(value)).n
      const before = places.get(String(key)) ?? { partition, last: 0 }
      expect([before.partition, n > before.last]).toEqual([partition, true])
      places.set(String(key), { partition, last: n })
    }
    expect([log.length, places.size]).toEqual([10_000, 50])
  },
)
