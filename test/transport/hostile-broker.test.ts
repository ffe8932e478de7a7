import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Kafka, logLevel } from 'kafkajs'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { examineCluster } from '../../src/doctor/questions/examine-cluster.ts'
import { dumpTopics, proofKafka } from '../../src/proof/dump.ts'
import { isOfKafkaClient } from '../../src/transport/guarded-socket.ts'
import { creatingTopics } from '../../src/transport/kafkajs/create-topics.ts'
import { findRecord } from '../../src/transport/kafkajs/find-record.ts'
import { guardConsumer, guardedKafka } from '../../src/transport/kafkajs/guarded-kafka.ts'
import { kafkajsTransport } from '../../src/transport/kafkajs/kafkajs.ts'
import { TopicIds } from '../../src/transport/kafkajs/topic-id.ts'
import { platformaticTransport } from '../../src/transport/platformatic/platformatic.ts'
import type { ApiName } from '../support/fake-answers.ts'
import { FakeKafka } from '../support/fake-broker.ts'
import { record } from './conformance.ts'

/** A size as it stands in front of an answer. */
const int32 = (value: number) => {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(value)
  return bytes
}

/** An answer whose size is right. */
const answer = (correlation: Buffer, ...body: Buffer[]) =>
  Buffer.concat([int32(4 + Buffer.concat(body).length), correlation, ...body])

/** Writes as fast as the client reads, until it hangs up: at most a gigabyte. */
async function stream(socket: Socket): Promise<void> {
  const part = Buffer.alloc(1 << 20)
  for (let n = 0; n < 1_024 && !socket.destroyed; n++) {
    if (!socket.write(part)) await Promise.race([once(socket, 'drain'), once(socket, 'close')]).catch(() => {})
  }
}

