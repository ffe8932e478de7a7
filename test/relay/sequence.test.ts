import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { Producer } from '../../src/relay/publish/producer.ts'
import { NumbersReused, Sequence } from '../../src/relay/publish/sequence.ts'
import type { CarriedRow } from '../../src/relay/state/claim.ts'
import { type MemoryTransport, memoryTransport } from '../../src/transport/memory.ts'
import { type TransportBatch, TransportError } from '../../src/transport/transport.ts'
import { createDatabase, type TestDatabase } from '../support/database.ts'
import { emptied } from '../support/eventually.ts'
import { numbered, numberOf } from '../support/numbered.ts'
import { shared, testRelay } from '../support/relay.ts'
import { relayContext } from '../support/relay-context.ts'
import { insertMany, insertRows } from '../support/rows.ts'

let database: TestDatabase
beforeEach(async () => {
  database = await createDatabase()
})
afterEach(() => database.drop())

const unknown = { kind: 'unknown', code: 'ECONNRESET', error: 'gone' } as const
const transient = { kind: 'not-written', scope: 'transient', code: 'NOT_ENOUGH_REPLICAS', error: 'too few' } as const
const ofTopic = { kind: 'not-written', scope: 'topic', code: 'POLICY_VIOLATION', error: 'not now' } as const
const ofRecord = { kind: 'not-written', scope: 'record', code: 'INVALID_RECORD', error: 'refused' } as const
const outOfOrder = { kind: 'unknown', code: 'OUT_OF_ORDER_SEQUENCE_NUMBER', error: 'not the next' } as const

const numbersOf = ({ topic, partition, numbers }: TransportBatch): string =>
  `${topic}/${partition} ${numbers!.producerId}/${numbers!.epoch}/${numbers!.sequence}`
const contentOf = ({ records }: TransportBatch): string => records.map((record) => record.headers.id).join()

/** Each set of numbers has had one content: a broker drops a second one in silence. */
function expectOneContent({ batches }: MemoryTransport): void {
  const contents = new Map<string, string>()
  for (const batch of batches) {
    const numbers = numbersOf(batch)
    expect([numbers, contents.get(numbers) ?? contentOf(batch)]).toEqual([numbers, contentOf(batch)])
    contents.set(numbers, contentOf(batch))
  }
}

const written = (transport: MemoryTransport): number[] =>
  transport
    .records()
    .map(numberOf)
    .sort((a, b) => a - b)
const upTo = (n: number): number[] => Array.from({ length: n }, (_, i) => i + 1)

