import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { describe, expect, onTestFinished, test } from 'vitest'
import { LivenessCheck } from '../../src/ops/liveness.ts'
import { memoryTransport } from '../../src/transport/memory.ts'
import { builtMain } from '../support/build.ts'
import { cli } from '../support/cli.ts'
import { useDatabase } from '../support/database.ts'
import { startKafka } from '../support/kafka.ts'
import { freePort } from '../support/ports.ts'
import { testRelay } from '../support/relay.ts'
import { relayEnv, startRelayProcess } from '../support/relay-process.ts'
import { insertRows } from '../support/rows.ts'
import { createTopic } from '../support/topics.ts'

const database = useDatabase('emptied')
const env = relayEnv(database, { OUTBOX_LISTEN: '127.0.0.1:0', OUTBOX_NAME: 'relay-1' })

/** A relay that listens; `ask` reads a page of it. */
async function watchedRelay(more: Record<string, string> = {}, flags: readonly string[] = []) {
  const relay = startRelayProcess({ ...env, ...more }, [builtMain, 'relay', ...flags])
  const { url } = await relay.until((line) => line.event === 'listening')
  const ask = async (page: string, headers: Record<string, string> = {}) => {
    const response = await fetch(`${url}/${page}`, { headers })
    const body = await response.text()
    return { status: response.status, body, json: body.startsWith('{') ? JSON.parse(body) : undefined }
  }
  /** Asks again and again until the answer fits. */
  const until = async (page: string, fits: (answer: Awaited<ReturnType<typeof ask>>) => boolean) => {
    for (;;) {
      const answer = await ask(page)
      if (fits(answer)) return answer
      await pause(50)
    }
  }
  return { relay, port: new URL(String(url)).port, ask, until }
}

test('a relay that works is alive and ready, and its metrics count what it publishes', async () => {
  const topic = await createTopic('watched')
  const { port, until, ask } = await watchedRelay()
  expect((await until('readyz', ({ status }) => status === 200)).json).toMatchObject({
    ready: true,
    checks: { database: { ok: true }, tables: { ok: true }, kafka: { ok: true, why: 'answers' } },
    relay: 'relay-1',
  })
  expect(await ask('livez')).toMatchObject({ status: 200, json: { alive: true } })
  await insertRows(database.pool, [
    { topic, key: 'a' },
    { topic, key: 'b' },
  ])
  await until('metrics', ({ body }) => body.includes(`outbox_messages_published_total{topic="${topic}"} 2`))
  const { body } = await until('metrics', (answer) => /^outbox_leases\{state="held"\} 64$/m.test(answer.body))
  expect(body).toMatch(/^outbox_leases_owned 64$/m)
  expect(body).toMatch(/^outbox_relay_info\{name="relay-1",version=".*"\} 1$/m)
  expect(body).toMatch(/^process_resident_memory_bytes \d+$/m)
  expect((await ask('readyz')).json.checks.kafka.why).toBe('acknowledges')
  for (const more of [[], ['--ready']]) {
    expect(await cli(['healthcheck', '--listen', port, ...more])).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('true'),
    })
  }
})

describe('a relay that waits is alive, and not ready', () => {
  test('without Kafka', async () => {
    const nobody = await freePort()
    const { port, until, ask } = await watchedRelay({ KAFKA_BROKERS: `127.0.0.1:${nobody}` })
    const { json } = await until('readyz', (answer) => answer.json.checks.database.ok)
    expect(json).toMatchObject({ ready: false, checks: { kafka: { ok: false } } })
    expect(await ask('livez')).toMatchObject({ status: 200, json: { alive: true } })
    await insertRows(database.pool, [{ topic: 't', key: 'a' }])
    expect((await until('livez', (answer) => answer.json.why !== 'idle')).json).toMatchObject({
      alive: true,
      why: expect.stringContaining('waits for Kafka'),
    })
    await until('metrics', ({ body }) => /^outbox_kafka_trouble 1$/m.test(body))
    const asked = await cli(['healthcheck', '--ready', '--listen', `localhost:${port}`])
    expect(asked).toMatchObject({ code: 1, stdout: expect.stringContaining('"ready":false') })
    expect((await cli(['healthcheck'], { OUTBOX_LISTEN: `0.0.0.0:${port}` })).code).toBe(0)
  })

  test('while Kafka stands still; once it goes on the relay is ready, although a topic is missing', async () => {
    const kafka = await startKafka()
    onTestFinished(() => kafka.remove())
    const { relay, until, ask } = await watchedRelay({ KAFKA_BROKERS: kafka.brokers })
    await insertRows(database.pool, [{ topic: 'missing', key: 'a' }])
    await relay.until(({ event }) => event === 'topic_paused')
    kafka.signal('SIGSTOP')
    await relay.until(({ event }) => event === 'kafka_trouble')
    expect(await ask('readyz')).toMatchObject({ status: 503, json: { checks: { kafka: { ok: false } } } })
    kafka.signal('SIGCONT')
    const { json } = await until('readyz', ({ status }) => status === 200)
    expect(json).toMatchObject({ ready: true, pausedTopics: 1 })
    expect((await ask('metrics')).body).toMatch(/^outbox_kafka_trouble 0$/m)
    expect(relay.log.filter(({ event }) => event === 'kafka_recovered')).toHaveLength(1)
  })

  test('without its database, from its start on', async () => {
    const { ask, until } = await watchedRelay({ DATABASE_URL: `postgresql://u:p@127.0.0.1:${await freePort()}/d` })
    await until('livez', (answer) => answer.status === 200 && answer.json.why.includes('waits for the database (ECONNREFUSED)'))
    expect(await ask('readyz')).toMatchObject({ status: 503, json: { checks: { database: { ok: false, why: 'ECONNREFUSED' } } } })
    await until('metrics', ({ body }) => /^outbox_sample_failures_total [1-9]/m.test(body))
  })

  test('with tables of another format', async () => {
    const { until } = await watchedRelay()
    await until('readyz', ({ status }) => status === 200)
    await database.query('UPDATE outbox_lease SET format = 7')
    const { json } = await until('readyz', ({ status }) => status === 503)
    expect(json.checks.tables).toEqual({ ok: false, why: 'format 7, this version knows 1, 2' })
  })
})

