import { createServer, type Socket } from 'node:net'
import { afterAll, afterEach, beforeAll, describe, expect, inject, it } from 'vitest'
import type { Outcome, Transport } from '../../src/transport/transport.ts'
import { type KafkaServer, kafkaTool, startKafka } from '../support/kafka.ts'
import { createTopic, deleteTopic, growTopic, readTopic } from '../support/topics.ts'
import { record, transportConformance, values } from './conformance.ts'

const never = new AbortController().signal
const timeoutMs = 10_000

/** Opens a transport, to the brokers of the test run unless others are given. */
export type Open = (options?: { brokers?: string[]; connectionTimeoutMs?: number; clientId?: string }) => Transport

/** What every transport keeps with a real Kafka behind it, also when the broker is frozen or killed. */
export function brokerConformance(name: string, create: Open): void {
  const opened: Transport[] = []
  const open: Open = (options) => {
    const transport = create(options)
    opened.push(transport)
    return transport
  }
  afterEach(async () => {
    for (const transport of opened.splice(0)) await transport.close()
  })

  transportConformance(name, {
    open,
    createTopic: (partitions) => createTopic('conformance', partitions),
    deleteTopic,
    growTopic,
    read: (topic) => readTopic(topic),
  })

  it(`${name}: one broker that accepts and is silent costs nobody time, wherever it stands in the list`, async () => {
    const sockets = new Set<Socket>()
    const silent = createServer((socket) => void sockets.add(socket.on('error', () => {})))
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
    const topic = await createTopic('beside-silence', 1)
    const both = [`127.0.0.1:${(silent.address() as { port: number }).port}`, inject('brokers').split(',')[0]!]
    for (const brokers of [both, both.toReversed()]) {
      // Longer than the test may take: waiting for the silent one would be told by its time-out.
      const transport = open({ brokers, connectionTimeoutMs: 300_000 })
      for (let turn = 0; turn < 3; turn++) await transport.connect(never)
      expect((await transport.publish({ topic, partition: 0, records: [record('k', 'v')] }, timeoutMs)).kind).toBe('acked')
      expect(await transport.partitions(topic, never)).toBe(1)
    }
    for (const socket of sockets) socket.destroy()
    silent.close()
  })

  describe(`a quota, with ${name}`, () => {
    const clientId = `throttled-${name}-${process.pid}`
    const quota = (change: string[]) => {
      const where = ['--bootstrap-server', inject('brokers'), '--entity-type', 'clients', '--entity-name', clientId]
      return kafkaTool('kafka.admin.ConfigCommand', [...where, '--alter', ...change])
    }
    beforeAll(() => quota(['--add-config', 'producer_byte_rate=20000']), 60_000)
    afterAll(() => quota(['--delete-config', 'producer_byte_rate']), 60_000)

    it('while the broker asks for silence nothing is sent, and the answer tells how long', async () => {
      const transport = open({ clientId })
      const topic = await createTopic('quota', 1)
      const publish = (value: string) => transport.publish({ topic, partition: 0, records: [record('k', value)] }, 500)
      // Over the quota: the answer comes at once.
      expect((await publish('x'.repeat(300_000))).kind).toBe('acked')
      const throttled = await publish('too soon')
      expect(throttled).toMatchObject({ kind: 'not-written', scope: 'throttled', code: 'THROTTLED' })
      const { waitMs } = throttled as { waitMs: number }
      expect(waitMs).toBeGreaterThan(500)
      await new Promise((resolve) => setTimeout(resolve, waitMs + 5))
      expect((await publish('in time')).kind).toBe('acked')
      expect(values(await readTopic(topic)).slice(1)).toEqual(['in time'])
    }, 60_000)

    it('what is on its way meanwhile is answered later, and that is no time-out; what comes later goes one at a time', async () => {
      const transport = open({ clientId })
      const topic = await createTopic('quota', 6)
      const publish = (partition: number) =>
        transport.publish({ topic, partition, records: [record('k', 'x'.repeat(100_000))] }, 1_000)
      const left = new Set([0, 1, 2, 3, 4, 5])
      const outcomes: Outcome[] = []
      while (left.size > 0) {
        const answers = await Promise.all([...left].map(async (partition) => ({ partition, outcome: await publish(partition) })))
        for (const { partition, outcome } of answers) {
          outcomes.push(outcome)
          if (outcome.kind === 'acked') left.delete(partition)
        }
        const waits = answers.map(({ outcome }) => ('waitMs' in outcome ? outcome.waitMs : 0))
        await new Promise((resolve) => setTimeout(resolve, Math.max(...waits) + 5))
      }
      expect(outcomes.filter(({ kind }) => kind === 'unknown')).toEqual([])
      expect(await readTopic(topic)).toHaveLength(6)
    }, 120_000)
  })

  describe(`what is refused, with ${name}`, () => {
    const large = 'x'.repeat(1_200_000)

    it.each([
      ['alone', [record('k', large)]],
      ['among others', [record('a', '1'), record('k', large), record('b', '2')]],
    ])('a record that is too large, %s: nothing of the batch is written', async (_, records) => {
      const topic = await createTopic('large', 1)
      const outcome = await open().publish({ topic, partition: 0, records }, timeoutMs)
      expect(outcome).toMatchObject({ kind: 'not-written', scope: 'record', code: 'MESSAGE_TOO_LARGE' })
      expect(await readTopic(topic)).toEqual([])
    })

    it('a record without a key on a compacted topic, and the batch with it', async () => {
      const topic = await createTopic('compacted', 1, { config: { 'cleanup.policy': 'compact' } })
      const outcome = await open().publish({ topic, partition: 0, records: [record('k', '1'), record(null, '2')] }, timeoutMs)
      expect(outcome).toMatchObject({ kind: 'not-written', scope: 'record', code: 'INVALID_RECORD' })
      expect(await readTopic(topic)).toEqual([])
    })

    it('a header that is not a string, before the client sees it, with its place and without its value', async () => {
      const topic = await createTopic('headers', 1)
      const odd = { ...record('k', 'v'), headers: { secret: 4711 } as unknown as Record<string, string> }
      const outcome = await open().publish({ topic, partition: 0, records: [record('k', 'v'), odd] }, timeoutMs)
      expect(outcome).toMatchObject({ kind: 'not-written', scope: 'record', refused: [1] })
      expect(JSON.stringify(outcome)).not.toContain('4711')
    })

    it('an illegal topic: the topic is blamed', async () => {
      for (const topic of ['no spaces', 'x'.repeat(300), '']) {
        await expect(open().partitions(topic, never)).rejects.toMatchObject({ scope: 'topic', code: 'INVALID_TOPIC_EXCEPTION' })
      }
      const all = await open().allPartitions(['no spaces', 'missing', 'x'.repeat(300)], never)
      const codes = [...all.values()].map((found) => (found as { code?: string }).code)
      expect(codes).toEqual(['INVALID_TOPIC_EXCEPTION', 'UNKNOWN_TOPIC_OR_PARTITION', 'INVALID_TOPIC_EXCEPTION'])
      const outcome = await open().publish({ topic: 'no spaces', partition: 0, records: [record('k', 'v')] }, timeoutMs)
      expect(outcome).toMatchObject({ kind: 'not-written', scope: 'topic', code: 'INVALID_TOPIC_EXCEPTION' })
    })

    it.each([[[]], [['localhost']], [['localhost:9092', 'kafka:port']]])('addresses that are none: %j', (brokers) => {
      expect(() => open({ brokers })).toThrow(expect.objectContaining({ code: 'OUTBOX_INVALID_OPTION', field: 'brokers' }))
    })
  })

  describe(`a broker that fails, with ${name}`, () => {
    let kafka: KafkaServer
    beforeAll(async () => {
      // A killed broker may come back only when the controller has forgotten it.
      kafka = await startKafka({ 'broker.session.timeout.ms': 3_000, 'broker.heartbeat.interval.ms': 500 })
    })
    afterAll(() => kafka.remove())

    const setUp = async (partitions = 1) => {
      const transport = open({ brokers: [kafka.brokers], connectionTimeoutMs: 1_000 })
      const topic = await createTopic('failing', partitions, { brokers: kafka.brokers })
      const publish = (value: string, within = timeoutMs, partition = 0) =>
        transport.publish({ topic, partition, records: [record('k', value)] }, within)
      return { transport, topic, publish, log: async () => values(await readTopic(topic, kafka.brokers)) }
    }

    /** Stops the broker's process; returns when it really answers nothing any more. */
    async function freeze(): Promise<void> {
      kafka.signal('SIGSTOP')
      const probe = open({ brokers: [kafka.brokers] })
      const answers = () =>
        probe.connect(AbortSignal.timeout(100)).then(
          () => true,
          () => false,
        )
      while (await answers());
    }

    /** Resolves when a request has left, which the stopped broker cannot read: in one turn it is made, in the next it is sent. */
    async function left(): Promise<void> {
      for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve))
    }

    it('killed with a request in flight: unknown; then nothing is sent; after the restart the same transport goes on', async () => {
      const { transport, publish, log, topic } = await setUp()
      expect((await publish('before')).kind).toBe('acked')
      await freeze()
      const inFlight = publish('in flight', 30_000)
      await left()
      await kafka.stop('SIGKILL')
      expect((await inFlight).kind).toBe('unknown')

      expect(await publish('nobody there')).toMatchObject({ kind: 'not-written', scope: 'producer', code: 'ECONNREFUSED' })
      await expect(transport.connect(never)).rejects.toMatchObject({ scope: 'producer', code: 'ECONNREFUSED' })
      await expect(transport.partitions(topic, never)).rejects.toMatchObject({ scope: 'producer' })
      await expect(transport.allPartitions([topic], never)).rejects.toMatchObject({ scope: 'producer' })

      await kafka.start()
      await transport.connect(never)
      expect(await transport.partitions(topic, never)).toBe(1)
      expect((await transport.allPartitions([topic], never)).get(topic)).toBe(1)
      expect((await publish('after')).kind).toBe('acked')
      expect(await log()).toEqual(['before', 'after'])
    })

    it('frozen: every answer comes within its time, unknown for what was sent, and connect says so', async () => {
      const { transport, publish } = await setUp(2)
      expect((await publish('warm')).kind).toBe('acked')
      await freeze()
      try {
        const began = performance.now()
        const outcomes = await Promise.all([publish('a', 500, 0), publish('b', 500, 1)])
        expect(performance.now() - began).toBeLessThan(2_000)
        expect(outcomes).toEqual([expect.objectContaining({ kind: 'unknown' }), expect.objectContaining({ kind: 'unknown' })])
        await expect(transport.connect(never)).rejects.toMatchObject({ scope: 'producer', code: 'TIMEOUT' })
        await expect(transport.connect(AbortSignal.timeout(50))).rejects.toMatchObject({ name: 'TimeoutError' })
      } finally {
        kafka.signal('SIGCONT')
      }
      await transport.connect(never)
      expect((await publish('again')).kind).toBe('acked')
    })

    it('frozen before the client knows the topic: when it goes on, a send whose time is over is not sent any more', async () => {
      const { transport, publish, log, topic } = await setUp()
      const other = await createTopic('other', 2, { brokers: kafka.brokers })
      const warm = (within: number, partition: number): Promise<Outcome> =>
        transport.publish({ topic: other, partition, records: [record('k', 'v')] }, within)
      expect((await warm(timeoutMs, 0)).kind).toBe('acked')

      await freeze()
      // On the wire, and patient: it keeps the connection open for the send after it, which waits for metadata of its topic.
      const patient = warm(30_000, 1)
      const late = await publish('too late', 500)
      kafka.signal('SIGCONT')

      expect(late).toMatchObject({ kind: 'not-written', code: 'TIMEOUT' })
      expect((await patient).kind).toBe('acked')
      expect((await publish('in time')).kind).toBe('acked')
      expect(await transport.partitions(topic, never)).toBe(1)
      expect(await log()).toEqual(['in time'])
    })

    it('frozen, and the transport closed: who waits is told at once', async () => {
      const { transport, publish } = await setUp()
      expect((await publish('warm')).kind).toBe('acked')
      await freeze()
      const inFlight = publish('v', 30_000)
      await left()
      await transport.close()
      const outcome = await inFlight
      kafka.signal('SIGCONT')
      expect(outcome).toMatchObject({ kind: 'unknown', code: 'CLOSED' })
    })
  })
}
