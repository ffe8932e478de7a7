import { connect, createServer } from 'node:net'
import { pipeline, Writable } from 'node:stream'
import { expect, inject, onTestFinished, test } from 'vitest'
import { type CreateRelayOptions, createRelay, type Relay } from '../../src/embed.ts'
import { LivenessCheck } from '../../src/ops/liveness.ts'
import { createLogger, relayLog } from '../../src/ops/log.ts'
import { relayMetrics } from '../../src/ops/metrics.ts'
import { relayTraces } from '../../src/ops/traces.ts'
import { type HeardConsole, hearConsole } from '../support/console.ts'
import { useDatabase } from '../support/database.ts'
import { freePort } from '../support/ports.ts'
import { insertRows } from '../support/rows.ts'
import { createTopic } from '../support/topics.ts'

const database = useDatabase('emptied')

/** An embedded relay, not started, which stops with the test. */
function embedded(options: Partial<CreateRelayOptions> = {}): Relay {
  const relay = createRelay({
    databaseUrl: database.url,
    kafka: { brokers: [inject('brokers')] },
    leaseMs: 3_000,
    stopTimeoutMs: 0,
    ...options,
  })
  onTestFinished(() => relay.stop())
  return relay
}

/** Resolves when the relay has emitted the event; it listens as metrics do, so that the console is not the quieter for it. */
const emitted = (relay: Relay, event: string): Promise<void> =>
  new Promise((resolve) => {
    const mark = Symbol.for('prisma-extension-outbox.watches')
    const handler = (name: string) => void (name === event && resolve())
    relay.on('*', Object.assign(handler, { [mark]: true }))
  })

/** A relay whose brokers are not there, with a message to send. */
async function withoutKafka(): Promise<Relay> {
  await insertRows(database.pool, [{ topic: 'orders', key: 'k' }])
  return embedded({ kafka: { brokers: [`127.0.0.1:${await freePort()}`] } })
}

const about = ({ lines }: HeardConsole, event: string) => lines.filter(({ text }) => text.includes(event))

test('an embedded relay with wrong brokers says so at the console, once, although metrics, traces and health listen', async () => {
  const heard = hearConsole()
  const relay = await withoutKafka()
  relayMetrics(relay)
  relayTraces(relay)
  new LivenessCheck(relay, 3_000)
  await relay.start()
  expect(await heard.until('kafka trouble')).toMatch(/^prisma-extension-outbox: kafka trouble {2}code=ECONNREFUSED error=/)
  expect(about(heard, 'kafka trouble')).toEqual([{ level: 'error', text: expect.any(String) }])
  expect(heard.lines.filter(({ text }) => /leases taken|heartbeat|started/.test(text))).toEqual([])
})

test('wrong brokers are told also while no message waits, and their return once', async () => {
  const heard = hearConsole()
  const port = await freePort()
  const relay = embedded({ kafka: { brokers: [`127.0.0.1:${port}`] } })
  await relay.start()
  expect(await heard.until('kafka trouble')).toContain('ECONNREFUSED')
  const recovered = emitted(relay, 'kafka_recovered')
  const proxy = createServer((socket) => {
    const [host, target] = inject('brokers').split(':')
    pipeline(socket, connect(Number(target), host), socket, () => {})
  }).listen(port, '127.0.0.1')
  onTestFinished(() => void proxy.close())
  await recovered
  expect(about(heard, 'kafka trouble')).toHaveLength(1)
})

test('a topic that does not exist is told with the command that helps, and with the brokers of the relay', async () => {
  const heard = hearConsole()
  await insertRows(database.pool, [{ topic: 'not_there', key: 'k' }])
  await embedded().start()
  const line = await heard.until('topic paused')
  expect(line).toContain('code=UNKNOWN_TOPIC_OR_PARTITION')
  expect(line).toContain(`--bootstrap-server ${inject('brokers')} --create --topic not_there`)
})

test('an event that has a handler is left to it; the others are still told', async () => {
  const heard = hearConsole()
  const small = await createTopic('silence', 1, { config: { 'max.message.bytes': '2000' } })
  await insertRows(database.pool, [
    { topic: 'not_there', key: 'k' },
    { topic: small, key: 'k', value: 'x'.repeat(5_000) },
  ])
  const relay = embedded()
  const paused = new Promise((resolve) => relay.on('topic_paused', resolve))
  await relay.start()
  await paused
  await heard.until('dead lettered')
  expect(about(heard, 'topic paused')).toEqual([])
})

test.each([
  ['a log', (relay: Relay) => relayLog(relay, { logger: createLogger('silent', false, new Writable()) })],
  ['a handler of all events', (relay: Relay) => relay.on('*', () => {})],
])('with %s nothing goes to the console', async (_, attach) => {
  const heard = hearConsole()
  const relay = await withoutKafka()
  attach(relay)
  const trouble = emitted(relay, 'kafka_trouble')
  await relay.start()
  await trouble
  expect(heard.lines).toEqual([])
})

test('once the handler is removed, the console has the event again', async () => {
  const heard = hearConsole()
  const relay = await withoutKafka()
  const off = relay.on('kafka_trouble', () => {})
  off()
  await relay.start()
  expect(await heard.until('kafka trouble')).toContain('ECONNREFUSED')
})

test('the report of a drain has the number of messages that it published', async () => {
  const topic = await createTopic('drained', 1)
  await insertRows(database.pool, [
    { topic, key: 'a' },
    { topic, key: 'b' },
    { topic: 'not_there', key: 'c' },
  ])
  hearConsole()
  expect(await embedded().drain()).toMatchObject({ published: 2, waiting: 1, endedBy: 'paused' })
  await database.query('TRUNCATE outbox')
  expect(await embedded().drain()).toMatchObject({ published: 0, endedBy: 'empty' })
})
