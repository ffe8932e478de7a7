import { afterEach, describe, expect, inject, it, test } from 'vitest'
import { createRelay, type TransportName } from '../../../src/embed.ts'
import { memoryTransport } from '../../../src/transport/memory.ts'
import { checkPackage, unsuitable } from '../../../src/transport/platformatic/package.ts'
import { platformaticTransport } from '../../../src/transport/platformatic/platformatic.ts'
import { FakeKafka } from '../../support/fake-broker.ts'
import { brokerConformance } from '../broker-conformance.ts'
import { record } from '../conformance.ts'
import { expectProcessToEnd } from '../process-end.ts'

brokerConformance('platformatic', (options = {}) =>
  platformaticTransport({ brokers: inject('brokers').split(','), clientId: 'transport-test', ...options }),
)

describe('the package behind it', () => {
  test.each([
    ['1.35.0', '20.20.2', undefined],
    ['1.35.0', '24.6.0', undefined],
    ['1.34.0', '20.20.2', 'Neither 1.35 nor 2.12.1 or newer.'],
    ['2.12.0', '22.23.3', 'Neither 1.35 nor 2.12.1 or newer.'],
    ['2.12.1', '20.20.2', 'It needs Node 22 or newer.'],
    ['2.12.1', '22.23.3', undefined],
    ['2.13.0', '24.6.0', undefined],
    ['3.0.0', '24.6.0', 'Neither 1.35 nor 2.12.1 or newer.'],
  ])('%s on Node %s: %s', (version, node, reason) => {
    expect(unsuitable(version, node)).toBe(reason)
  })

  it('where it is missing, the error says what to install', () => {
    const missing = () => {
      throw new Error('Cannot find module')
    }
    const remedy = expect.stringMatching(/npm install @platformatic\/kafka@/)
    expect(() => checkPackage(missing)).toThrow(expect.objectContaining({ code: 'OUTBOX_TRANSPORT_PACKAGE', remedy }))
  })

  it('the one that is installed here suits', () => {
    expect(() => checkPackage()).not.toThrow()
  })
})

describe('what it refuses on its own', () => {
  it('a login that only kafkajs knows', () => {
    const sasl = { mechanism: 'aws' } as never
    expect(() => platformaticTransport({ brokers: ['localhost:9092'], sasl })).toThrow(
      expect.objectContaining({ code: 'OUTBOX_INVALID_OPTION', field: 'sasl' }),
    )
  })

  it('createRelay refuses a transport that there is not', () => {
    const options = { databaseUrl: 'postgresql://localhost/db', kafka: { brokers: ['localhost:9092'] } }
    expect(() => createRelay({ ...options, transport: 'pigeon' as TransportName })).toThrow(
      expect.objectContaining({ code: 'OUTBOX_INVALID_OPTION', field: 'transport' }),
    )
  })

  it('createRelay asks for kafka, unless the transport is an object', () => {
    const databaseUrl = 'postgresql://localhost/db'
    for (const transport of [undefined, 'kafkajs', 'platformatic'] as const) {
      expect(() => createRelay({ databaseUrl, transport })).toThrow(
        expect.objectContaining({ code: 'OUTBOX_INVALID_OPTION', field: 'kafka' }),
      )
    }
    expect(() => createRelay({ databaseUrl, transport: memoryTransport() })).not.toThrow()
  })

  it('a value that is undefined, which the client would write as a tombstone', async () => {
    const transport = platformaticTransport({ brokers: ['127.0.0.1:1'] })
    const records = [record('k', 'v'), { key: null, value: undefined as unknown as null, headers: {} }]
    const outcome = await transport.publish({ topic: 'orders', partition: 0, records }, 1_000)
    expect(outcome).toMatchObject({ kind: 'not-written', scope: 'record', refused: [1] })
    await transport.close()
  })
})

describe('what scripted brokers say about single records', () => {
  let kafka: FakeKafka
  afterEach(() => kafka.stop())

  it('which records of a batch are refused', async () => {
    kafka = await FakeKafka.start(1)
    const transport = platformaticTransport({ brokers: kafka.brokers })
    const [place] = kafka.createTopic('orders', [1])
    place!.next({ error: 87, recordErrors: [1, 2] })
    await transport.connect(new AbortController().signal)
    const records = ['a', 'b', 'c'].map((value) => record('k', value))
    const outcome = await transport.publish({ topic: 'orders', partition: 0, records }, 5_000)
    expect(outcome).toMatchObject({ kind: 'not-written', scope: 'record', code: 'INVALID_RECORD', refused: [1, 2] })
    await transport.close()
  })

  it('a batch that has just reached its deadline is not sent any more when its leader takes the connection at last', async () => {
    kafka = await FakeKafka.start(2)
    const transport = platformaticTransport({ brokers: [kafka.brokers[0]!], connectionTimeoutMs: 60_000 })
    const [far] = kafka.createTopic('far', [2])
    kafka.createTopic('near', [1])
    await transport.connect(new AbortController().signal)
    const publish = (topic: string, value: string, within: number) =>
      transport.publish({ topic, partition: 0, records: [record('k', value)] }, within)
    expect((await publish('near', 'warm', 5_000)).kind).toBe('acked')
    kafka.freeze()
    // It keeps the client alive while the other one's time runs out.
    const patient = publish('near', 'patient', 60_000)
    expect(await publish('far', 'late', 200)).toMatchObject({ kind: 'not-written', code: 'TIMEOUT' })
    kafka.thaw()
    expect((await patient).kind).toBe('acked')
    expect((await publish('far', 'in time', 5_000)).kind).toBe('acked')
    await transport.close()
    await kafka.abandoned()
    expect(far!.log.map(({ value }) => String(value))).toEqual(['in time'])
  })
})

it('a process that closes the transport ends, and nothing is printed', () =>
  expectProcessToEnd('platformaticTransport', 'platformatic/platformatic.ts', 60_000))
