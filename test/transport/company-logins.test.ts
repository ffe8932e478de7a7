import { copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { openTransport, transportNames } from '../../src/embed.ts'
import type { KafkajsTransportOptions } from '../../src/transport/kafkajs/kafkajs.ts'
import type { Transport } from '../../src/transport/transport.ts'
import { type Certificates, makeCertificates } from '../support/certificates.ts'
import type { KafkaServer } from '../support/kafka.ts'
import { sessionMs, startMutualTlsKafka, startTlsKafka, type TlsKafka, unsignedToken } from '../support/kafka-tls.ts'
import { createTopic, readTopic } from '../support/topics.ts'
import { record } from './conformance.ts'

const never = new AbortController().signal
let keys: Certificates
let others: Certificates
beforeAll(async () => {
  ;[keys, others] = await Promise.all([makeCertificates(), makeCertificates()])
})
afterAll(async () => {
  await Promise.all([keys?.remove(), others?.remove()])
})

function open(way: (typeof transportNames)[number], options: KafkajsTransportOptions): Transport {
  const transport = openTransport(way, options)
  onTestFinished(() => transport.close())
  return transport
}

const publish = (transport: Transport, topic: string) =>
  transport.publish({ topic, partition: 0, records: [record('k', 'v')] }, 10_000)

/** The files of a client's login, which can be replaced. */
async function clientFiles(from = keys) {
  const dir = await mkdtemp(join(tmpdir(), 'outbox-client-'))
  onTestFinished(() => rm(dir, { recursive: true, force: true }))
  const files = { caFile: join(dir, 'ca.pem'), certFile: join(dir, 'client.pem'), keyFile: join(dir, 'client.key') }
  const replace = async ({ caFile, client }: Certificates) => {
    await copyFile(caFile, files.caFile)
    await copyFile(client.certFile, files.certFile)
    await copyFile(client.keyFile, files.keyFile)
  }
  await replace(from)
  return { files, replace }
}

describe('a broker that wants a client certificate', () => {
  let kafka: KafkaServer
  beforeAll(async () => {
    kafka = await startMutualTlsKafka(keys)
  })
  afterAll(() => kafka?.remove())

  const access = async () => {
    const [ca, cert, key] = await Promise.all(
      [keys.caFile, keys.client.certFile, keys.client.keyFile].map((one) => readFile(one)),
    )
    return { brokers: [kafka.brokers], ssl: { ca: ca!, cert: cert!, key: key! } }
  }

  describe.each(transportNames)('with %s', (way) => {
    it('gets it from files', async () => {
      const topic = await createTopic('mtls', 1, { brokers: await access() })
      const { files } = await clientFiles()
      const transport = open(way, { brokers: [kafka.brokers], ssl: files })
      await transport.connect(never)
      expect(await publish(transport, topic)).toEqual({ kind: 'acked', baseOffset: 0n })
      expect(await readTopic(topic, await access())).toHaveLength(1)
    })

    it.each([
      ['none', () => ({ caFile: keys.caFile })],
      ['one of another authority', () => ({ caFile: keys.caFile, ...others.client })],
    ])('refuses %s, and nothing of the key is told', async (_, ssl) => {
      const transport = open(way, { brokers: [kafka.brokers], ssl: ssl() })
      const error = await transport.connect(never).catch((error: unknown) => error)
      expect(error).toMatchObject({ scope: 'producer', code: expect.stringMatching(/^(ERR_SSL_|ECONNRESET|PLT_KFK_NETWORK)/) })
      const outcome = await publish(transport, 'any')
      expect(outcome).toMatchObject({ kind: 'not-written', scope: 'producer' })
      expect(JSON.stringify([outcome, String(error)])).not.toContain('PRIVATE')
    })

    it('that was replaced on disk, gets the new one with the next connection', async () => {
      const topic = await createTopic('mtls-renewed', 1, { brokers: await access() })
      const { files, replace } = await clientFiles()
      const transport = open(way, { brokers: [kafka.brokers], ssl: files })
      await transport.connect(never)
      // The authority of the others did not sign the broker's certificate either.
      await replace(others)
      await expect(transport.connect(never)).rejects.toMatchObject({ code: 'SELF_SIGNED_CERT_IN_CHAIN' })
      await replace(keys)
      await transport.connect(never)
      expect(await publish(transport, topic)).toMatchObject({ kind: 'acked' })
    })

    it('that is half written, gets the one from before, and the process warns', async () => {
      const { files, replace } = await clientFiles()
      const transport = open(way, { brokers: [kafka.brokers], ssl: files })
      for (const [broken, words] of [
        [() => copyFile(others.client.certFile, files.certFile), /cannot be used \(ERR_OSSL_X509_KEY_VALUES_MISMATCH\)/],
        [() => writeFile(files.keyFile, ''), /KAFKA_SSL_KEY, ssl.keyFile\) holds nothing of the kind/],
        [() => writeFile(files.caFile, ''), /holds nothing of the kind/],
        [() => rm(files.certFile), /KAFKA_SSL_CERT, ssl.certFile\) cannot be read \(ENOENT\)/],
      ] as const) {
        await broken()
        const warned = new Promise<Error>((resolve) => process.once('warning', resolve))
        await transport.connect(never)
        expect(await warned).toMatchObject({ code: 'OUTBOX_KAFKA_TLS', message: expect.stringMatching(words) })
        await replace(keys)
        await transport.connect(never)
      }
    })
  })

  it.each([
    ['a file that is missing', async () => ({ certFile: '/not/there', keyFile: keys.client.keyFile }), 'ssl.certFile', 'ENOENT'],
    ['a certificate without key', async () => ({ certFile: keys.client.certFile }), 'ssl.keyFile', 'KAFKA_SSL_KEY'],
    ['a key without certificate', async () => ({ keyFile: keys.client.keyFile }), 'ssl.certFile', 'KAFKA_SSL_CERT'],
    [
      'a key of another certificate',
      async () => ({ ...keys.client, keyFile: others.client.keyFile }),
      'ssl.certFile',
      'MISMATCH',
    ],
    ['a file and a value', async () => ({ ...keys.client, cert: 'x' }), 'ssl.certFile', 'twice'],
    ['an authority that is none', async () => ({ caFile: keys.keyFile }), 'ssl.caFile', 'nothing of the kind'],
  ])('refuses %s before it connects', async (_, ssl, field, words) => {
    for (const way of transportNames) {
      const options = { brokers: ['localhost:1'], ssl: await ssl() }
      expect(() => openTransport(way, options)).toThrow(
        expect.objectContaining({ code: 'OUTBOX_INVALID_OPTION', field, message: expect.stringContaining(words) }),
      )
    }
  })
})

