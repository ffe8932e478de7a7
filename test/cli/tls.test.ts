import { randomUUID } from 'node:crypto'
import { chmod, chown, copyFile, stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import type { Verdict } from '../../src/doctor/verdict.ts'
import { type Certificates, makeCertificates } from '../support/certificates.ts'
import { cli } from '../support/cli.ts'
import { createDatabase, type TestDatabase } from '../support/database.ts'
import { kafkaUser, startTlsKafka, type TlsKafka } from '../support/kafka-tls.ts'
import { migrationSql } from '../support/migrations.ts'
import { type PostgresServer, startPostgres } from '../support/postgres.ts'
import { startRelayProcess } from '../support/relay-process.ts'
import { insertRows } from '../support/rows.ts'
import { createTopic, readTopic } from '../support/topics.ts'

let keys: Certificates
let kafka: TlsKafka
let database: TestDatabase
let env: Record<string, string>
/** With the authority that signed the broker's certificate. */
let trusting: Record<string, string>
beforeAll(async () => {
  keys = await makeCertificates()
  kafka = await startTlsKafka(keys)
  database = await createDatabase()
  env = {
    DATABASE_URL: database.directUrl,
    KAFKA_BROKERS: kafka.brokers,
    KAFKA_SSL: 'true',
    KAFKA_SASL_MECHANISM: 'scram-sha-512',
    KAFKA_SASL_USERNAME: kafkaUser.username,
    KAFKA_SASL_PASSWORD: kafkaUser.password,
  }
  trusting = { ...env, NODE_EXTRA_CA_CERTS: keys.caFile }
})
afterAll(async () => {
  await database?.drop()
  await kafka?.remove()
  await keys?.remove()
})

/** A message that waits. */
async function waiting(): Promise<{ topic: string; id: string }> {
  await database.query('TRUNCATE outbox')
  const [topic, id] = [await createTopic('tls', 1, { brokers: kafka.access }), randomUUID()]
  await insertRows(database.pool, [{ topic, messageId: id, value: 'over TLS' }])
  return { topic, id }
}

describe.each(['kafkajs', 'platformatic'])('a broker with TLS and login, with %s', (transport) => {
  test('takes what the relay sends with the authority from the environment, and there it is found', async () => {
    const { topic, id } = await waiting()
    const { code, stdout } = await cli(['relay', '--drain', '--transport', transport], trusting)
    expect([code, stdout]).toEqual([0, expect.not.stringContaining(kafkaUser.password)])
    expect(String((await readTopic(topic, kafka.access))[0]?.value)).toBe('over TLS')
    const found = await cli(['where', id, '--topic', topic, '--newer-than', '10m', '--json'], trusting)
    expect(JSON.parse(found.stdout)).toMatchObject({ topic, partition: 0, offset: '0' })
  })

  test('has the relay wait and say why, while Node does not know the authority', async () => {
    const { topic } = await waiting()
    const relay = startRelayProcess({ ...env, OUTBOX_TRANSPORT: transport })
    onTestFinished(() => void relay.end('SIGKILL'))
    const line = await relay.until(({ event }) => event === 'kafka_trouble')
    expect(line).toMatchObject({ code: 'SELF_SIGNED_CERT_IN_CHAIN', error: expect.stringContaining('self-signed certificate') })
    await relay.end('SIGTERM')
    expect(JSON.stringify(relay.log)).not.toContain(kafkaUser.password)
    expect(await readTopic(topic, kafka.access)).toEqual([])
    expect(await database.query('SELECT FROM outbox')).toHaveLength(1)
  })
})

test('the doctor says that the certificate is not trusted, and finds the broker well once it is', async () => {
  await waiting()
  const judged = async (env: Record<string, string>) => {
    const { stdout } = await cli(['doctor', '--json'], env)
    expect(stdout).not.toContain(kafkaUser.password)
    return (JSON.parse(stdout) as Verdict[]).find(({ check }) => check === 'kafka')
  }
  expect(await judged(env)).toMatchObject({
    level: 'failure',
    finding: expect.stringContaining('SELF_SIGNED_CERT_IN_CHAIN'),
    fix: expect.stringContaining('NODE_EXTRA_CA_CERTS'),
  })
  expect(await judged(trusting)).toMatchObject({ level: 'ok', finding: '1 broker in the cluster.' })
  const { KAFKA_SSL: _, ...plain } = trusting
  expect(await judged(plain)).toMatchObject({ level: 'failure', fix: expect.stringContaining('TLS and login') })
})

describe('a database with TLS', () => {
  let server: PostgresServer
  let plain: pg.Client
  beforeAll(async () => {
    server = await startPostgres()
    await useTls(server)
    plain = new pg.Client(server.url)
    await plain.connect()
    await plain.query(migrationSql)
  })
  afterAll(async () => {
    await plain?.end()
    await server?.stop()
  })

  const url = (rootCert: string) => `${server.url.replace('127.0.0.1', 'localhost')}?sslmode=verify-full&sslrootcert=${rootCert}`

  test('serves relay and doctor, whose every session is encrypted', async () => {
    const relay = startRelayProcess({ ...trusting, DATABASE_URL: url(keys.caFile) })
    await relay.until(({ event }) => event === 'leases_taken')
    const sessions = await plain.query(
      "SELECT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = 'prisma-extension-outbox'",
    )
    expect(new Set(sessions.rows.map(({ ssl }) => ssl))).toEqual(new Set([true]))
    const { code, stdout } = await cli(['doctor'], { ...trusting, DATABASE_URL: url(keys.caFile) })
    expect([code, stdout]).toEqual([0, expect.stringContaining('1 relay alive')])
    expect(stdout).toMatch(/^✓ database encryption: TLSv1\.\d, with a certificate that is checked\.$/m)
    expect(stdout).toMatch(/^✓ kafka encryption: /m)
    await relay.end('SIGTERM')
  })

  // The address 0.0.0.0 leads to this machine, and is no address of loopback.
  const elsewhere = (parameters: string) => `${server.url.replace('127.0.0.1', '0.0.0.0')}?${parameters}`

  test.each([
    ['sslaccept=strict', 'SELF_SIGNED_CERT_IN_CHAIN'],
    ['sslaccept=strict&sslmode=prefer', 'SELF_SIGNED_CERT_IN_CHAIN'],
    ['sslaccept=accept_invalid_certs', undefined],
    ['sslaccept=accept_invalid_certs&sslmode=require', undefined],
  ])('is spoken to as Prisma is told to by %s', async (parameters, refused) => {
    const { stdout, stderr } = await cli(['doctor'], { DATABASE_URL: elsewhere(parameters) })
    if (refused) expect(stderr).toContain(refused)
    else expect(stdout).toMatch(/^! database encryption: The connection has TLS, and the certificate is not checked\.$/m)
  })

  test.each([
    ['', 'database_clear_text', /has no TLS/],
    ['sslmode=disable', 'database_clear_text', /has no TLS/],
    ['sslmode=no-verify', 'database_clear_text', /is not checked/],
  ])('on another machine, with %j: the relay and the doctor warn', async (parameters, event, words) => {
    const relay = startRelayProcess({ ...trusting, DATABASE_URL: elsewhere(parameters) })
    const line = await relay.until((one) => one.event === event)
    expect(line).toMatchObject({ level: 'warn', msg: expect.stringMatching(words) })
    expect(JSON.stringify(line)).not.toContain('postgres:postgres')
    await relay.end('SIGTERM')
    const { stdout } = await cli(['doctor'], { DATABASE_URL: elsewhere(parameters) })
    expect(stdout).toMatch(/^! database encryption: /m)
  })

  test('whose certificate is not trusted is told, without the password', async () => {
    const other = await makeCertificates()
    onTestFinished(() => other.remove())
    const { code, stderr } = await cli(['doctor'], { ...trusting, DATABASE_URL: url(other.caFile) })
    expect([code, stderr]).toEqual([1, expect.stringContaining('SELF_SIGNED_CERT_IN_CHAIN')])
    expect(stderr).not.toContain('postgres:postgres')
    const relay = startRelayProcess({ ...trusting, DATABASE_URL: url(other.caFile) })
    await relay.until(({ code, error }) => [code, error].some((one) => String(one).includes('SELF_SIGNED_CERT_IN_CHAIN')))
    await relay.end('SIGKILL')
    expect(JSON.stringify(relay.log)).not.toContain('postgres:postgres')
  })
})

/** Gives a server its certificate; the key must be the server's own. */
async function useTls(server: PostgresServer): Promise<void> {
  const { uid, gid } = await stat(server.dir)
  const client = new pg.Client(server.url)
  await client.connect()
  for (const [setting, file] of Object.entries({ ssl_cert_file: keys.chainFile, ssl_key_file: keys.keyFile })) {
    const own = join(server.dir, basename(file))
    await copyFile(file, own)
    await chmod(own, 0o600)
    await chown(own, uid, gid)
    await client.query(`ALTER SYSTEM SET ${setting} = '${own}'`)
  }
  await client.query('ALTER SYSTEM SET ssl = on')
  await client.end()
  await server.restart()
}