const attacks: Record<string, (socket: Socket, correlation: Buffer) => void> = {
  'announces 2 GiB and streams': (socket, correlation) => {
    socket.write(Buffer.concat([int32(2 ** 31 - 1), correlation]))
    void stream(socket)
  },
  'announces 2 GiB byte by byte': async (socket) => {
    for (const byte of int32(2 ** 31 - 1)) {
      if (!socket.destroyed) socket.write(Buffer.from([byte]))
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    await stream(socket)
  },
  'announces a negative size': (socket, correlation) => void socket.write(Buffer.concat([int32(-5), correlation])),
  'answers with nothing': (socket) => void socket.write(int32(0)),
  'has an array of 2^31 - 1 entries': (socket, correlation) =>
    void socket.write(answer(correlation, int32(0), int32(2 ** 31 - 1), Buffer.alloc(64))),
  'has a compact array of 2^31 entries': (socket, correlation) =>
    void socket.write(
      answer(correlation, Buffer.from([0]), int32(0), Buffer.from([0x80, 0x80, 0x80, 0x80, 0x08]), Buffer.alloc(64)),
    ),
  'has an array of 0xff': (socket, correlation) => void socket.write(answer(correlation, Buffer.alloc(1_000, 0xff))),
  'has an array of zeros': (socket, correlation) => void socket.write(answer(correlation, Buffer.alloc(1_000))),
  'speaks HTTP': (socket) => void socket.write('HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n'),
  'answers a request that nobody made': (socket) => void socket.write(answer(int32(77_777), Buffer.alloc(20))),
}

/** A broker to be attacked by, and what was thrown at the process in a test; hooks make and clear both. */
function useBroker() {
  let kafka: FakeKafka
  const stray: unknown[] = []
  const keep = (error: unknown) => void stray.push(error)
  // Vitest has listeners of its own: they would fail the run and say nothing of the attack.
  let others: NodeJS.UncaughtExceptionListener[]
  let rejections: NodeJS.UnhandledRejectionListener[]
  beforeEach(async () => {
    kafka = await FakeKafka.start(1)
    kafka.createTopic('orders', [1])
    others = process.listeners('uncaughtException')
    rejections = process.listeners('unhandledRejection')
    process.removeAllListeners('uncaughtException').on('uncaughtException', keep)
    process.removeAllListeners('unhandledRejection').on('unhandledRejection', keep)
    stray.length = 0
  })
  afterEach(async () => {
    process.removeAllListeners('uncaughtException').removeAllListeners('unhandledRejection')
    for (const one of others) process.on('uncaughtException', one)
    for (const one of rejections) process.on('unhandledRejection', one)
    await kafka.stop()
  })
  return { broker: () => kafka, stray }
}

describe.each([
  ['kafkajs', kafkajsTransport],
  ['platformatic', platformaticTransport],
])('through %s, a broker whose answer', (_, open) => {
  const { broker, stray } = useBroker()

  const apis: ApiName[] = ['ApiVersions', 'Metadata', 'Produce']
  const cases = apis.flatMap((api) => Object.entries(attacks).map(([what, write]) => [what, api, write] as const))
  test.each(cases)('%s (%s) costs no memory, throws nothing at the process, and is got over', async (_, api, write) => {
    const kafka = broker()
    const transport = open({ brokers: kafka.brokers, connectionTimeoutMs: 1_000 })
    const signal = new AbortController().signal
    const batch = { topic: 'orders', partition: 0, records: [record('k', 'v')] }
    const before = process.memoryUsage().rss
    if (api === 'Produce') await transport.partitions('orders', signal)
    kafka.forge(api, write)
    const failed = await Promise.all([
      api === 'Produce' || transport.connect(signal).catch((error: Error) => error),
      api === 'Produce' || transport.partitions('orders', signal).catch((error: Error) => error),
      transport.publish(batch, 1_500),
    ])
    expect(process.memoryUsage().rss - before).toBeLessThan(200_000_000)
    expect(failed[2]).not.toMatchObject({ kind: 'acked' })
    kafka.behave()
    let outcome = await transport.publish(batch, 5_000)
    for (let n = 0; n < 3 && outcome.kind !== 'acked'; n++) outcome = await transport.publish(batch, 5_000)
    expect(outcome).toMatchObject({ kind: 'acked' })
    await transport.close()
    expect(stray).toEqual([])
  })
})

/** What else of this package, or of its users, talks to brokers: each rejects, or tells what it could not learn. */
const others: Record<string, (brokers: string[]) => Promise<unknown>> = {
  doctor: async (brokers) => (await examineCluster({ brokers }, ['orders'])).trouble ?? 'well',
  where: (brokers) => findRecord({ brokers }, { topic: 'orders', messageIds: [randomUUID()], sinceMs: 0, timeoutMs: 1_000 }),
  prove: (brokers) =>
    dumpTopics(proofKafka({ brokers, retry: { retries: 2, initialRetryTime: 50 } }), ['orders'], 'read_committed'),
  async '--create-topics'(brokers) {
    const transport = creatingTopics(kafkajsTransport({ brokers }), { brokers }, 1)
    expect(transport.producerId).toBeDefined()
    await transport.partitions('absent', new AbortController().signal).finally(() => transport.close())
  },
  async 'the consumer of an inbox'(brokers) {
    const consumer = applicationKafka(brokers).consumer({ groupId: 'mail' })
    expect(await guardConsumer(consumer)).toBe(true)
    await consumer
      .connect()
      .then(() => consumer.subscribe({ topics: ['orders'] }))
      .finally(() => consumer.disconnect())
  },
  async 'the clients of a projection'(brokers) {
    const kafka = guardedKafka(applicationKafka(brokers))
    const [admin, ids] = [kafka.admin(), new TopicIds(kafka)]
    try {
      await ids.of('orders')
      await admin.connect()
      await admin.fetchTopicMetadata({ topics: ['orders'] })
    } finally {
      await Promise.all([admin.disconnect(), ids.close()])
    }
  },
}

const applicationKafka = (brokers: string[]) =>
  new Kafka({ brokers, logLevel: logLevel.NOTHING, retry: { retries: 2, initialRetryTime: 50 } })

/** The others wait for an answer: that is a matter of time, not of memory. */
const bounded = [
  'announces 2 GiB and streams',
  'announces 2 GiB byte by byte',
  'announces a negative size',
  'has a compact array of 2^31 entries',
  'speaks HTTP',
]

describe.each(Object.entries(others))('for %s, a broker whose answer', (_, ask) => {
  const { broker, stray } = useBroker()
  const cases = (['ApiVersions', 'Metadata'] as const).flatMap((api) => bounded.map((what) => [what, api] as const))
  test.each(cases)('%s (%s) costs no memory, and throws nothing at the process', async (what, api) => {
    const kafka = broker()
    const before = process.memoryUsage().rss
    kafka.forge(api, attacks[what]!)
    const answer = await ask(kafka.brokers).catch((error: Error) => error)
    expect(answer).toMatchObject(answer instanceof Error ? { name: expect.any(String) } : { code: expect.any(String) })
    expect(kafka.requests).toContain(api)
    expect(process.memoryUsage().rss - before).toBeLessThan(200_000_000)
    expect(stray).toEqual([])
  })
})

describe('an error that nobody handles', () => {
  const root = fileURLToPath(new URL('../..', import.meta.url))

  /** What kafkajs throws when it reads behind the end, in a turn of its own. */
  const ofClient = `import { createRequire } from 'node:module'
const Decoder = createRequire(${JSON.stringify(join(root, 'package.json'))})('kafkajs/src/protocol/decoder')
setTimeout(() => new Decoder(Buffer.alloc(0)).readInt32(), 1500)`

  /** Exit code of a relay that waits for a Kafka which is not there, and in which that happens; 143 after SIGTERM would be a kill. */
  async function ended(program: string): Promise<{ code: number | null; log: string }> {
    const child = spawn(
      process.execPath,
      ['--import', `data:text/javascript,${encodeURIComponent(program)}`, join(root, 'dist/cli/main.js'), 'relay'],
      {
        env: { PATH: process.env.PATH ?? '', DATABASE_URL: 'postgresql://u:p@127.0.0.1:1/d', KAFKA_BROKERS: '127.0.0.1:1' },
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    )
    let log = ''
    child.stdout.on('data', (data) => {
      log += data
      if (log.includes('kafka_client_error')) child.kill('SIGTERM')
    })
    const [code] = await once(child, 'close')
    return { code, log }
  }

  test('of a Kafka client is told, and the relay goes on until it is stopped', async () => {
    const { code, log } = await ended(ofClient)
    expect(log).toContain('"event":"stopping"')
    expect(log).not.toContain('crashed')
    expect(code).toBe(0)
  })

  test.each([
    ["setTimeout(() => { throw new Error('own') }, 1500)"],
    ["setTimeout(() => void Promise.reject(new TypeError('own')), 1500)"],
  ])('of anything else ends the relay: %s', async (program) => {
    const { code, log } = await ended(program)
    expect(code).toBe(1)
    expect(log).toContain('"event":"crashed"')
  })

  test('is of a client by the file that threw it, not by what it says', () => {
    const error = (stack: string) => Object.assign(new Error('x'), { stack })
    expect(
      isOfKafkaClient(
        error(
          'RangeError: x\n    at Buffer.readInt32BE (node:internal/buffer:1:1)\n    at a (/app/node_modules/@platformatic/kafka/dist/a.js:1:1)',
        ),
      ),
    ).toBe(true)
    expect(
      isOfKafkaClient(
        error('Error: /node_modules/kafkajs/\n    at b (/app/src/b.js:1:1)\n    at a (/app/node_modules/kafkajs/src/a.js:1:1)'),
      ),
    ).toBe(false)
    expect(isOfKafkaClient('text')).toBe(false)
    expect(isOfKafkaClient(undefined)).toBe(false)
  })
})