describe('a broker that wants a token', () => {
  let kafka: TlsKafka
  beforeAll(async () => {
    kafka = await startTlsKafka(keys)
  })
  afterAll(() => kafka?.remove())

  const withToken = (way: (typeof transportNames)[number], oauthBearerProvider: () => Promise<{ value: string }>) =>
    open(way, {
      brokers: [kafka.brokers],
      ssl: { caFile: keys.caFile },
      sasl: { mechanism: 'oauthbearer', oauthBearerProvider },
    })

  describe.each(transportNames)('with %s', (way) => {
    it('gets one for each login, also in the middle of its work', { timeout: 60_000 }, async () => {
      const topic = await createTopic('token', 1, { brokers: kafka.access })
      const ends: number[] = []
      const transport = withToken(way, async () => {
        ends.push(Date.now() + sessionMs)
        return { value: unsignedToken(60_000) }
      })
      await transport.connect(never)
      let sent = 0
      // The broker closes a connection whose session is over, unless it has logged in again.
      for (const until = ends[0]! + 1_000; Date.now() < until; sent++) {
        expect(await publish(transport, topic)).toEqual({ kind: 'acked', baseOffset: BigInt(sent) })
      }
      expect(ends.length).toBeGreaterThan(2)
      expect(await readTopic(topic, kafka.access)).toHaveLength(sent)
    })

    it.each([
      ['has ended', unsignedToken(-1_000)],
      ['is none', 'S3cretCanary'],
    ])('refuses one that %s, and it is not told', async (_, value) => {
      const transport = withToken(way, async () => ({ value }))
      const error = await transport.connect(never).catch((error: unknown) => error)
      expect(error).toMatchObject({ scope: 'producer', code: 'SASL_AUTHENTICATION_FAILED' })
      const outcome = await publish(transport, 'any')
      expect(outcome).toMatchObject({ kind: 'not-written', scope: 'producer', code: 'SASL_AUTHENTICATION_FAILED' })
      expect(JSON.stringify([outcome, String(error)])).not.toContain(value)
    })

    it.each([
      ['fails', () => Promise.reject(new RangeError('S3cretCanary')), /failed \(RangeError\)/],
      ['throws', () => Promise.reject('S3cretCanary'), /failed \(no Error\)/],
      ['returns nothing', async () => undefined as never, /no token/],
      ['returns what is no token', async () => ({ value: 'S3cretCanary\u0001auth=Bearer x' }), /no token/],
    ])('says that the provider %s, and not with which words', async (_, provider, words) => {
      const transport = withToken(way, provider)
      const error = await transport.connect(never).catch((error: unknown) => error)
      expect(error).toMatchObject({ scope: 'producer', code: 'TOKEN_UNAVAILABLE', message: expect.stringMatching(words) })
      const outcome = await publish(transport, 'any')
      expect(outcome).toMatchObject({ kind: 'not-written', scope: 'producer', code: 'TOKEN_UNAVAILABLE' })
      expect(JSON.stringify([outcome, String(error)])).not.toContain('S3cret')
    })

    it('continues on its own when a provider that failed works again', { timeout: 60_000 }, async () => {
      const topic = await createTopic('token-again', 1, { brokers: kafka.access })
      let works = true
      const transport = withToken(way, async () => {
        if (!works) throw new Error('S3cretCanary')
        return { value: unsignedToken(60_000) }
      })
      expect(await publish(transport, topic)).toMatchObject({ kind: 'acked' })
      works = false
      let outcome = await publish(transport, topic)
      for (; outcome.kind === 'acked'; outcome = await publish(transport, topic));
      expect(JSON.stringify(outcome, (_, value) => (typeof value === 'bigint' ? String(value) : value))).not.toContain('S3cret')
      works = true
      await transport.connect(never)
      for (outcome = await publish(transport, topic); outcome.kind !== 'acked'; outcome = await publish(transport, topic));
    })
  })

  it('refuses a login without a provider', () => {
    for (const way of transportNames) {
      const options = { brokers: ['localhost:1'], sasl: { mechanism: 'oauthbearer' } } as never
      expect(() => openTransport(way, options)).toThrow(expect.objectContaining({ code: 'OUTBOX_INVALID_OPTION', field: 'sasl' }))
    }
  })
})
