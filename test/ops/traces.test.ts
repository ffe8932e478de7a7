import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { context, propagation, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api'
import { describe, expect, inject, onTestFinished, test } from 'vitest'
import { continueTrace, defineEvents, event, outbox } from '../../src/index.ts'
import { relayTraces } from '../../src/ops/traces.ts'
import { Telemetry } from '../../src/relay/telemetry.ts'
import { kafkajsTransport } from '../../src/transport/kafkajs/kafkajs.ts'
import { prisma7, shopSql } from '../enqueue/clients.ts'
import { connect, createStage, effect, inboxDatabase, start } from '../inbox/stage.ts'
import { createDatabase } from '../support/database.ts'
import { testRelay } from '../support/relay.ts'
import { keepSpans } from '../support/spans.ts'
import { createTopic, testKafka } from '../support/topics.ts'

const { PrismaClient, PrismaPg } = prisma7

/** The application's, of the SDK that is registered now. */
const tracer = () => trace.getTracer('shop')

/** A web application: each request is a span, in the trace of anyone who asked. Gives its address. */
async function serve(handle: () => Promise<void>): Promise<string> {
  const server = createServer((request, response) => {
    const parent = propagation.extract(context.active(), request.headers)
    tracer().startActiveSpan('POST /orders', { kind: SpanKind.SERVER }, parent, async (span) => {
      await handle()
      span.end()
      response.end()
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** A mail service, which makes a span of each message that it gets; resolves when it had so many. */
async function consume(topic: string, count: number): Promise<void> {
  const consumer = testKafka().consumer({ groupId: topic, maxWaitTimeInMs: 50 })
  await consumer.connect()
  onTestFinished(() => consumer.disconnect())
  await consumer.subscribe({ topic, fromBeginning: true })
  let left = count
  await new Promise<void>((resolve) => {
    void consumer.run({
      eachMessage: ({ message }) =>
        continueTrace(message.headers, async () => {
          const span = tracer().startSpan('process', { kind: SpanKind.CONSUMER })
          await Promise.resolve()
          span.end()
          if (--left === 0) resolve()
        }),
    })
  })
}

test('from a web request through the outbox and Kafka to a consumer it is one trace, and the relay links to it', async () => {
  const { named } = keepSpans()
  const db = await createDatabase(shopSql)
  onTestFinished(() => db.drop())
  const topic = await createTopic('traced', 1)
  const prisma = new PrismaClient({ adapter: new PrismaPg({ connectionString: db.url }) }).$extends(outbox())
  onTestFinished(() => prisma.$disconnect())
  const url = await serve(() =>
    prisma.$transaction(async (tx) => {
      await tx.order.create({ data: { customer: 'ada' } })
      await tx.outbox.enqueue({ topic, key: 'a', payload: 1 })
      await tx.outbox.enqueueMany([{ topic, key: 'a', payload: 2 }])
    }),
  )
  const browser = 'c'.repeat(32)
  const ask = (traceparent: string) => fetch(url, { method: 'POST', headers: { traceparent } })
  await ask(`00-${browser}-${'d'.repeat(16)}-01`)
  await ask(`00-${'e'.repeat(32)}-${'d'.repeat(16)}-01`)
  await prisma.$transaction((tx) => tx.outbox.enqueue({ topic, key: 'a', payload: 'of no trace' }))

  const one = testRelay(db.url, kafkajsTransport({ brokers: inject('brokers').split(',') }))
  relayTraces(one.relay)
  // Its own spans must not become children of whatever started it.
  await tracer().startActiveSpan('startup', () => one.relay.drain())
  await consume(topic, 5)

  const requests = named('POST /orders').map((span) => span.spanContext())
  expect(requests.map(({ traceId }) => traceId)).toEqual([browser, 'e'.repeat(32)])
  const processed = named('process').map((span) => [span.spanContext().traceId, span.parentSpanContext?.spanId])
  const [first, second] = requests.map(({ traceId, spanId }) => [traceId, spanId])
  expect(processed.slice(0, 4)).toEqual([first, first, second, second])
  expect(processed[4]![1]).toBeUndefined()

  const sent = named(`send ${topic}`)
  expect(sent.map((span) => span.parentSpanContext)).toEqual([undefined])
  expect(sent[0]!.kind).toBe(SpanKind.CLIENT)
  expect(sent[0]!.links.map(({ context }) => [context.traceId, context.spanId, context.isRemote])).toEqual([
    [...first!, true],
    [...second!, true],
  ])
  expect(sent[0]!.attributes).toEqual({
    'messaging.system': 'kafka',
    'messaging.operation.type': 'send',
    'messaging.operation.name': 'send',
    'messaging.destination.name': topic,
    'messaging.destination.partition.id': '0',
    'messaging.batch.message_count': 5,
  })
  const { ms } = one.all('published')[0]!
  const [seconds, nanos] = sent[0]!.duration
  expect(seconds * 1_000 + nanos / 1e6).toBeCloseTo(ms, 0)
})

test('a handler of the inbox goes on with the trace of its event: request, enqueue, and a span made in the handler', async () => {
  const { named } = keepSpans()
  const db = await inboxDatabase()
  onTestFinished(() => db.drop())
  const [stage, prisma] = [await createStage(1), connect(db.url)]
  onTestFinished(() => prisma.$disconnect())
  const url = await serve(() =>
    prisma.$transaction(async (tx) => {
      await tx.outbox.enqueue({ topic: stage.topic, type: 'Other', key: 'a', payload: { name: 'a', n: 1 } })
    }),
  )
  const traceId = 'c'.repeat(32)
  await fetch(url, { method: 'POST', headers: { traceparent: `00-${traceId}-${'d'.repeat(16)}-01` } })
  const one = testRelay(db.url, kafkajsTransport({ brokers: inject('brokers').split(',') }))
  relayTraces(one.relay)
  await one.relay.drain()
  const { until } = start(stage, prisma, 'mail', {
    handlers: {
      Other: async (event, tx) => {
        // The handler's own statements must not lose the trace.
        await effect(tx, 'mail', event)
        tracer().startSpan('write the mail', { kind: SpanKind.CONSUMER }).end()
      },
    },
  })
  await until('applied')

  const [request] = named('POST /orders').map((span) => span.spanContext())
  expect(request!.traceId).toBe(traceId)
  const [sent] = named(`send ${stage.topic}`)
  expect(sent!.links.map(({ context }) => [context.traceId, context.spanId])).toEqual([[traceId, request!.spanId]])
  const handled = named('write the mail').map((span) => [span.spanContext().traceId, span.parentSpanContext?.spanId])
  expect(handled).toEqual([[traceId, request!.spanId]])
})

test('an enqueue whose schema is asynchronous belongs to the span that called it', async () => {
  const { named } = keepSpans()
  const db = await createDatabase(shopSql)
  onTestFinished(() => db.drop())
  const slow = { '~standard': { version: 1 as const, vendor: 'slow', validate: async (value: unknown) => ({ value }) } }
  const events = defineEvents({ Slow: event({ topic: 'slow', schema: slow }) })
  const prisma = new PrismaClient({ adapter: new PrismaPg({ connectionString: db.url }) }).$extends(outbox({ events }))
  onTestFinished(() => prisma.$disconnect())
  await prisma.$transaction(async (tx) => {
    const enqueue = () => tx.outbox.enqueue({ type: 'Slow', payload: 1 })
    const pending = tracer().startActiveSpan('caller', (span) => {
      const done = enqueue()
      span.end()
      return done
    })
    await tracer().startActiveSpan('other', () => pending)
  })
  const { traceId, spanId } = named('caller')[0]!.spanContext()
  const [row] = await db.query<{ headers: Record<string, string> }>('SELECT headers FROM outbox')
  expect(row!.headers.traceparent).toBe(`00-${traceId}-${spanId}-01`)
})

describe('spans of a relay', () => {
  const sent = { topic: 't', partition: 2, records: 1, bytes: 1, ms: 5, agesMs: [1], traces: [] }

  test('of a single message tell no number, of one that was refused the code', () => {
    const { named } = keepSpans()
    const telemetry = new Telemetry()
    relayTraces(telemetry)
    telemetry.emit('published', sent)
    telemetry.emit('publish_failed', { ...sent, kind: 'unknown', code: 'TIMEOUT' })
    const [good, bad] = named('send t')
    expect(good!.attributes).not.toHaveProperty('messaging.batch.message_count')
    expect(good!.status.code).toBe(SpanStatusCode.UNSET)
    expect(bad!.attributes).toMatchObject({ 'error.type': 'TIMEOUT', 'messaging.destination.partition.id': '2' })
    expect(bad!.status.code).toBe(SpanStatusCode.ERROR)
  })

  test('need an SDK only when one is there, however late, and end with the subscription', () => {
    const telemetry = new Telemetry()
    const end = relayTraces(telemetry)
    telemetry.emit('published', sent)
    const { named } = keepSpans()
    expect(named('send t')).toHaveLength(0)
    telemetry.emit('published', sent)
    expect(named('send t')).toHaveLength(1)
    end()
    telemetry.emit('published', sent)
    expect(named('send t')).toHaveLength(1)
  })
})
