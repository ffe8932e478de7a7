import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import type { Verdict } from '../../src/doctor/verdict.ts'
import { type Certificates, makeCertificates } from '../support/certificates.ts'
import { cli } from '../support/cli.ts'
import { createDatabase, type TestDatabase } from '../support/database.ts'
import type { KafkaServer } from '../support/kafka.ts'
import { startMutualTlsKafka, startTlsKafka, type TlsKafka, unsignedToken } from '../support/kafka-tls.ts'
import { startRelayProcess } from '../support/relay-process.ts'
import { insertRows } from '../support/rows.ts'
import { createTopic, type KafkaAccess, readTopic } from '../support/topics.ts'

const canary = 'S3cretCanary'
let keys: Certificates
let database: TestDatabase
let folder: string
beforeAll(async () => {
  keys = await makeCertificates()
  database = await createDatabase()
  folder = await mkdtemp(join(tmpdir(), 'outbox-secrets-'))
})
afterAll(async () => {
  await database?.drop()
  await keys?.remove()
  await rm(folder, { recursive: true, force: true })
})

/** A file with this text; its path. */
async function fileWith(text: string): Promise<string> {
  const path = join(folder, randomUUID())
  await writeFile(path, text)
  return path
}

/** A message that waits. */
async function waiting(access: KafkaAccess): Promise<{ topic: string; id: string }> {
  await database.query('TRUNCATE outbox')
  const [topic, id] = [await createTopic('company', 1, { brokers: access }), randomUUID()]
  await insertRows(database.pool, [{ topic, messageId: id, value: 'by a company' }])
  return { topic, id }
}

/** Every command that reaches Kafka, with these variables; nothing that they print holds the secret. */
async function everyCommand(env: Record<string, string>, access: KafkaAccess, transport: string): Promise<void> {
  const { topic, id } = await waiting(access)
  const outputs: string[] = []
  const run = async (...args: string[]) => {
    const { code, stdout, stderr } = await cli(args, { DATABASE_URL: database.directUrl, ...env })
    outputs.push(stdout, stderr)
    return { code, stdout, stderr }
  }
  const judged = await run('doctor', '--json')
  const verdicts = JSON.parse(judged.stdout) as Verdict[]
  expect(verdicts.find(({ check }) => check === 'kafka')).toMatchObject({ level: 'ok', finding: '1 broker in the cluster.' })
  expect(verdicts.find(({ check }) => check === 'kafka encryption')).toMatchObject({ level: 'ok' })
  expect(await run('relay', '--drain', '--transport', transport)).toMatchObject({ code: 0 })
  expect(String((await readTopic(topic, access))[0]?.value)).toBe('by a company')
  const found = await run('where', id, '--topic', topic, '--newer-than', '10m', '--json')
  expect(JSON.parse(found.stdout)).toMatchObject({ topic, partition: 0, offset: '0' })
  expect(outputs.join('\n')).not.toContain(canary)
}

const proves = (env: Record<string, string>, args: readonly string[] = []) =>
  cli(['prove', '--seconds', '2', '--kills', '1', ...args], { DATABASE_URL: database.directUrl, ...env })