test('a relay whose lane never comes to an end, though Kafka and database are there, is not alive', async () => {
  const transport = memoryTransport({ topics: { t: 1 } })
  transport.publish = () => new Promise(() => {})
  const { relay, until } = testRelay(database.url, transport, { stopTimeoutMs: 0 })
  onTestFinished(() => relay.stop())
  // Half a minute of its clock is a second and a half.
  const liveness = new LivenessCheck(relay, relay.settings.leaseMs, () => performance.now() * 20)
  await relay.start()
  await until('leases_taken')
  await insertRows(database.pool, [{ topic: 't', key: 'a' }])
  await until('heartbeat', ({ inFlight }) => inFlight === 1)
  expect(liveness.live.alive).toBe(true)
  while (liveness.live.alive) await pause(20)
  expect(liveness.live.why).toContain('none moved')
})

test('connections that stay open do not keep a relay from stopping', async () => {
  const { relay, port, ask } = await watchedRelay()
  await relay.until((line) => line.event === 'leases_taken')
  const silent = connect(Number(port), '127.0.0.1')
  silent.on('error', () => {})
  await once(silent, 'connect')
  await ask('livez')
  const asked = performance.now()
  expect(await relay.end('SIGTERM')).toEqual({ code: 0, signal: null })
  expect(performance.now() - asked).toBeLessThan(3_000)
})

describe('the login of /metrics', () => {
  const basic = { authorization: `Basic ${Buffer.from('scraper:pass:word').toString('base64')}` }

  test.each(['environment', 'file'])('from the %s; health asks for none', async (from) => {
    const dir = mkdtempSync(join(tmpdir(), 'outbox-login-'))
    onTestFinished(() => rmSync(dir, { recursive: true }))
    writeFileSync(join(dir, 'login'), 'scraper:pass:word\n')
    const { ask } = await watchedRelay(
      from === 'file' ? { OUTBOX_HTTP_LOGIN_FILE: join(dir, 'login') } : { OUTBOX_HTTP_LOGIN: 'scraper:pass:word' },
    )
    expect((await ask('metrics')).status).toBe(401)
    expect((await ask('metrics', basic)).status).toBe(200)
    expect((await ask('livez')).status).toBe(200)
  })

  test('a wrong one is told with its address and counted; it is not in the log', async () => {
    const { relay, ask } = await watchedRelay({ OUTBOX_HTTP_LOGIN: 'scraper:pass:word' })
    const wrong = { authorization: `Basic ${Buffer.from('scraper:canary').toString('base64')}` }
    const [refused, { status }] = await Promise.all([relay.until((line) => line.event === 'http_refused'), ask('metrics', wrong)])
    expect([status, refused]).toEqual([
      401,
      expect.objectContaining({ level: 'warn', reason: 'wrong_login', address: '127.0.0.1' }),
    ])
    expect(JSON.stringify(refused)).not.toContain('canary')
    expect((await ask('metrics', basic)).body).toContain('outbox_http_refused_total{reason="wrong_login"} 1')
  })

  test.each([
    ['0.0.0.0:0', {}, true],
    ['0.0.0.0:0', { OUTBOX_HTTP_LOGIN: 'scraper:pass:word' }, false],
    ['127.0.0.1:0', {}, false],
  ])('on %s with %o: a line warns of an address that is open to others: %s', async (OUTBOX_LISTEN, login, warns) => {
    const { relay } = await watchedRelay({ OUTBOX_LISTEN, ...login })
    await relay.until((line) => line.event === 'started')
    expect(relay.log.filter((line) => line.event === 'listening_without_login')).toHaveLength(warns ? 1 : 0)
  })

  test.each([
    ['a misspelled one', { OUTBOX_HTTP_LOGGIN: 'canary', OUTBOX_NAME: 'a' }, ['OUTBOX_HTTP_LOGGIN']],
    ['a file for what is no secret', { OUTBOX_NAME_FILE: '/canary' }, ['OUTBOX_NAME_FILE']],
    ['those of a Kubernetes Service', { OUTBOX_RELAY_SERVICE_PORT_HTTP: '1', OUTBOX_PORT_80_TCP: 'x' }, undefined],
  ])('variables that are no settings are named, without values: %s', async (_, variables, named) => {
    const { relay } = await watchedRelay(variables)
    await relay.until((line) => line.event === 'started')
    const line = relay.log.find(({ event }) => event === 'variables_ignored')
    expect(line?.variables).toEqual(named)
    expect(JSON.stringify(relay.log)).not.toContain('canary')
  })

  test.each([
    ['OUTBOX_HTTP_LOGIN', 'canary', 'OUTBOX_HTTP_LOGIN must be user:password'],
    ['OUTBOX_HTTP_LOGIN_FILE', '/not/there', 'OUTBOX_HTTP_LOGIN_FILE names a file that cannot be read (ENOENT)'],
    ['OUTBOX_LISTEN', 'http://u:canary@h', 'OUTBOX_LISTEN must be host:port'],
    ['OUTBOX_LISTEN', '127.0.0.1:70000', 'OUTBOX_LISTEN must be host:port'],
  ])('%s=%s is refused', async (name, value, words) => {
    const { code, stderr } = await cli(['relay'], { ...env, [name]: value })
    expect([code, stderr]).toEqual([2, expect.stringContaining(words)])
    expect(stderr).not.toContain('canary')
  })
})