describe('a lost acknowledgement makes no copy (rule 21)', () => {
  test.each([1, 3])('of a whole batch, %i times', async (times) => {
    const transport = memoryTransport({ partitions: 1 })
    transport.refuse(() => true, { outcome: unknown, times, written: true })
    await insertMany(database.pool, 't', 10, 3)
    await testRelay(database.url, transport).relay.drain()
    expect(written(transport)).toEqual(upTo(10))
    const sent = transport.batches.slice(0, times + 1)
    expect(new Set(sent.map(numbersOf)).size).toBe(1)
    expect(new Set(sent.map(contentOf)).size).toBe(1)
  })

  test('of a batch that fills more than half of the room', async () => {
    const transport = memoryTransport({ partitions: 1 })
    transport.refuse(() => true, { outcome: unknown, times: 3, written: true })
    await insertMany(database.pool, 't', 40, 8)
    await testRelay(database.url, transport, { maxInFlight: 40 }).relay.drain()
    expect(written(transport)).toEqual(upTo(40))
    expectOneContent(transport)
  })

  test('however much has queued up behind the batch meanwhile', async () => {
    const transport = memoryTransport({ partitions: 1 })
    await using one = testRelay(database.url, transport, { batchRecords: 100 })
    await insertMany(database.pool, 't', 10, 3)
    const accept = transport.refuse(() => true, { outcome: unknown, written: true })
    await one.relay.start()
    await transport.called(2)
    await insertMany(database.pool, 't', 500, 3)
    await transport.called(5)
    accept()
    await emptied(database.pool)
    expect(transport.records()).toHaveLength(510)
    expectOneContent(transport)
  })

  test('while its topic is paused: the batch is what tries the topic', async () => {
    const transport = memoryTransport({ partitions: 1 })
    await insertMany(database.pool, 't', 10, 3)
    await using one = testRelay(database.url, transport)
    transport.refuse(() => true, { outcome: unknown, times: 1, written: true })
    const accept = transport.refuse(() => true, { outcome: ofTopic })
    await one.relay.start()
    await one.until('topic_paused')
    await insertMany(database.pool, 't', 10, 3)
    const before = transport.batches.length
    await transport.called(before + 1)
    accept()
    await one.until('topic_resumed')
    await emptied(database.pool)
    expect(transport.records()).toHaveLength(20)
    expect(new Set(transport.batches.slice(0, before + 1).map(numbersOf)).size).toBe(1)
    expectOneContent(transport)
  }, 20_000)

  test('of a lane that is stuck, and skips what comes behind the batch', async () => {
    const transport = memoryTransport({ topics: { t: 1, other: 3 } })
    const accept = transport.refuse((_, { topic }) => topic === 't', { outcome: unknown, written: true })
    await insertMany(database.pool, 't', 5_000, 50)
    await using one = testRelay(database.url, transport, { maxInFlight: 1_000 })
    await one.relay.start()
    await transport.called(3)
    await insertMany(database.pool, 'other', 2_000, 50)
    await transport.written(2_000, 'other')
    accept()
    await emptied(database.pool)
    expect(transport.records('t')).toHaveLength(5_000)
    expectOneContent(transport)
  }, 30_000)
})

test('a drain ends although a paused topic keeps a batch in doubt, which the next relay publishes', async () => {
  const transport = memoryTransport({ topics: { t: 1, other: 1 } })
  transport.refuse((_, { topic }) => topic === 't', { outcome: unknown, times: 1 })
  const accept = transport.refuse((_, { topic }) => topic === 't', { outcome: ofTopic })
  await insertMany(database.pool, 't', 10, 3)
  await insertMany(database.pool, 'other', 10, 3)
  const report = await testRelay(database.url, shared(transport)).relay.drain()
  expect(report).toMatchObject({
    published: 10,
    waiting: 10,
    endedBy: 'paused',
    pausedTopics: [{ topic: 't', code: 'POLICY_VIOLATION' }],
  })
  accept()
  expect(await testRelay(database.url, transport).relay.drain()).toMatchObject({ published: 10, endedBy: 'empty' })
  expect(transport.records('t')).toHaveLength(10)
})

test('a batch that is refused for the moment keeps its rows and numbers (rule 21)', async () => {
  const transport = memoryTransport({ partitions: 1 })
  await insertMany(database.pool, 't', 3, 3)
  const accept = transport.refuse(() => true, { outcome: transient })
  await using one = testRelay(database.url, transport)
  await one.relay.start()
  await transport.called(2)
  await insertMany(database.pool, 't', 3, 3)
  await transport.called(4)
  accept()
  await emptied(database.pool)
  expect(new Set(transport.batches.slice(0, 4).map(contentOf)).size).toBe(1)
  expect(transport.records()).toHaveLength(6)
  expectOneContent(transport)
})

test('a batch that is split for the record at fault gets numbers of its own for each part (rule 21)', async () => {
  const transport = memoryTransport({ partitions: 1 })
  transport.refuse((record) => numberOf(record) === 5, { outcome: ofRecord })
  await insertMany(database.pool, 't', 16, 16)
  await testRelay(database.url, transport).relay.drain()
  expect(written(transport)).toEqual(upTo(16).filter((n) => n !== 5))
  expect(await database.query('SELECT reason FROM outbox_dead_letter')).toEqual([{ reason: 'INVALID_RECORD' }])
  expectOneContent(transport)
})

