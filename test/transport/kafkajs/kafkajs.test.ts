import { connect, createServer, type Server, type Socket } from 'node:net'
import type { Kafka } from 'kafkajs'
import { afterAll, afterEach, beforeAll, describe, expect, inject, it, onTestFinished, vi } from 'vitest'
import { clusterMaker } from '../../../src/transport/kafkajs/cluster.ts'
import { type KafkajsTransportOptions, kafkajsTransport } from '../../../src/transport/kafkajs/kafkajs.ts'
import type { Transport } from '../../../src/transport/transport.ts'
import { metadataMaxAgeMs } from '../../../src/transport/transport.ts'
import { createTopic, deleteTopic, readTopic } from '../../support/topics.ts'
import { brokerConformance } from '../broker-conformance.ts'
import { record } from '../conformance.ts'
import { expectProcessToEnd } from '../process-end.ts'

const timeoutMs = 10_000
const opened: Transport[] = []

function open(options: Partial<KafkajsTransportOptions> = {}): Transport {
  const transport = kafkajsTransport({ brokers: inject('brokers').split(','), clientId: 'transport-test', ...options })
  opened.push(transport)
  return transport
}

afterEach(async () => {
  for (const transport of opened.splice(0)) await transport.close()
})

brokerConformance('kafkajs', open)

it('is not made from a kafkajs that is built in another way', () => {
  expect(() => clusterMaker({} as Kafka)).toThrow(
    expect.objectContaining({ code: 'OUTBOX_TRANSPORT_PACKAGE', field: 'transport' }),
  )
})

describe('a deleted topic', () => {
  it('costs a healthy topic of the same producer one attempt when the metadata is read again', async () => {
    const transport = open()
    const [healthy, deleted] = [await createTopic('healthy', 1), await createTopic('deleted', 1)]
    const publish = (topic: string) => transport.publish({ topic, partition: 0, records: [record('k', 'v')] }, timeoutMs)
    expect([(await publish(healthy)).kind, (await publish(deleted)).kind]).toEqual(['acked', 'acked'])

    await deleteTopic(deleted)
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + metadataMaxAgeMs })
    onTestFinished(() => void vi.useRealTimers())
    expect(await publish(healthy)).toMatchObject({ kind: 'not-written', scope: 'transient', code: 'UNKNOWN_TOPIC_OR_PARTITION' })
    expect((await publish(healthy)).kind).toBe('acked')
    expect(await readTopic(healthy)).toHaveLength(2)
  })
})

describe('connections', () => {
  let proxy: Server
  let connections: number
  const sockets = new Set<Socket>()

  beforeAll(async () => {
    const [host, port] = inject('brokers').split(',')[0]!.split(':')
    proxy = createServer((socket) => {
      connections++
      const target = connect(Number(port), host)
      for (const one of [socket, target]) sockets.add(one.on('error', () => {}))
      socket.pipe(target).pipe(socket)
    })
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve))
  })
  afterAll(() => {
    for (const socket of sockets) socket.destroy()
    proxy.close()
  })

  it('who publishes at once after a disposal shares one connect', async () => {
    connections = 0
    const transport = open({ brokers: [`127.0.0.1:${(proxy.address() as { port: number }).port}`] })
    const topic = await createTopic('shared', 6)
    const publish = (partition: number) => transport.publish({ topic, partition, records: [record('k', 'v')] }, timeoutMs)
    const all = async () => (await Promise.all([0, 1, 2, 3, 4, 5].map(publish))).map(({ kind }) => kind)
    expect(new Set(await all())).toEqual(new Set(['acked']))
    expect(connections).toBe(1)

    // A partition that does not exist makes the producer doubtful: it is thrown away.
    expect((await publish(6)).kind).toBe('not-written')
    expect(new Set(await all())).toEqual(new Set(['acked']))
    // Of the producer before, of the one after, and none for anybody else.
    expect(connections).toBe(2)
  })

  it('a process that closes the transport ends, and kafkajs has printed nothing', () =>
    expectProcessToEnd('kafkajsTransport', 'kafkajs/kafkajs.ts', 20_000))
})
