import { randomUUID } from 'node:crypto'
import { connect, Socket } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import { judgeKafka } from '../../src/doctor/kafka.ts'
import { examineCluster } from '../../src/doctor/questions/examine-cluster.ts'
import { createRelay, openTransport, type TransportName } from '../../src/embed.ts'
import { bootstrapServers } from '../../src/ops/trouble.ts'
import { advertisedIn, tellAdvertised } from '../../src/transport/advertised.ts'
import { checkBrokers } from '../../src/transport/brokers.ts'
import { findRecord } from '../../src/transport/kafkajs/find-record.ts'
import { cli } from '../support/cli.ts'
import { createDatabase } from '../support/database.ts'
import { emptied } from '../support/eventually.ts'
import { type KafkaServer, startKafka } from '../support/kafka.ts'
import { freePort } from '../support/ports.ts'
import { insertRows } from '../support/rows.ts'
import { createTopicNamed } from '../support/topics.ts'

// One broker with a listener for each way to be reached, or not: what clients are told of the last two leads nowhere.

const topic = `addresses-${randomUUID()}`
const lost = 'kafka-internal.invalid:9092'
let broker: KafkaServer
let ports: Record<'plain' | 'six' | 'lost' | 'refused' | 'controller' | 'closed', number>
beforeAll(async () => {
  const [plain, six, lostPort, refused, controller, closed] = await Promise.all(Array.from({ length: 6 }, () => freePort()))
  ports = { plain: plain!, six: six!, lost: lostPort!, refused: refused!, controller: controller!, closed: closed! }
  broker = await startKafka(
    {
      listeners: `PLAINTEXT://127.0.0.1:${plain},SIX://[::1]:${six},LOST://127.0.0.1:${lostPort},REFUSED://127.0.0.1:${refused},CONTROLLER://127.0.0.1:${controller}`,
      'advertised.listeners': `PLAINTEXT://127.0.0.1:${plain},SIX://[::1]:${six},LOST://${lost},REFUSED://127.0.0.1:${closed}`,
      'controller.quorum.bootstrap.servers': `127.0.0.1:${controller}`,
      'listener.security.protocol.map': ['CONTROLLER', 'PLAINTEXT', 'SIX', 'LOST', 'REFUSED']
        .map((name) => `${name}:PLAINTEXT`)
        .join(),
    },
    { port: plain! },
  )
  await createTopicNamed(topic, 1, { brokers: broker.brokers })
})
afterAll(() => broker?.remove())

const brokersOf = {
  refused: () => [`127.0.0.1:${ports.refused}`],
  lost: () => [`127.0.0.1:${ports.lost}`],
  six: () => [`[::1]:${ports.six}`],
}
const toldOf = { refused: () => `127.0.0.1:${ports.closed}`, lost: () => lost }

const batch = () => ({
  topic,
  partition: 0,
  records: [{ key: Buffer.from('k'), value: Buffer.from('v'), headers: { id: randomUUID() } }],
})

describe.each<TransportName>(['kafkajs', 'platformatic'])('%s', (name) => {
  const open = (brokers: string[]) => {
    const transport = openTransport(name, { brokers })
    onTestFinished(() => transport.close())
    return transport
  }

  test.each(['refused', 'lost'] as const)('says that a broker answered, and which advertised address is %s', async (way) => {
    const outcome = await open(brokersOf[way]()).publish(batch(), 8_000)
    expect(outcome).toMatchObject({ kind: 'not-written', scope: 'producer' })
    expect(advertisedIn((outcome as { error: string }).error)).toBe(toldOf[way]())
  })

  test('says nothing of advertised addresses where no broker answers', async () => {
    const none = open([`127.0.0.1:${await freePort()}`])
    const outcome = await none.publish(batch(), 8_000)
    expect(outcome).toMatchObject({ kind: 'not-written', code: 'ECONNREFUSED' })
    expect(advertisedIn((outcome as { error: string }).error)).toBeUndefined()
    await expect(none.connect(new AbortController().signal)).rejects.toSatisfy(
      ({ message }: Error) => advertisedIn(message) === undefined,
    )
  })

  test('publishes through a broker with an IPv6 address', async () => {
    const transport = open(brokersOf.six())
    await transport.connect(new AbortController().signal)
    expect(await transport.partitions(topic, new AbortController().signal)).toBe(1)
    expect(await transport.publish(batch(), 8_000)).toMatchObject({ kind: 'acked' })
  })
})

test('the event kafka_trouble of a relay names the address, and the relay goes on trying', async () => {
  await using database = await createDatabase()
  await insertRows(database.pool, [{ topic, key: 'k' }])
  await using relay = createRelay({
    databaseUrl: database.url,
    kafka: { brokers: brokersOf.refused() },
    leaseMs: 3_000,
    stopTimeoutMs: 0,
  })
  const trouble = new Promise<{ code: string; error: string }>((resolve) => relay.on('kafka_trouble', resolve))
  await relay.start()
  const { code, error } = await trouble
  expect([code, advertisedIn(error)]).toEqual(['ECONNREFUSED', toldOf.refused()])
})