test('a partition that does not know the sequence gets the batch under new numbers, and it is told (rule 21)', async () => {
  const transport = memoryTransport({ partitions: 1 })
  transport.refuse(() => true, { outcome: outOfOrder, times: 1 })
  await insertMany(database.pool, 't', 4, 2)
  const one = testRelay(database.url, transport)
  await one.relay.drain()
  expect(written(transport)).toEqual(upTo(4))
  expect(one.all('sequence_lost')).toEqual([{ topic: 't', partition: 0, code: 'OUT_OF_ORDER_SEQUENCE_NUMBER' }])
  expect(one.all('kafka_trouble')).toEqual([])
  expect(transport.batches.map(({ numbers }) => numbers!.epoch)).toEqual([0, 1])
})

test('a partition that never knows the sequence gets its batches without numbers in the end', async () => {
  const transport = memoryTransport({ partitions: 1 })
  transport.refuse((_, { numbers }) => numbers !== undefined, { outcome: outOfOrder })
  await insertMany(database.pool, 't', 4, 2)
  const one = testRelay(database.url, transport)
  await one.relay.drain()
  expect(written(transport)).toEqual(upTo(4))
  expect(one.all('sequence_lost')).toHaveLength(3)
})

test('a producer that was forgotten is no trouble: the partition takes any sequence of one that it does not know', async () => {
  const transport = memoryTransport({ partitions: 1 })
  await using one = testRelay(database.url, transport)
  await insertRows(database.pool, numbered('t', 'k', 1, 2))
  await one.relay.start()
  await transport.written(2)
  transport.forgetProducers()
  await insertRows(database.pool, numbered('t', 'k', 3))
  await transport.written(3)
  expect(one.all('sequence_lost')).toEqual([])
})

test('a batch whose bucket is lost is let go of, and its numbers are never used again (rule 21)', async () => {
  const transport = memoryTransport({ partitions: 1 })
  await using one = testRelay(database.url, transport)
  const accept = transport.refuse(() => true, { outcome: unknown })
  await insertMany(database.pool, 't', 20, 20)
  await one.relay.start()
  await transport.called(2)
  const other = '11111111-1111-4111-8111-111111111111'
  await database.query(
    `UPDATE outbox_lease SET owner = '${other}', epoch = epoch + 1, leased_until = clock_timestamp() + interval '2 seconds'
     WHERE bucket IN (SELECT bucket FROM outbox ORDER BY id LIMIT 1)`,
  )
  await one.until('leases_lost')
  accept()
  await emptied(database.pool)
  expect(new Set(written(transport))).toEqual(new Set(upTo(20)))
  expectOneContent(transport)
}, 20_000)

test('a topic that has another number of partitions gets lanes with new numbers (rule 21)', async () => {
  const transport = memoryTransport({ partitions: 1 })
  await using one = testRelay(database.url, transport)
  await insertMany(database.pool, 't', 5, 5)
  await one.relay.start()
  await transport.written(5)
  const accept = transport.refuse(() => true, { outcome: transient })
  await insertMany(database.pool, 't', 20, 20)
  await transport.called(2)
  transport.setPartitions('t', 2)
  await one.until('partitions_changed')
  accept()
  await emptied(database.pool)
  expect(transport.records()).toHaveLength(25)
  expectOneContent(transport)
}, 20_000)

test('brokers without producer ids get batches without numbers, which is told once', async () => {
  const transport = memoryTransport({ partitions: 1, producerIds: false })
  transport.refuse(() => true, { outcome: unknown, times: 1, written: true })
  await insertMany(database.pool, 't', 10, 3)
  const one = testRelay(database.url, transport)
  await one.relay.drain()
  expect(one.all('sequences_unavailable')).toMatchObject([{ code: 'NOT_SUPPORTED' }])
  expect(transport.batches.every(({ numbers }) => numbers === undefined)).toBe(true)
  // One record finds out whether the broker answers.
  expect(transport.batches.map(({ records }) => records.length)).toEqual([10, 1, 9])
  expect(transport.records()).toHaveLength(20)
})