describe('a broker that wants a client certificate', () => {
  let kafka: KafkaServer
  let access: KafkaAccess
  let flags: string[]
  beforeAll(async () => {
    kafka = await startMutualTlsKafka(keys)
    const { certFile, keyFile } = keys.client
    const { readFileSync } = await import('node:fs')
    const [ca, cert, key] = [keys.caFile, certFile, keyFile].map((path) => readFileSync(path)) as [Buffer, Buffer, Buffer]
    access = { brokers: [kafka.brokers], ssl: { ca, cert, key } }
    flags = [
      '--kafka-brokers',
      kafka.brokers,
      '--kafka-ssl-ca',
      keys.caFile,
      '--kafka-ssl-cert',
      certFile,
      '--kafka-ssl-key',
      keyFile,
    ]
  })
  afterAll(() => kafka?.remove())

  const env = () => ({
    KAFKA_BROKERS: kafka.brokers,
    KAFKA_SSL_CA: keys.caFile,
    KAFKA_SSL_CERT: keys.client.certFile,
    KAFKA_SSL_KEY: keys.client.keyFile,
  })

  test.each(['kafkajs', 'platformatic'])('is reached by every command and %s', (transport) =>
    everyCommand(env(), access, transport),
  )

  test('is told by flags too, also to the relays of prove', { timeout: 120_000 }, async () => {
    expect(await proves({}, flags)).toMatchObject({ code: 0, stderr: expect.stringContaining('Proved in') })
  })

  test('the log of the relay names the files, and nothing that is in them', async () => {
    const relay = startRelayProcess({
      DATABASE_URL: database.directUrl,
      KAFKA_SSL_KEY_PASSPHRASE: canary,
      OUTBOX_LISTEN: '0',
      ...env(),
    })
    const line = await relay.until(({ event }) => event === 'configuration')
    expect(line).toMatchObject({ kafka: { ssl: true, keyFile: keys.client.keyFile } })
    await relay.until(({ event }) => event === 'leases_taken')
    await relay.end('SIGTERM')
    expect(JSON.stringify(relay.log)).not.toMatch(/S3cret|PRIVATE/)
  })

  test('doctor names the client certificate where there is none', async () => {
    const { KAFKA_SSL_CERT: _, KAFKA_SSL_KEY: __, ...without } = env()
    const { stdout } = await cli(['doctor', '--json'], { DATABASE_URL: database.directUrl, ...without })
    const verdict = (JSON.parse(stdout) as Verdict[]).find(({ check }) => check === 'kafka')
    expect(verdict).toMatchObject({ level: 'failure', fix: expect.stringContaining('KAFKA_SSL_CERT') })
  })
})