test('--http-login-file wins over the variable, and its path is not shown', async () => {
  const { code, stderr } = await cli(['relay', '--http-login-file', '/not/canary'], { ...env, OUTBOX_HTTP_LOGIN: 'u:canary' })
  expect([code, stderr]).toEqual([2, expect.stringContaining('--http-login-file names a file that cannot be read (ENOENT)')])
  expect(stderr).not.toContain('canary')
})

describe('--dashboard', () => {
  const [payload, value] = [{ note: 'a payload to hide' }, 'a header value to hide']

  /** A relay with one message that waits, for a topic that Kafka does not know; gives the answers of its pages. */
  async function shown(flags: readonly string[]) {
    const { ask } = await watchedRelay({}, flags)
    const messageId = randomUUID()
    const headers = { 'x-header': value }
    await insertRows(database.pool, [
      { topic: `not-there-${messageId}`, key: 'ada', value: JSON.stringify(payload), headers, messageId },
    ])
    return { ask, page: `message?id=${messageId}` }
  }

  test.each([
    ['payload', true],
    ['on', false],
    ['is not given:', false],
  ])('%s shows payload and header values: %s; keys and names of headers it always shows', async (flag, visible) => {
    const { ask, page } = await shown(flag.endsWith(':') ? [] : ['--dashboard', flag])
    const { status, body } = await ask(page)
    expect(status).toBe(200)
    expect([body.includes(payload.note), body.includes(value)]).toEqual([visible, visible])
    expect(body.includes('Values are hidden.')).toBe(!visible)
    for (const always of ['ada', 'x-header']) expect(body).toContain(always)
  })

  test('off leaves no page for people, and no file of one; metrics and health answer', async () => {
    const { ask, page } = await shown(['--dashboard', 'off'])
    const gone = ['', 'messages', page, 'dead', 'dashboard.css', 'dashboard.js', 'icon.svg']
    expect(await Promise.all(gone.map(async (one) => (await ask(one)).status))).toEqual(gone.map(() => 404))
    expect(await ask('metrics')).toMatchObject({ status: 200, body: expect.stringContaining('outbox_relay_info') })
    expect((await ask('livez')).status).toBe(200)
  })

  test('another word is refused', async () => {
    const { code, stderr } = await cli(['relay', '--dashboard', 'canary'], env)
    expect([code, stderr]).toEqual([2, expect.stringContaining('--dashboard must be one of on, payload, off')])
    expect(stderr).not.toContain('canary')
  })
})

test('an address that another one listens on ends the relay at its start with 2', async () => {
  const { port } = await watchedRelay()
  const { code, stderr } = await cli(['relay'], { ...env, OUTBOX_LISTEN: port })
  expect([code, stderr]).toEqual([2, expect.stringContaining('EADDRINUSE')])
})

test('healthcheck without a relay, or without its address, says so', async () => {
  const nobody = await cli(['healthcheck', '--listen', String(await freePort())])
  expect(nobody).toMatchObject({ code: 1, stdout: 'No answer of a relay (ECONNREFUSED).\n' })
  expect(await cli(['healthcheck'])).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('OUTBOX_LISTEN is missing. Set OUTBOX_LISTEN, or give --listen.'),
  })
})
