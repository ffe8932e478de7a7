import { randomUUID } from 'node:crypto'
import { connect as dial, type Socket } from 'node:net'
import { type Consumer, Kafka, type KafkaMessage, logLevel } from 'kafkajs'
import { expect, inject, onTestFinished, test } from 'vitest'
import { createProjection, guardConsumer } from '../../src/inbox/index.ts'
import { uuidv7 } from '../../src/message/id.ts'
import { dumpTopics, proofKafka } from '../../src/proof/dump.ts'
import { findRecord } from '../../src/transport/kafkajs/find-record.ts'
import { kafkajsTransport } from '../../src/transport/kafkajs/kafkajs.ts'
import type { TransportRecord } from '../../src/transport/transport.ts'
import { batchBytes, produceRaw } from '../support/batch-bytes.ts'
import { createStage, effect, record, type Stage, useMail } from './stage.ts'

/** Records and brokers that stop a consumer of kafkajs, on a real broker. With kafkajs' decoder the first test takes a minute for each read. */

const { startMail, client, numbers, query } = useMail()

const some = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, n) => [`h${n}`, 'v']))

/** A record of the stage with more headers. */
function withHeaders(n: number, more: Record<string, string>, id: string = randomUUID()): TransportRecord {
  const { key, value, headers } = record('a', n, { id })
  return { key: Buffer.from(String(key)), value: Buffer.from(String(value)), headers: { ...(headers as object), ...more } }
}

/** Publishes records to the first partition, past everything that `enqueue` and relay refuse. */
async function publish(topic: string, records: TransportRecord[]): Promise<void> {
  const transport = kafkajsTransport({ brokers: inject('brokers').split(',') })
  onTestFinished(() => transport.close())
  // A topic takes a megabyte at once.
  for (let at = 0; at < records.length; at += 100) {
    const batch = { topic, partition: 0, records: records.slice(at, at + 100) }
    expect(await transport.publish(batch, 20_000)).toMatchObject({ kind: 'acked' })
  }
}

const hostile: Record<string, () => TransportRecord[]> = {
  'a record with 20,000 headers': () => [withHeaders(2, some(20_000))],
  'a record with a header of 900,000 bytes': () => [withHeaders(2, { large: 'v'.repeat(900_000) })],
  // Without a handler they are passed over: their transactions would take longer than their headers.
  '300 records with 1,000 headers each': () => {
    const one = withHeaders(100, { ...some(1_000), type: 'Other' })
    return Array.from({ length: 300 }, () => one)
  },
}

for (const [what, records] of Object.entries(hostile)) {
  test(`an inbox goes on after ${what}`, async () => {
    const stage = await createStage(1)
    await publish(stage.topic, [withHeaders(1, {}), ...records(), withHeaders(3, {})])
    const { until } = startMail(stage)
    await expect.poll(async () => (await numbers()).at(-1), { timeout: 20_000 }).toBe(3)
    const handled = records().filter(({ headers }) => headers.type === 'Counted')
    expect(await numbers()).toHaveLength(handled.length + 2)
    expect(await until('consumer_started')).toMatchObject({ guarded: true })
  }, 25_000)
}

test('a projection goes on after such a record', async () => {
  const stage = await createStage(1)
  await publish(stage.topic, [withHeaders(1, {}), withHeaders(2, some(20_000)), withHeaders(3, {})])
  const name = `hostile-${stage.topic}`
  const handlers = { Counted: (event: never, tx: never) => effect(tx, name, event) }
  const view = createProjection({ prisma: client(), name, events: stage.events, handlers } as never)
  onTestFinished(() => view.stop())
  view.run(stage.kafka).catch(() => {})
  await view.live
  expect(await numbers()).toEqual([1, 2, 3])
}, 25_000)

test('where and prove read past such a record', async () => {
  const { topic } = await createStage(1)
  const messageId = uuidv7()
  await publish(topic, [withHeaders(2, some(20_000)), withHeaders(3, {}, messageId)])
  const brokers = inject('brokers').split(',')
  const search = { topic, messageIds: [messageId], sinceMs: 0, timeoutMs: 15_000 }
  expect(await findRecord({ brokers }, search)).toMatchObject({ record: { partition: 0, offset: '1' }, read: 2, unread: 0 })
  const { records } = await dumpTopics(proofKafka({ brokers }), [topic], 'read_uncommitted')
  expect(records.map(({ offset }) => offset)).toEqual([0, 1])
}, 25_000)

test('a producer that numbers its records itself makes nobody skip or repeat one', async () => {
  const stage = await createStage(1)
  const raw = (n: number, offsetDelta: number) => {
    const { key, value, headers } = withHeaders(n, {})
    const pairs = Object.entries(headers).map(([name, text]) => [name, Buffer.from(text)] as const)
    return { key, value, headers: pairs, offsetDelta }
  }
  const strange = batchBytes({ records: [raw(1, 2 ** 30), raw(2, 2 ** 30)], timestamp: BigInt(Date.now()) })
  expect(await produceRaw(inject('brokers').split(',')[0]!, stage.topic, 0, strange)).toBe(0)
  const { until } = startMail(stage)
  await until('applied')
  await stage.send([record('a', 3)])
  await until('applied', ({ messages }) => messages > 0)
  await expect.poll(() => numbers(), { timeout: 10_000 }).toEqual([1, 2, 3])
})