describe('doctor', () => {
  const judged = async (brokers: string[]) => {
    const [first] = judgeKafka(await examineCluster({ brokers }, [topic]), null, 'servers')
    return first!
  }

  test.each(['refused', 'lost'] as const)(
    'tells an advertised address that is %s from brokers that do not answer',
    async (way) => {
      const verdict = await judged(brokersOf[way]())
      expect(verdict).toMatchObject({ check: 'kafka', level: 'failure' })
      expect(verdict.finding).toContain(
        `A broker answered, but the address that it advertises, ${toldOf[way]()}, cannot be reached`,
      )
      expect(verdict.fix).toContain('advertised.listeners')
    },
  )

  test('says that no broker answers where none does', async () => {
    const verdict = await judged([`127.0.0.1:${await freePort()}`])
    expect(verdict.finding).toMatch(/^No broker answers \(ECONNREFUSED/)
  })

  test('asks a broker with an IPv6 address; where reads from it', async () => {
    expect(await judged(brokersOf.six())).toMatchObject({ level: 'ok' })
    const id = randomUUID()
    const transport = openTransport('kafkajs', { brokers: brokersOf.six() })
    onTestFinished(() => transport.close())
    await transport.publish({ ...batch(), records: [{ key: null, value: Buffer.from('v'), headers: { id } }] }, 8_000)
    const found = await findRecord({ brokers: brokersOf.six() }, { topic, messageIds: [id], sinceMs: 0, timeoutMs: 20_000 })
    expect(found).toMatchObject({ record: { partition: 0 } })
  })
})

test('a relay delivers through a broker with an IPv6 address', async () => {
  await using database = await createDatabase()
  await insertRows(database.pool, [{ topic, key: 'k' }])
  await using relay = createRelay({ databaseUrl: database.url, kafka: { brokers: brokersOf.six() }, leaseMs: 3_000 })
  await relay.start()
  await emptied(database.pool)
})

test('the commands relay, where and doctor reach a broker with an IPv6 address', async () => {
  await using database = await createDatabase()
  const messageId = randomUUID()
  await insertRows(database.pool, [{ topic, key: 'k', messageId }])
  const env = { DATABASE_URL: database.url, KAFKA_BROKERS: brokersOf.six()[0]! }
  expect(await cli(['relay', '--drain'], env)).toMatchObject({ code: 0 })
  const where = await cli(['where', messageId, '--topic', topic, '--json'], env)
  expect(JSON.parse(where.stdout)).toMatchObject({ state: 'published', topic, partition: 0 })
  const doctor = await cli(['doctor', '--json'], env)
  const verdicts = JSON.parse(doctor.stdout) as { check: string; level: string }[]
  expect(verdicts.find(({ check }) => check === 'kafka')).toMatchObject({ level: 'ok' })
}, 60_000)

test.each([
  ['host:port', 'kafka-1:9092', true],
  ['an IPv4 address', '10.0.0.1:9092', true],
  ['an IPv6 address in brackets', '[::1]:9092', true],
  ['a long one', '[2001:db8::1:2]:9092', true],
  ['an IPv6 address without brackets', '::1:9092', false],
  ['no address in brackets', '[kafka]:9092', false],
  ['no port', '[::1]', false],
  ['half of the brackets', '[::1:9092', false],
])('of brokers %s is taken or refused', (_, broker, fine) => {
  const check = () => checkBrokers([broker])
  if (fine) expect(check).not.toThrow()
  else expect(check).toThrow(expect.objectContaining({ code: 'OUTBOX_INVALID_OPTION', field: 'brokers' }))
})

test('commands that help name IPv6 brokers in quotes, for the shell', () => {
  expect(bootstrapServers(['[::1]:9092', 'kafka:9092'])).toBe('"[::1]:9092,kafka:9092"')
  expect(bootstrapServers(['[::1]";rm:9092'])).toBe('"$KAFKA_BROKERS"')
})

describe('a connection to an advertised address', () => {
  test('that is never made ends before the client gives up, with the address', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    try {
      const socket = new Socket()
      const failed = new Promise<NodeJS.ErrnoException>((resolve) => socket.once('error', resolve))
      tellAdvertised(socket, '10.0.0.5:9092', 5_000)
      vi.advanceTimersByTime(4_000)
      expect(await failed).toMatchObject({ code: 'ETIMEDOUT', message: expect.stringContaining('10.0.0.5:9092') })
    } finally {
      vi.useRealTimers()
    }
  })

  test('that is thrown away by its client keeps the words of the client; so does one that was made', async () => {
    const thrown = new Socket()
    const failed = new Promise<Error>((resolve) => thrown.once('error', resolve))
    tellAdvertised(thrown, 'a:1', 5_000)
    thrown.destroy(new Error('thrown away'))
    expect((await failed).message).toBe('thrown away')
    const made = connect({ host: '127.0.0.1', port: ports.plain })
    tellAdvertised(made, 'a:1', 100)
    await new Promise((resolve) => made.once('connect', resolve))
    await pause(120)
    expect(made.destroyed).toBe(false)
    const broken = new Promise<Error>((resolve) => made.once('error', resolve))
    made.destroy(Object.assign(new Error('reset'), { code: 'ECONNRESET' }))
    expect((await broken).message).toBe('reset')
  })
})