describe('a broker that wants a token', () => {
  let kafka: TlsKafka
  beforeAll(async () => {
    kafka = await startTlsKafka(keys)
  })
  afterAll(() => kafka?.remove())

  const env = () => ({ KAFKA_BROKERS: kafka.brokers, KAFKA_SSL_CA: keys.caFile, KAFKA_SASL_MECHANISM: 'oauthbearer' })

  /** An OAuth endpoint on this machine that knows one client. */
  async function endpoint() {
    const asked: string[] = []
    const server = createServer(async (request, response) => {
      let body = ''
      for await (const chunk of request) body += chunk
      asked.push(`${request.method} ${body}`)
      const known = request.headers.authorization === `Basic ${Buffer.from(`relay%3A1:${canary}`).toString('base64')}`
      const answer = known ? { access_token: unsignedToken(600_000), expires_in: 600 } : { error: 'invalid_client', echo: canary }
      response.writeHead(known ? 200 : 401, { 'content-type': 'application/json' }).end(JSON.stringify(answer))
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    onTestFinished(() => void server.close())
    return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/token`, asked }
  }

  describe.each(['kafkajs', 'platformatic'])('with %s', (transport) => {
    test('gets the one that a command prints', async () => {
      const command = `cat '${await fileWith(`${unsignedToken(600_000)}\n`)}'`
      await everyCommand({ ...env(), KAFKA_SASL_TOKEN_COMMAND: command }, kafka.access, transport)
    })

    test('gets the one that an endpoint gives for the credentials of a client', async () => {
      const { url, asked } = await endpoint()
      const client = {
        KAFKA_SASL_USERNAME: 'relay:1',
        KAFKA_SASL_PASSWORD_FILE: await fileWith(`${canary}\n`),
        KAFKA_SASL_SCOPE: 'kafka',
      }
      await everyCommand({ ...env(), ...client, KAFKA_SASL_TOKEN_URL: url }, kafka.access, transport)
      // Once for each of the three commands, however many connections they open.
      expect(asked).toEqual(Array(3).fill('POST grant_type=client_credentials&scope=kafka'))
    })

    test.each([
      [
        'a command that fails',
        { KAFKA_SASL_TOKEN_COMMAND: `echo ${canary}; echo ${canary} >&2; exit 7` },
        /ended with exit code 7/,
      ],
      ['a command that prints none', { KAFKA_SASL_TOKEN_COMMAND: `echo '${canary} and more'` }, /no token/],
      [
        'an endpoint that refuses the client',
        { KAFKA_SASL_TOKEN_URL: '', KAFKA_SASL_USERNAME: 'x', KAFKA_SASL_PASSWORD: canary },
        /HTTP 401 \(invalid_client\)/,
      ],
      [
        'an endpoint that is not there',
        { KAFKA_SASL_TOKEN_URL: 'http://127.0.0.1:1/', KAFKA_SASL_USERNAME: 'x', KAFKA_SASL_PASSWORD: canary },
        /does not answer/,
      ],
    ])('waits for %s and says why, without what was said', async (_, more, words) => {
      const { url } = await endpoint()
      await waiting(kafka.access)
      const given =
        'KAFKA_SASL_TOKEN_URL' in more && more.KAFKA_SASL_TOKEN_URL === '' ? { ...more, KAFKA_SASL_TOKEN_URL: url } : more
      const relay = startRelayProcess({ DATABASE_URL: database.directUrl, ...env(), ...given, OUTBOX_TRANSPORT: transport })
      const line = await relay.until(({ event }) => event === 'kafka_trouble')
      expect(line).toMatchObject({ code: 'TOKEN_UNAVAILABLE', error: expect.stringMatching(words) })
      await relay.end('SIGTERM')
      expect(JSON.stringify(relay.log)).not.toContain(canary)
    })
  })

  test('prove reaches it too', { timeout: 120_000 }, async () => {
    const command = `cat '${await fileWith(unsignedToken(600_000))}'`
    const { code, stderr } = await proves({ ...env(), KAFKA_SASL_TOKEN_COMMAND: command })
    expect([code, stderr]).toEqual([0, expect.stringContaining('Proved in')])
  })

  test('passwords and URLs come from files', async () => {
    const login = {
      KAFKA_SASL_MECHANISM: 'scram-sha-512',
      KAFKA_SASL_USERNAME: 'relay',
      KAFKA_SASL_PASSWORD_FILE: await fileWith('hunter2-of-kafka\r\n'),
      DATABASE_URL: '',
      DATABASE_URL_FILE: await fileWith(`${database.directUrl}\n`),
      OUTBOX_LISTEN_URL_FILE: await fileWith(database.directUrl),
    }
    const { topic } = await waiting(kafka.access)
    expect(await cli(['relay', '--drain'], { ...env(), ...login })).toMatchObject({ code: 0, stderr: '' })
    expect(await readTopic(topic, kafka.access)).toHaveLength(1)
    expect(await cli(['status'], { ...env(), ...login })).toMatchObject({ code: 0, stderr: '' })
  })
})

describe('a login that does not fit together is refused before anything is asked', () => {
  const base = { DATABASE_URL: 'postgresql://127.0.0.1:1/d', KAFKA_BROKERS: '127.0.0.1:1' }
  const sasl = (mechanism: string) => ({ KAFKA_SASL_MECHANISM: mechanism })
  const client = { KAFKA_SASL_USERNAME: 'u', KAFKA_SASL_PASSWORD: canary }

  test.each<[string, Record<string, string>, string]>([
    ['a certificate without key', { KAFKA_SSL_CERT: 'a.pem' }, 'KAFKA_SSL_KEY'],
    ['a key without certificate', { KAFKA_SSL_KEY: 'a.pem' }, 'KAFKA_SSL_CERT'],
    ['a passphrase without key', { KAFKA_SSL_KEY_PASSPHRASE: canary }, 'a passphrase is for a key'],
    ['an authority while TLS is off', { KAFKA_SSL_CA: 'a.pem', KAFKA_SSL: 'false' }, 'is false, and certificates'],
    ['a file that is not there', { KAFKA_SSL_CA: '/not/there' }, 'KAFKA_SSL_CA'],
    ['a mechanism that is none', { ...sasl('gssapi'), ...client }, 'oauthbearer, aws-msk-iam'],
    ['a token source without mechanism', { KAFKA_SASL_TOKEN_COMMAND: canary }, 'KAFKA_SASL_MECHANISM'],
    ['oauthbearer without a source', sasl('oauthbearer'), 'KAFKA_SASL_TOKEN_COMMAND'],
    [
      'oauthbearer with two sources',
      { ...sasl('oauthbearer'), KAFKA_SASL_TOKEN_COMMAND: canary, KAFKA_SASL_TOKEN_URL: 'https://a/' },
      'KAFKA_SASL_TOKEN_COMMAND is given too',
    ],
    [
      'a command with a password',
      { ...sasl('oauthbearer'), KAFKA_SASL_TOKEN_COMMAND: canary, ...client },
      'a token command does not take it',
    ],
    [
      'an endpoint without a secret',
      { ...sasl('oauthbearer'), KAFKA_SASL_TOKEN_URL: 'https://a/', KAFKA_SASL_USERNAME: 'u' },
      'KAFKA_SASL_PASSWORD',
    ],
    [
      'an endpoint in clear text',
      { ...sasl('oauthbearer'), KAFKA_SASL_TOKEN_URL: 'http://idp.invalid/', ...client },
      'http:// on this machine only',
    ],
    [
      'an endpoint with a login',
      { ...sasl('oauthbearer'), KAFKA_SASL_TOKEN_URL: `https://u:${canary}@a/`, ...client },
      'without a login',
    ],
    [
      'a password beside a region',
      { ...sasl('aws-msk-iam'), KAFKA_SASL_REGION: 'eu-central-1', ...client },
      'aws-msk-iam does not take it',
    ],
    ['aws-msk-iam without region', sasl('aws-msk-iam'), 'KAFKA_SASL_REGION'],
    [
      'aws-msk-iam without TLS',
      { ...sasl('aws-msk-iam'), AWS_REGION: 'eu-central-1', KAFKA_BROKERS: 'b.invalid:1' },
      'clear text',
    ],
    ['a region beside a password', { ...sasl('plain'), ...client, KAFKA_SASL_REGION: 'eu-central-1' }, 'plain does not take it'],
    [
      'a password and its file',
      { ...sasl('plain'), ...client, KAFKA_SASL_PASSWORD_FILE: '/a' },
      'KAFKA_SASL_PASSWORD is given twice',
    ],
    ['a URL and its file', { DATABASE_URL_FILE: `/${canary}` }, 'DATABASE_URL is given twice'],
    ['a file of a URL that is not there', { DATABASE_URL: '', DATABASE_URL_FILE: `/${canary}` }, 'ENOENT'],
    [
      'a login of the pages and its file',
      { OUTBOX_LISTEN: '0', OUTBOX_HTTP_LOGIN: `u:${canary}`, OUTBOX_HTTP_LOGIN_FILE: '/a' },
      'OUTBOX_HTTP_LOGIN is given twice',
    ],
  ])('%s', async (_, env, named) => {
    const { code, stdout, stderr } = await cli(['relay'], { ...base, ...env })
    expect([code, stderr]).toEqual([2, expect.stringContaining(named)])
    expect(stdout + stderr).not.toContain(canary)
    expect(stderr).not.toContain('    at ')
  })

  test('an empty file', async () => {
    const { code, stderr } = await cli(['status'], { DATABASE_URL_FILE: await fileWith('\n') })
    expect([code, stderr]).toEqual([2, expect.stringContaining('DATABASE_URL_FILE names a file without a value')])
  })

  test.each([['relay'], ['doctor'], ['where'], ['prove']])('%s --help names every way, and no secret', async (command) => {
    const env = { ...base, ...client, KAFKA_SSL_KEY_PASSPHRASE: canary }
    const { stdout } = await cli([command, '--help'], env)
    for (const flag of ['ssl-ca', 'ssl-cert', 'ssl-key', 'sasl-token-command', 'sasl-token-url', 'sasl-scope', 'sasl-region']) {
      expect(stdout).toContain(`--kafka-${flag} <`)
    }
    expect(stdout).not.toContain(canary)
  })
})