describe('a relay that gets no producer id', () => {
  test.each([
    ['is refused one: it goes on without', 'CLUSTER_AUTHORIZATION_FAILED', Number.POSITIVE_INFINITY, [undefined]],
    ['fails a few times: it waits for one', 'COORDINATOR_LOAD_IN_PROGRESS', 2, [0]],
    ['fails again and again: it goes on without', 'COORDINATOR_LOAD_IN_PROGRESS', Number.POSITIVE_INFINITY, [undefined]],
  ])('%s', async (_, code, times, sequences) => {
    const transport = memoryTransport({ partitions: 1 })
    let failures = 0
    const refusing = {
      ...transport,
      connect: transport.connect.bind(transport),
      partitions: transport.partitions.bind(transport),
      publish: transport.publish.bind(transport),
      close: transport.close.bind(transport),
      allPartitions: transport.allPartitions.bind(transport),
      name: 'refusing',
      producerId: (signal: AbortSignal) =>
        failures++ < times ? Promise.reject(new TransportError(code, 'producer', 'no')) : transport.producerId!(signal),
    }
    await insertMany(database.pool, 't', 3, 3)
    const one = testRelay(database.url, refusing)
    await one.relay.drain()
    expect(transport.batches.map(({ numbers }) => numbers?.sequence)).toEqual(sequences)
    expect(one.all('sequences_unavailable')).toHaveLength(sequences[0] === undefined ? 1 : 0)
  })
})

describe('a sequence', () => {
  const rows = (...ids: number[]) => ids.map((id) => ({ id })) as CarriedRow[]

  test('never gives the numbers of a batch to other rows, and forgets them when it is asked to (rule 21)', async () => {
    const sequence = new Sequence(new Producer(relayContext()))
    await sequence.begin()
    const batch = rows(1, 2, 3)
    const first = sequence.numbersOf(batch)
    expect(sequence.numbersOf(batch)).toEqual(first)
    batch.shift()
    expect(() => sequence.numbersOf(batch)).toThrow(NumbersReused)
    expect(sequence.numbered).toBe(false)
    await sequence.begin()
    expect(sequence.numbersOf(batch)).toEqual({ ...first, epoch: first!.epoch + 1 })
  })

  test('advances by acknowledgement only', async () => {
    const sequence = new Sequence(new Producer(relayContext()))
    await sequence.begin()
    const batch = rows(1, 2, 3)
    expect(sequence.numbersOf(batch)!.sequence).toBe(0)
    sequence.doubt()
    expect([sequence.numbersOf(batch)!.sequence, sequence.doubtful]).toEqual([0, true])
    sequence.acknowledged(3)
    expect([sequence.numbersOf(rows(4))!.sequence, sequence.doubtful]).toEqual([3, false])
  })

  test('begins another epoch long before Kafka’s numbers begin again', async () => {
    const sequence = new Sequence(new Producer(relayContext()))
    await sequence.begin()
    const before = sequence.numbersOf(rows(1))!
    sequence.acknowledged(2 ** 30 + 1)
    await sequence.begin()
    expect(sequence.numbersOf(rows(2))).toEqual({ ...before, epoch: before.epoch + 1, sequence: 0 })
  })

  test('of each lane has an epoch of its own, and another producer id when the epochs are used up', async () => {
    const producer = new Producer(relayContext())
    const seen = new Set<string>()
    for (let n = 0; n < 32_769; n++) {
      const { producerId, epoch } = (await producer.fresh())!
      seen.add(`${producerId}/${epoch}`)
    }
    expect(seen.size).toBe(32_769)
    expect([seen.has('0/32767'), seen.has('1/0')]).toEqual([true, true])
  })
})
