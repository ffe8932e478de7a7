import { randomBytes } from 'node:crypto'
import * as zlib from 'node:zlib'
import { CompressionCodecs, type EachMessagePayload, type KafkaMessage } from 'kafkajs'
import { afterEach, describe, expect, inject, onTestFinished, test } from 'vitest'
import { type KafkaTransportOptions, openTransport, type Transport, transportNames } from '../../src/embed.ts'
import { dumpTopics, proofKafka } from '../../src/proof/dump.ts'
import { type Compression, codecOf, compressions } from '../../src/transport/protocol/compression.ts'
import { kafkaTool } from '../support/kafka.ts'
import { createTopic, createTopicNamed, testKafka } from '../support/topics.ts'

/** Compressed batches between this package, kafkajs and Kafka's own tools in Java, on a real broker. */

const codecs = compressions.filter((name) => name !== 'none')
/** Those that this version of Node can write. */
const written = codecs.filter((name) => name !== 'zstd' || 'zstdCompressSync' in zlib)

const opened: Transport[] = []
afterEach(async () => {
  for (const transport of opened.splice(0)) await transport.close()
})

function open(name: (typeof transportNames)[number], options: Partial<KafkaTransportOptions>): Transport {
  const transport = openTransport(name, { brokers: inject('brokers').split(','), ...options })
  opened.push(transport)
  return transport
}

/** Some kilobytes: several blocks of Java's snappy, whose blocks are 32 KiB. */
const values = Array.from({ length: 400 }, (_, n) =>
  JSON.stringify({ orderId: n, note: `order ${n} of customer ${n % 13}; `.repeat(5) }),
)
const records = values.map((value, n) => ({ key: Buffer.from(`k${n}`), value: Buffer.from(value), headers: { id: `m${n}` } }))

/** Counts what a plain kafkajs decompresses with the codec, which a test has to register there. */
function countingCodec(name: Exclude<Compression, 'none'>): { batches: number } {
  const number = compressions.indexOf(name) as keyof typeof CompressionCodecs
  const before = CompressionCodecs[number]
  const seen = { batches: 0 }
  const decompress = async (bytes: Buffer) => {
    seen.batches++
    return Buffer.from(codecOf(name).decompress(bytes))
  }
  Object.assign(CompressionCodecs, { [number]: () => ({ decompress }) })
  onTestFinished(() => void Object.assign(CompressionCodecs, { [number]: before }))
  return seen
}

async function readPlainly(topic: string, count: number): Promise<KafkaMessage[]> {
  const consumer = testKafka().consumer({ groupId: `plain-${randomBytes(4).toString('hex')}`, maxWaitTimeInMs: 50 })
  onTestFinished(() => consumer.disconnect())
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: true })
  const read: KafkaMessage[] = []
  return new Promise((resolve, reject) => {
    consumer.on('consumer.crash', ({ payload }) => payload.restart || reject(payload.error))
    const eachMessage = async ({ message }: EachMessagePayload) => {
      if (read.push(message) === count) resolve(read)
    }
    void consumer.run({ eachMessage })
  })
}

describe.each(transportNames)('the transport %s', (transport) => {
  test.each(written)('writes %s that a plain kafkajs reads', async (compression) => {
    const topic = await createTopic(`compressed-${compression}`, 1)
    const publishing = open(transport, { compression })
    const numbers = { ...(await publishing.producerId!(new AbortController().signal)), sequence: 0 }
    const batch = { topic, partition: 0, records, numbers }
    expect(await publishing.publish(batch, 10_000)).toEqual({ kind: 'acked', baseOffset: 0n })
    // The partition takes the same numbers once (rule 21).
    expect(await publishing.publish(batch, 10_000)).toEqual({ kind: 'acked', baseOffset: 0n })
    const seen = countingCodec(compression)
    const read = await readPlainly(topic, records.length)
    expect(read.map(({ value }) => String(value))).toEqual(values)
    expect(read.map(({ headers }) => String(headers!.id))).toEqual(records.map(({ headers }) => headers.id))
    expect(seen.batches).toBe(1)
  })

  test('a topic whose limit the batch would break without compression takes it with gzip', async () => {
    const topic = await createTopic('compressed-small', 1, { config: { 'max.message.bytes': '20000' } })
    const batch = { topic, partition: 0, records }
    expect(await open(transport, {}).publish(batch, 10_000)).toMatchObject({ scope: 'record', code: 'MESSAGE_TOO_LARGE' })
    expect(await open(transport, { compression: 'gzip' }).publish(batch, 10_000)).toMatchObject({ kind: 'acked' })
  })
})

test("Kafka's own console consumer reads all that both transports write", async () => {
  const group = `java-${randomBytes(4).toString('hex')}`
  const topics: string[] = []
  for (const transport of transportNames) {
    for (const compression of written) {
      const topic = `${group}-${transport}-${compression}`
      await createTopicNamed(topic, 1)
      const outcome = await open(transport, { compression }).publish({ topic, partition: 0, records }, 10_000)
      expect(outcome.kind).toBe('acked')
      topics.push(topic)
    }
  }
  const count = String(topics.length * records.length)
  const where = ['--bootstrap-server', inject('brokers'), '--include', `${group}-.*`]
  const what = ['--from-beginning', '--max-messages', count, '--timeout-ms', '30000', '--property', 'print.headers=true']
  const lines = (await kafkaTool('org.apache.kafka.tools.consumer.ConsoleConsumer', [...where, ...what])).trim().split('\n')
  const expected = values.map((value, n) => `id:m${n}\t${value}`)
  expect(lines.toSorted()).toEqual(topics.flatMap(() => expected).toSorted())
}, 60_000)

test.each(codecs)(
  "what Kafka's own console producer writes with %s is read",
  async (compression) => {
    const topic = await createTopic(`java-${compression}`, 1)
    const where = ['--bootstrap-server', inject('brokers'), '--topic', topic, '--compression-codec', compression]
    const headers = ['--property', 'parse.headers=true']
    const oneBatch = ['--max-partition-memory-bytes', '500000', '--timeout', '2000']
    const lines = records.map(({ headers }, n) => `id:${headers.id}\t${values[n]}\n`).join('')
    await kafkaTool('org.apache.kafka.tools.ConsoleProducer', [...where, ...headers, ...oneBatch], lines)
    const { records: read } = await dumpTopics(proofKafka({ brokers: inject('brokers').split(',') }), [topic], 'read_uncommitted')
    expect(read.map(({ id }) => id)).toEqual(records.map(({ headers }) => headers.id))
    const seen = countingCodec(compression)
    expect((await readPlainly(topic, records.length)).map(({ value }) => String(value))).toEqual(values)
    expect(seen.batches).toBe(1)
  },
  60_000,
)
