import 'reflect-metadata'
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { type DynamicModule, type Provider, Scope } from '@nestjs/common'
import { NestFactory } from '@nestjs/core'
import { afterAll, beforeAll, describe, expect, inject, onTestFinished, test, vi } from 'vitest'
import { createRelay } from '../../src/embed.ts'
import { enqueue } from '../../src/index.ts'
import { isOutboxError } from '../../src/message/errors.ts'
import {
  type ConsumerOptions,
  OnOutboxEvent,
  type OnOutboxEventOptions,
  OutboxHealthIndicator,
  OutboxModule,
  type ReceivedEvent,
} from '../../src/nestjs/index.ts'
import {
  type Client,
  connect,
  createStage,
  type Events,
  effect,
  eventsOf,
  inboxDatabase,
  type Stage,
  type Tx,
} from '../inbox/stage.ts'
import { createDatabase, type TestDatabase } from '../support/database.ts'
import { migrationSql } from '../support/migrations.ts'

// The module in an application of NestJS 11, with real servers. Other versions and their compilers: test/package/nestjs.test.ts.

let db: TestDatabase
let prisma: Client
beforeAll(async () => {
  db = await inboxDatabase()
  prisma = connect(db.url)
})
afterAll(async () => {
  await prisma.$disconnect()
  await db.drop()
})

type Handle = (event: ReceivedEvent<Events['events'], 'Counted'>, tx: Tx) => unknown

/** A provider with a method that is decorated as the compiler of an application does it. */
function handling(type: string, handle: Handle, options?: OnOutboxEventOptions) {
  class Handlers {
    readonly #handle = handle
    method(event: Parameters<Handle>[0], tx: Tx) {
      return this.#handle(event, tx)
    }
  }
  OnOutboxEvent(type as 'Counted', options)(
    Handlers.prototype,
    'method',
    Object.getOwnPropertyDescriptor(Handlers.prototype, 'method')!,
  )
  return Handlers
}

const relayTo = (databaseUrl: string) =>
  createRelay({ databaseUrl, leaseMs: 3_000, kafka: { brokers: inject('brokers').split(',') } })

/** A module of an application. */
function define(imports: DynamicModule[], providers: Provider[]): DynamicModule {
  class AppModule {}
  return { module: AppModule, imports, providers }
}

/** An application with these providers, a relay and a consumer, until the end of the test. */
async function start(stage: Stage, providers: Provider[], given: Partial<ConsumerOptions<Client, Events>> = {}, url = db.url) {
  const relay = relayTo(url)
  const inbox = {
    prisma,
    events: eventsOf(stage.topic),
    consumer: stage.topic,
    kafka: stage.kafka,
    retry: { firstMs: 1, maxMs: 1 },
    ...given,
  }
  const told: string[] = []
  relay.on('started', () => told.push('relay started'))
  relay.on('stopped', () => told.push('relay stopped'))
  const watch: ConsumerOptions<Client, Events>['watch'] = (one) => {
    one.on('consumer_started', ({ consumer }) => told.push(`${consumer.replace(stage.topic, 'shop')} started`))
    one.on('consumer_stopped', ({ consumer }) => told.push(`${consumer.replace(stage.topic, 'shop')} stopped`))
  }
  const outbox = OutboxModule.forRootAsync({ useFactory: async () => ({ relay, inbox: { ...inbox, watch } }) })
  const app = await NestFactory.createApplicationContext(define([outbox], providers), {
    logger: false,
    abortOnError: false,
  }).catch((error: unknown) => ({ app: undefined, error, told }))
  if ('error' in app) return app
  onTestFinished(() => app.close())
  return { app, told, error: undefined }
}

/** Enqueues an event in a transaction. */
const count = ({ topic }: Stage, n: number) =>
  prisma.$transaction((tx) => enqueue(tx, { type: 'Counted', payload: { name: 'a', n } }, { events: eventsOf(topic) }))

const effectsOf = (consumer: string) => db.query('SELECT n FROM effects WHERE consumer = $1 ORDER BY seq', [consumer])

