import { afterAll, beforeAll, describe, expect, inject, it, onTestFinished } from 'vitest'
import { openTransport, transportNames } from '../../src/embed.ts'
import type { KafkajsTransportOptions } from '../../src/transport/kafkajs/kafkajs.ts'
import type { Transport } from '../../src/transport/transport.ts'
import { type Certificates, makeCertificates } from '../support/certificates.ts'
import { kafkaUser, startTlsKafka, type TlsKafka } from '../support/kafka-tls.ts'
import { createTopic, readTopic } from '../support/topics.ts'
import { record } from './conformance.ts'

const never = new AbortController().signal
let keys: Certificates
let others: Certificates
let kafka: TlsKafka

beforeAll(async () => {
  keys = await makeCertificates()
  others = await makeCertificates()
  kafka = await startTlsKafka(keys)
})
afterAll(async () => {
  await kafka?.remove()
  await keys?.remove()
  await others?.remove()
})

function open(way: (typeof transportNames)[number], options: Partial<KafkajsTransportOptions> = {}): Transport {
  const transport = openTransport(way, { ...kafka.access, ...options })
  onTestFinished(() => transport.close())
  return transport
}

const publish = (transport: Transport, topic: string) =>
  transport.publish({ topic, partition: 0, records: [record('k', 'v')] }, 10_000)

/** The transport reaches nobody, says so with this code and these words, and tells no secret. */
async function refuses(transport: Transport, code: string, words?: string): Promise<void> {
  const refused = { scope: 'producer', code }
  const error = await transport.connect(never).catch((error: unknown) => error)
  expect(error).toMatchObject(refused)
  const outcome = await publish(transport, 'any')
  expect(outcome).toMatchObject({ kind: 'not-written', ...refused })
  const said = [(error as Error).message, (outcome as { error: string }).error]
  if (words !== undefined) expect(said).toEqual([expect.stringContaining(words), expect.stringContaining(words)])
  expect(JSON.stringify([outcome, ...said])).not.toContain('hunter2')
}

describe.each(transportNames)('TLS to a broker, with %s', (way) => {
  it.each(['plain', 'scram-sha-256', 'scram-sha-512'] as const)('and the login %s publishes', async (mechanism) => {
    const transport = open(way, { sasl: { mechanism, ...kafkaUser } as typeof kafka.access.sasl })
    await transport.connect(never)
    const topic = await createTopic('tls', 1, { brokers: kafka.access })
    expect(await publish(transport, topic)).toEqual({ kind: 'acked', baseOffset: 0n })
    expect(await readTopic(topic, kafka.access)).toMatchObject([{ key: Buffer.from('k'), value: Buffer.from('v') }])
  })

  it('refuses a wrong password', async () => {
    const sasl = { mechanism: 'scram-sha-512', username: kafkaUser.username, password: 'hunter2-of-somebody' } as const
    await refuses(open(way, { sasl }), 'SASL_AUTHENTICATION_FAILED')
  })

  it.each([
    ['an authority that did not sign the certificate', () => ({ ca: others.ca })],
    ['none but those that Node knows', () => true],
  ])('with %s sends no login, and says which certificate is not trusted', async (_, ssl) => {
    await refuses(open(way, { ssl: ssl() }), 'SELF_SIGNED_CERT_IN_CHAIN', 'self-signed certificate in certificate chain')
  })

  it('sends nothing to a broker whose certificate is for another name', async () => {
    const brokers = [kafka.brokers.replace('localhost', '127.0.0.1')]
    await refuses(open(way, { brokers }), 'ERR_TLS_CERT_ALTNAME_INVALID', 'does not match')
  })

  it('to a broker without TLS says that none was established', async () => {
    await refuses(open(way, { brokers: inject('brokers').split(',') }), 'ECONNRESET')
  })
})
