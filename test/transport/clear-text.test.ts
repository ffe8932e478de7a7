import { describe, expect, test } from 'vitest'
import { judgeKafkaEncryption } from '../../src/doctor/kafka.ts'
import { kafkajsTransport } from '../../src/transport/kafkajs/kafkajs.ts'
import { platformaticTransport } from '../../src/transport/platformatic/platformatic.ts'
import { cli } from '../support/cli.ts'
import { useDatabase } from '../support/database.ts'

const plain = { mechanism: 'plain', username: 'relay', password: 'S3cretCanary' } as const
const scram = { ...plain, mechanism: 'scram-sha-512' } as const

describe.each([
  ['kafkajs', kafkajsTransport],
  ['platformatic', platformaticTransport],
])('a login of %s that would be sent in clear text', (_, open) => {
  test.each([
    [['kafka.invalid:9092'], plain, {}, true],
    [['127.0.0.1:9092', 'kafka.invalid:9092'], plain, {}, true],
    [['127.0.0.1.kafka.invalid:9092'], plain, {}, true],
    [['0.0.0.0:9092'], plain, {}, true],
    [['kafka.invalid:9092'], plain, { ssl: true }, false],
    [['kafka.invalid:9092'], plain, { saslInsecure: true }, false],
    [['kafka.invalid:9092'], scram, {}, false],
    [['127.0.0.1:9092', 'localhost:9093'], plain, {}, false],
  ])('to %j by %o, with %o, is refused: %s', (brokers, sasl, more, refused) => {
    const make = () => open({ brokers, sasl, ...more })
    if (refused) expect(make).toThrow(expect.objectContaining({ code: 'OUTBOX_INVALID_OPTION', field: 'sasl' }))
    else expect(make).not.toThrow()
    expect(judgeKafkaEncryption({ brokers, sasl, ...more }).level === 'failure').toBe(refused)
  })
})

test('a token is a secret too', () => {
  const sasl = { mechanism: 'oauthbearer' as const, oauthBearerProvider: async () => ({ value: 'token' }) }
  expect(() => kafkajsTransport({ brokers: ['kafka.invalid:9092'], sasl })).toThrow(/clear text/)
})

const database = useDatabase('all')

const env = () => ({
  DATABASE_URL: database.url,
  KAFKA_BROKERS: 'kafka.invalid:9092',
  KAFKA_SASL_MECHANISM: 'plain',
  KAFKA_SASL_USERNAME: 'relay',
  KAFKA_SASL_PASSWORD: plain.password,
})

test.each([[['relay']], [['prove']]])('%j refuses to start with it', async (args) => {
  const { code, stdout, stderr } = await cli(args, env())
  expect([code, stderr]).toEqual([2, expect.stringMatching(/clear text.*KAFKA_SASL_INSECURE/)])
  expect(stdout + stderr).not.toContain(plain.password)
})

test('doctor names it as a failure, without sending it', async () => {
  const { code, stdout } = await cli(['doctor', '--json'], env())
  const verdicts = JSON.parse(stdout) as { check: string; level: string }[]
  expect(code).toBe(1)
  expect(verdicts.filter(({ check }) => check.startsWith('kafka'))).toMatchObject([
    { check: 'kafka encryption', level: 'failure' },
  ])
  expect(stdout).not.toContain(plain.password)
})

test.each([
  [{ brokers: ['kafka.invalid:9092'], ssl: true }, 'ok'],
  [{ brokers: ['127.0.0.1:9092'] }, 'ok'],
  [{ brokers: ['kafka.invalid:9092'] }, 'warning'],
  [{ brokers: ['kafka.invalid:9092'], sasl: scram }, 'warning'],
  [{ brokers: ['kafka.invalid:9092'], sasl: plain, saslInsecure: true }, 'warning'],
])('doctor on kafka encryption of %o: %s', (kafka, level) => {
  expect(judgeKafkaEncryption(kafka)).toMatchObject({ check: 'kafka encryption', level })
})
