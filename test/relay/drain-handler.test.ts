import { fileURLToPath } from 'node:url'
import { describe, expect, test, vi } from 'vitest'
import { type CreateRelayOptions, type DrainAnswer, drainHandler } from '../../src/embed.ts'
import { memoryTransport } from '../../src/transport/memory.ts'
import { createDatabase, useDatabase } from '../support/database.ts'
import { eventually } from '../support/eventually.ts'
import { freePort } from '../support/ports.ts'
import { relayEnv, startRelayProcess } from '../support/relay-process.ts'
import { insertMany, insertRows, times } from '../support/rows.ts'
import { createTopic, readTopic } from '../support/topics.ts'

const database = useDatabase('emptied')

const secret = 's3cret'
const url = 'http://localhost/drain'
const call = (authorization?: string, method = 'GET') =>
  new Request(url, { method, headers: authorization === undefined ? {} : { authorization } })

/** A handler that publishes to memory. */
const handler = (transport = memoryTransport(), more: Partial<CreateRelayOptions> = {}) =>
  drainHandler(() => ({ databaseUrl: database.url, listenUrl: false, transport, leaseMs: 3_000, ...more }), {
    budgetMs: 20_000,
    secret,
  })

describe('a call', () => {
  test.each(['GET', 'POST'])('by %s publishes what waits and says so', async (method) => {
    await insertRows(database.pool, [{ topic: 'orders', key: 'k' }])
    const response = await handler()(call(`Bearer ${secret}`, method))
    expect([response.status, response.headers.get('content-type')]).toEqual([200, 'application/json'])
    expect(await response.json()).toEqual({ published: 1, waiting: 0, blocked: 0, endedBy: 'empty' })
  })

  test.each([
    ['no header', undefined],
    ['a wrong secret', 'Bearer s3cre'],
    ['the secret without its scheme', secret],
    ['more than the secret', `Bearer ${secret}x`],
    ['an empty secret', 'Bearer '],
  ])('with %s is refused, and drains nothing', async (_, authorization) => {
    await insertRows(database.pool, [{ topic: 'orders', key: 'k' }])
    expect((await handler()(call(authorization))).status).toBe(401)
    expect(await database.query('SELECT 1 FROM outbox')).toHaveLength(1)
  })

  test.each(['PUT', 'DELETE', 'HEAD'])('by %s is refused', async (method) => {
    const response = await handler()(call(`Bearer ${secret}`, method))
    expect([response.status, response.headers.get('allow')]).toEqual([405, 'GET, POST'])
  })

  test('joins the drain that runs, and the next one begins a new drain', async () => {
    await insertMany(database.pool, 'orders', 100, 10)
    const drain = handler()
    const answers = await Promise.all(times(3, async () => (await drain(call(`Bearer ${secret}`))).json()))
    expect(answers).toEqual(times(3, () => ({ published: 100, waiting: 0, blocked: 0, endedBy: 'empty' })))
    await insertMany(database.pool, 'orders', 5, 5)
    const next = drainHandler(() => ({ databaseUrl: database.url, transport: memoryTransport() }), { budgetMs: 20_000, secret })
    for (const published of [5, 0]) expect(await (await next(call(`Bearer ${secret}`))).json()).toMatchObject({ published })
  })

  test('answers 500 with the code when the database refuses, and logs it', async () => {
    const told = vi.spyOn(console, 'error').mockImplementation(() => {})
    await using empty = await createDatabase('', { migrate: false })
    const response = await handler(memoryTransport(), { databaseUrl: empty.url })(call(`Bearer ${secret}`))
    expect(response.status).toBe(500)
    expect(await response.json()).toMatchObject({ code: 'OUTBOX_TABLES_MISSING', error: expect.any(String) })
    expect(told).toHaveBeenCalled()
    told.mockRestore()
  })

  test('ends within its budget while Kafka is away', async () => {
    const told = vi.spyOn(console, 'error').mockImplementation(() => {})
    await insertRows(database.pool, [{ topic: 'orders', key: 'k' }])
    const brokers = [`127.0.0.1:${await freePort()}`]
    const drain = drainHandler({ databaseUrl: database.url, kafka: { brokers } }, { budgetMs: 3_000, secret })
    const began = performance.now()
    const response = await drain(call(`Bearer ${secret}`))
    expect(performance.now() - began).toBeLessThan(5_000)
    expect(response.status).toBe(503)
    const left = { published: 0, waiting: 1, blocked: 0, endedBy: 'budget' }
    expect(await response.json()).toEqual({ ...left, code: 'ECONNREFUSED' })
    told.mockRestore()
  })
})

