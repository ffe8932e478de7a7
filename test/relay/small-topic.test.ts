import { describe, expect, inject, test } from 'vitest'
import { Bisection } from '../../src/relay/publish/bisection.ts'
import type { CarriedRow } from '../../src/relay/state/claim.ts'
import { kafkajsTransport } from '../../src/transport/kafkajs/kafkajs.ts'
import { useDatabase } from '../support/database.ts'
import { emptied } from '../support/eventually.ts'
import { testRelay } from '../support/relay.ts'
import { insertRows } from '../support/rows.ts'
import { createTopic, readTopic } from '../support/topics.ts'

// A topic that takes less than a batch (max.message.bytes): the size that fitted is remembered, and not found out for each batch.

const database = useDatabase('emptied')

/** Publishes messages of a kilobyte, some of them larger, and counts the requests that Kafka took and refused. */
async function published(count: number, topicBytes: number, larger: readonly number[] = []) {
  const topic = await createTopic('small', 1, { config: { 'max.message.bytes': String(topicBytes) } })
  await insertRows(
    database.pool,
    Array.from({ length: count }, (_, n) => ({
      topic,
      key: `k${n}`,
      value: 'x'.repeat(larger.includes(n) ? 2 * topicBytes : 1_000),
    })),
  )
  await using one = testRelay(database.url, kafkajsTransport({ brokers: [inject('brokers')] }))
  await one.relay.start()
  await emptied(database.pool)
  expect(await readTopic(topic)).toHaveLength(count - larger.length)
  return { refused: one.all('publish_failed').length, sent: one.all('published'), dead: one.all('dead_lettered').length }
}

test('of two thousand messages some twenty fit into a request: few requests are refused', { timeout: 60_000 }, async () => {
  const { refused, sent } = await published(2_000, 20_000)
  expect(refused).toBeGreaterThan(0)
  expect(refused).toBeLessThan(40)
  expect(sent.length).toBeLessThan(400)
})

test('two messages that are too large themselves do not make the batches of the others small', { timeout: 60_000 }, async () => {
  const { sent, dead } = await published(2_000, 300_000, [100, 900])
  expect(dead).toBe(2)
  expect(sent.at(-1)!.records).toBeGreaterThan(50)
  expect(sent.length).toBeLessThan(60)
})

describe('what fitted', () => {
  const most = 8
  /** Refuses a batch of all rows, then of its first half, until `fits` rows are taken at a time; each has a hundred bytes. */
  function learn(bisection: Bisection, fits: number, code = 'MESSAGE_TOO_LARGE'): void {
    for (let left = most; left > 0; ) {
      const rows = Math.min(bisection.limit, left)
      if (rows > fits) bisection.halve(rows, code)
      else {
        bisection.cleared(rows, rows * 100)
        left -= rows
      }
    }
  }

  test('is remembered in bytes, and not in rows', () => {
    const bisection = new Bisection(most)
    learn(bisection, 2)
    expect([bisection.limit, bisection.bytes]).toEqual([most, 200])
  })

  test('is tried to be more after a while: the limit of the topic may have been raised', () => {
    const bisection = new Bisection(most)
    learn(bisection, 2)
    for (let n = 0; n < 255; n++) bisection.cleared(2, 200)
    expect(bisection.bytes).toBe(200)
    bisection.cleared(2, 200)
    expect(bisection.bytes).toBe(400)
  })

  test('is not learned from a refusal for another reason, nor where one row was at fault', () => {
    const other = new Bisection(most)
    learn(other, 2, 'INVALID_RECORD')
    expect(other.bytes).toBe(Number.POSITIVE_INFINITY)
    const guilty = new Bisection(2)
    guilty.halve(2, 'MESSAGE_TOO_LARGE')
    guilty.cleared(1, 100)
    guilty.found({} as CarriedRow)
    expect([guilty.limit, guilty.bytes]).toEqual([2, Number.POSITIVE_INFINITY])
  })
})