describe('an application', () => {
  test('relays its events, and calls each handler in a transaction with the inbox, again after an error', async () => {
    const stage = await createStage(1)
    let tries = 0
    const Handlers = handling('Counted', async (event, tx) => {
      await effect(tx, stage.topic, event)
      if (++tries === 1) throw new Error('after the effect')
    })
    // The second name is no second handler.
    await start(stage, [Handlers, { provide: 'ALIAS', useExisting: Handlers }])
    await count(stage, 1)
    await count(stage, 2)
    await expect.poll(() => effectsOf(stage.topic), { timeout: 30_000 }).toEqual([{ n: 1 }, { n: 2 }])
    expect(tries).toBe(3)
  })

  test('gives consumers of their own to handlers of one event: one that fails holds the other back at no time', async () => {
    const stage = await createStage(1)
    const mail = `${stage.topic}-mail`
    const fails = handling('Counted', () => Promise.reject(new Error('always')))
    const writes = handling('Counted', (event, tx) => effect(tx, mail, event), { consumer: mail })
    const started = await start(stage, [fails, { provide: 'MADE', useFactory: () => new writes() }])
    await count(stage, 7)
    await expect.poll(() => effectsOf(mail), { timeout: 30_000 }).toEqual([{ n: 7 }])
    expect(started.told.toSorted()).toEqual(['relay started', 'shop started', 'shop-mail started'])
  })

  test('stops its consumers and its relay when it is closed', async () => {
    const stage = await createStage(1)
    const { app, told } = await start(stage, [handling('Counted', () => {})])
    await app!.close()
    expect(told.slice(-2).toSorted()).toEqual(['relay stopped', 'shop stopped'])
    expect(await db.query('SELECT 1 FROM outbox_lease WHERE owner IS NOT NULL')).toEqual([])
  })
})

test('a consumer that kafkajs gives up on ends the process, with its error', async () => {
  const { topic } = await createStage(1)
  const args = ['--import', 'tsx', fileURLToPath(new URL('given-up.ts', import.meta.url))]
  const env = { ...process.env, DATABASE_URL: db.url, KAFKA_BROKERS: inject('brokers'), TOPIC: topic }
  const ended = promisify(execFile)(process.execPath, args, { env, timeout: 50_000 })
  await expect(ended).rejects.toMatchObject({ code: 1, stderr: expect.stringContaining('OUTBOX_CONSUMER_ENDED') })
})

describe('an application does not start', () => {
  const scoped = handling('Counted', () => {})
  test.each<[string, string, Provider[]]>([
    ['without a handler', 'handlers', []],
    ['with two handlers of an event', 'handlers.Counted', [handling('Counted', () => {}), handling('Counted', () => {})]],
    [
      'with a handler in the scope of requests',
      'handlers.Counted',
      [{ provide: scoped, useClass: scoped, scope: Scope.REQUEST }],
    ],
    ['with a handler of an event that the catalog lacks', 'handlers.Lost', [handling('Lost', () => {})]],
  ])('%s', async (_, field, providers) => {
    const { error, told } = await start(await createStage(1), providers)
    expect(isOutboxError(error, 'OUTBOX_INVALID_OPTION') && error.field).toBe(field)
    expect(told).toEqual(['relay stopped'])
  })

  test('without the tables of the inbox; what it had started is stopped', async () => {
    await using bare = await createDatabase(migrationSql, { migrate: false })
    const client = connect(bare.url)
    const handlers = handling('Counted', () => {})
    const { error, told } = await start(await createStage(1), [handlers], { prisma: client }, bare.url)
    expect(isOutboxError(error, 'OUTBOX_TABLES_MISSING')).toBe(true)
    expect(told).toContain('relay stopped')
    await client.$disconnect()
  })
})

describe('health', () => {
  test('is up while the relay serves, and while it waits for the database', async () => {
    const stage = await createStage(1)
    const { app } = await start(stage, [handling('Counted', () => {})])
    expect(app!.get(OutboxHealthIndicator).isHealthy()).toEqual({ outbox: { status: 'up', relay: 'idle' } })
    expect(app!.get(OutboxHealthIndicator).isHealthy('relay')).toHaveProperty('relay.status', 'up')
  })

  test('is up in a process without a relay', () => {
    expect(new OutboxHealthIndicator(undefined).isHealthy()).toEqual({ outbox: { status: 'up', relay: 'runs elsewhere' } })
  })

  test('is down for a relay that shows no life', () => {
    vi.useFakeTimers({ toFake: ['performance'] })
    onTestFinished(() => void vi.useRealTimers())
    const health = new OutboxHealthIndicator(relayTo(db.url))
    vi.advanceTimersByTime(31_000)
    expect(health.isHealthy()).toEqual({ outbox: { status: 'down', relay: 'no heartbeat for 31 s' } })
  })
})