describe('options that would leave the door open or fail later are refused', () => {
  const options = { databaseUrl: 'postgresql://localhost/test', kafka: { brokers: ['localhost:9092'] } }

  test('an empty secret, at once', () => {
    expect(() => drainHandler(options, { budgetMs: 2_000, secret: '' })).toThrow(
      expect.objectContaining({ code: 'OUTBOX_INVALID_OPTION', field: 'secret' }),
    )
  })

  test('a transport that would be closed after the first call', () => {
    expect(() => drainHandler({ ...options, transport: memoryTransport() }, { budgetMs: 2_000, secret })).toThrow(
      expect.objectContaining({ code: 'OUTBOX_INVALID_OPTION', field: 'transport' }),
    )
  })

  test('a secret that is not set, at each call: a build has no environment', async () => {
    const told = vi.spyOn(console, 'error').mockImplementation(() => {})
    const response = await drainHandler(options, { budgetMs: 2_000, secret: undefined })(call('Bearer undefined'))
    expect(response.status).toBe(500)
    expect(await response.json()).toMatchObject({ code: 'OUTBOX_INVALID_OPTION' })
    told.mockRestore()
  })
})

test('ten calls at once in five processes, one of which is killed: nothing lost, order kept, no call over its budget', async () => {
  const budgetMs = 8_000
  const topic = await createTopic('cron')
  const program = fileURLToPath(new URL('../support/drain-server.mjs', import.meta.url))
  const env = { ...relayEnv(database), CRON_SECRET: secret, BUDGET_MS: String(budgetMs) }
  const servers = times(5, () => startRelayProcess(env, [program]))
  const ports = await Promise.all(servers.map((server) => server.until((line) => line.event === 'listening')))
  await insertMany(database.pool, topic, 5_000, 40)
  const drain = async (port: unknown) => {
    const began = performance.now()
    const response = await fetch(`http://127.0.0.1:${port}`, { headers: { authorization: `Bearer ${secret}` } })
    return { ms: performance.now() - began, answer: (await response.json()) as DrainAnswer }
  }
  const calls = ports.flatMap(({ port }) => times(2, () => drain(port).catch(() => undefined)))
  const owners =
    'SELECT DISTINCT r.name FROM outbox_lease l JOIN outbox_relay r ON r.id = l.owner AND l.leased_until > clock_timestamp()'
  const owner = async () => (await database.query<{ name: string }>(owners))[0]?.name
  // The one that works is killed, in the middle: as soon as the first messages are there.
  await eventually(database.pool, 'SELECT FROM outbox HAVING count(*) < 4900')
  const name = await owner()
  const killed = servers.find(({ child }) => name?.endsWith(`-${child.pid}`))!
  await killed.end('SIGKILL')
  const answered = (await Promise.all(calls)).filter((one) => one !== undefined)
  expect(answered).toHaveLength(8)
  for (const { ms } of answered) expect(ms).toBeLessThan(budgetMs + 2_000)
  const survivor = ports[servers.findIndex((server) => server !== killed)]!.port
  await expect
    .poll(async () => (await drain(survivor)).answer, { timeout: 60_000, interval: 500 })
    .toMatchObject({ waiting: 0, endedBy: 'empty' })
  const seen = new Map<string, Set<number>>()
  for (const { key, value } of await readTopic(topic)) {
    const numbers = seen.get(String(key)) ?? new Set()
    // First occurrences rise; a copy repeats what was seen before.
    const n = JSON.parse(String(value)).n
    if (!numbers.has(n)) expect(n).toBeGreaterThan(Math.max(0, ...numbers))
    seen.set(String(key), numbers.add(n))
  }
  expect([...seen.values()].reduce((sum, { size }) => sum + size, 0)).toBe(5_000)
  console.log(`published by each call: ${answered.map(({ answer }) => `${answer.published} ${answer.endedBy}`).join(', ')}`)
}, 120_000)