/** Reads the first record of a topic with a plain consumer. */
async function firstOf(consumer: Consumer, topic: string): Promise<KafkaMessage> {
  await consumer.connect()
  onTestFinished(() => consumer.disconnect())
  await consumer.subscribe({ topic, fromBeginning: true })
  return new Promise((resolve) => void consumer.run({ eachMessage: async ({ message }) => resolve(message) }))
}

test("other consumers of the application's Kafka, made before or after, are read for by kafkajs as ever", async () => {
  const stage = await createStage(1)
  await publish(stage.topic, [withHeaders(1, { constructor: 'v' })])
  const [before, name] = [stage.kafka.consumer({ groupId: `before-${stage.topic}` }), `other-${stage.topic}`]
  const seen: unknown[] = []
  const { until } = startMail(stage, { handlers: { Counted: ({ headers }) => void seen.push(headers.constructor) } })
  await until('applied')
  const view = createProjection({ prisma: client(), name, events: stage.events, handlers: { Counted: () => {} } })
  onTestFinished(() => view.stop())
  view.run(stage.kafka).catch(() => {})
  await view.live
  const after = stage.kafka.consumer({ groupId: `after-${stage.topic}` })
  for (const consumer of [before, after]) {
    // kafkajs' decoder takes what every object inherits for a header that came before.
    const { headers } = await firstOf(consumer, stage.topic)
    expect(headers!.constructor).toEqual([Object, Buffer.from('v')])
  }
  expect(seen).toEqual(['v'])
  const byHand = stage.kafka.consumer({ groupId: `inFlight-${stage.topic}` })
  expect(await guardConsumer(byHand)).toBe(true)
  expect((await firstOf(byHand, stage.topic)).headers!.constructor).toEqual(Buffer.from('v'))
})

/** The application's Kafka, over a network that changes what brokers send. */
function tampered(onConnection: () => (chunk: Buffer) => void): Kafka {
  const socketFactory = ({ host, port, onConnect }: { host: string; port: number; onConnect: () => void }): Socket => {
    const change = onConnection()
    const socket = dial({ host, port }, onConnect)
    const emit = socket.emit.bind(socket)
    socket.emit = (event: string, ...args: unknown[]) => {
      if (event === 'data') change(args[0] as Buffer)
      return emit(event, ...args)
    }
    return socket
  }
  return new Kafka({
    brokers: inject('brokers').split(','),
    logLevel: logLevel.NOTHING,
    retry: { retries: 2, initialRetryTime: 50 },
    socketFactory,
  })
}

const marked = 'the record that does not arrive'

/** Bytes of the record; no answer without it is as large as half of them. */
const large = 50_000

/** What happens to answers with that record on one connection, chunk by chunk. */
const changes: Record<string, () => (chunk: Buffer) => void> = {
  'a changed byte': () => (chunk) => {
    const at = chunk.indexOf(marked)
    if (at >= 0) chunk[at] = 0
  },
  'a broker that announces 2 GiB': () => {
    let left = 0
    return (chunk) => {
      for (let at = 0; at < chunk.length; ) {
        if (left === 0) {
          left = 4 + chunk.readInt32BE(at)
          if (left > large / 2) chunk.writeInt32BE(2 ** 31 - 1, at)
        }
        const part = Math.min(left, chunk.length - at)
        left -= part
        at += part
      }
    }
  },
}

async function spoiled(change: () => (chunk: Buffer) => void): Promise<{ stage: Stage; kafka: Kafka }> {
  const stage = await createStage(1)
  await stage.send([record('a', 1)])
  const headers = { marked, filling: 'f'.repeat(large), ...record('a', 2).headers }
  await stage.send([record('a', 2, { headers })])
  return { stage, kafka: tampered(change) }
}

for (const [what, change] of Object.entries(changes)) {
  test(`${what} ends an inbox with its reason, in place of the same fetch without end`, async () => {
    const { stage, kafka } = await spoiled(change)
    const { done } = startMail(stage, {}, { kafka })
    const ended = await done.then(
      () => undefined,
      (error) => error,
    )
    expect(ended).toMatchObject({ code: 'OUTBOX_RECORDS_UNREADABLE' })
    expect(ended.message).toContain(
      what === 'a changed byte'
        ? `Partition 0 of the topic ${stage.topic} at offset 1: its checksum is wrong.`
        : 'an answer of more than 128 MiB',
    )
    expect(ended.message).not.toContain(marked)
  })

  test(`${what} ends a projection so`, async () => {
    const { stage, kafka } = await spoiled(change)
    const handlers = { Counted: () => {} }
    const view = createProjection({ prisma: client(), name: `spoiled-${stage.topic}`, events: stage.events, handlers })
    await expect(view.run(kafka)).rejects.toMatchObject({ code: 'OUTBOX_RECORDS_UNREADABLE' })
  })
}

test('a wrapper around a consumer runs, and says that it is not guarded', async () => {
  const stage = await createStage(1)
  await stage.send([record('a', 1)])
  const wrapping = Object.create(stage.kafka, {
    consumer: {
      value: (config: never) => {
        const inner = stage.kafka.consumer(config)
        const subscribe: Consumer['subscribe'] = async (to) => {
          await new Promise(setImmediate)
          await inner.subscribe(to)
        }
        return { ...inner, subscribe }
      },
    },
  })
  const { until } = startMail(stage, {}, { kafka: wrapping })
  expect(await until('consumer_started')).toMatchObject({ guarded: false })
  await until('applied')
  expect(await query('SELECT FROM inbox')).toHaveLength(1)
})
