import { randomUUID } from 'node:crypto'
import net from 'node:net'
import { Kafka, KafkaJSNonRetriableError, logLevel } from 'kafkajs'
import { afterAll, beforeAll, beforeEach, describe, expect, inject, test } from 'vitest'
import { createInbox } from '../../src/inbox/index.ts'
import { isOutboxError } from '../../src/message/errors.ts'
import { createDatabase, type TestDatabase } from '../support/database.ts'
import { type Client, connect, createStage, effect, inboxDatabase, record, start } from './stage.ts'

let db: TestDatabase
let prisma: Client
beforeAll(async () => {
  db = await inboxDatabase()
  prisma = connect(db.url)
})
beforeEach(() => db.query('TRUNCATE inbox, inbox_parked, effects, outbox'))
afterAll(async () => {
  await prisma.$disconnect()
  await db.drop()
})

const effects = (consumer = 'mail') =>
  db.query<{ name: string; n: number; message_id: string }>(
    `SELECT name, n, message_id FROM effects WHERE consumer = '${consumer}' ORDER BY seq`,
  )
const numbers = async (name: string, consumer?: string) =>
  (await effects(consumer)).filter((row) => row.name === name).map(({ n }) => n)
const parked = () =>
  db.query<{ n: number | null; reason: string | null; attempts: number; error: string | null }>(
    `SELECT substring(convert_from(value, 'UTF8') from '"n":(\\d+)')::int AS n, reason, attempts, error
     FROM inbox_parked ORDER BY "partition", "offset"`,
  )

describe('what a handler gets', () => {
  test('every message once, whatever copies there are, in its newest version; types without a handler are passed over', async () => {
    const stage = await createStage(1)
    const id = randomUUID()
    await stage.send([
      record('a', 1, { id }),
      record('a', 1, { id }),
      record('a', 2, { version: '1', value: JSON.stringify({ name: 'a', count: '2' }) }),
      record('a', 3, { type: 'Other' }),
      record('a', 4, { type: 'Foreign' }),
      { key: 'a', value: 'no header at all' },
      record('a', 1, { id }),
      record('a', 5),
    ])
    const seen: unknown[] = []
    const { until, told } = start(stage, prisma, 'mail', {
      handlers: {
        Counted: async (event, tx) => {
          seen.push({ ...event, key: String(event.key) })
          await effect(tx, 'mail', event)
        },
      },
    })
    await until(
      'applied',
      () => told.filter(({ event, fields }) => event === 'applied' && 'messages' in fields && fields.messages === 1).length === 3,
    )
    expect(await numbers('a')).toEqual([1, 2, 5])
    expect(seen[0]).toMatchObject({
      id,
      type: 'Counted',
      version: 2,
      payload: { name: 'a', n: 1 },
      topic: stage.topic,
      partition: 0,
    })
    expect(seen[0]).toMatchObject({ offset: '0', key: 'a', createdAt: new Date('2026-11-25T20:00:00.000Z') })
    expect(seen[1]).toMatchObject({ version: 1, payload: { name: 'a', n: 2 } })
  })

  test("the extended client: an enqueue of its own commits with the effect, and is rolled back with a handler's error", async () => {
    const stage = await createStage(1)
    await stage.send([record('a', 1)])
    let tries = 0
    const { until } = start(stage, prisma, 'mail', {
      handlers: {
        Counted: async ({ payload }, tx) => {
          await tx.outbox.enqueue({ topic: 'letters', key: payload.name, payload: { n: payload.n } })
          if (++tries === 1) throw new Error('after the enqueue')
        },
      },
    })
    await until('applied')
    expect(tries).toBe(2)
    expect(await db.query('SELECT topic FROM outbox')).toEqual([{ topic: 'letters' }])
  })

  test('with batch: the fresh events of one transaction, grouped by type in their order', async () => {
    const stage = await createStage(1)
    const id = randomUUID()
    await stage.send([
      record('a', 1, { id }),
      record('a', 2),
      record('a', 1, { id }),
      record('b', 3, { type: 'Other' }),
      record('a', 4),
    ])
    const calls: number[][] = []
    const handler = (events: readonly { payload: { n: number } }[]) => void calls.push(events.map(({ payload }) => payload.n))
    const { until } = start(stage, prisma, 'mail', {
      batch: 100,
      handlers: { Counted: handler as never, Other: handler as never },
    })
    expect(await until('applied')).toMatchObject({ messages: 4, copies: 1 })
    expect(calls).toEqual([[1, 2], [3], [4]])
  })
})

describe('a handler that fails', () => {
  test('twelve times and then succeeds: the order is kept, and the other partition waits at no time for two seconds', async () => {
    const stage = await createStage(2)
    await stage.send([1, 2, 3].map((n) => record('slow', n, { partition: 0 })))
    let failures = 0
    const { until, told } = start(stage, prisma, 'mail', {
      handlers: {
        Counted: async (event, tx) => {
          if (event.payload.name === 'slow' && event.payload.n === 1 && failures < 12) {
            failures++
            throw new Error('not yet')
          }
          await effect(tx, 'mail', event)
        },
      },
    })
    await until('apply_failed')
    // The other partition is given a message, and its effect is waited for, until the first one has come through.
    const delays: number[] = []
    for (let n = 1; (await numbers('slow')).length < 3; n++) {
      const sent = performance.now()
      await stage.send([record('quick', n, { partition: 1 })])
      const before = told.filter(
        ({ event, fields }) => event === 'applied' && (fields as { partition: number }).partition === 1,
      ).length
      if (before < n)
        await until(
          'applied',
          () =>
            told.filter((one) => one.event === 'applied' && (one.fields as { partition: number }).partition === 1).length >= n,
        )
      delays.push(performance.now() - sent)
    }
    expect(failures).toBe(12)
    expect(told.filter(({ event }) => event === 'apply_failed')).toHaveLength(12)
    expect(await numbers('slow')).toEqual([1, 2, 3])
    expect(delays.length).toBeGreaterThan(1)
    expect(Math.max(...delays)).toBeLessThan(2_000)
    expect(told.some(({ event }) => event === 'consumer_crashed')).toBe(false)
  })

  test('with an error that kafkajs would end a consumer for: the consumer does not see it', async () => {
    const stage = await createStage(1)
    await stage.send([record('a', 1)])
    let tries = 0
    const { until, told } = start(stage, prisma, 'mail', {
      handlers: {
        Counted: () => {
          if (++tries < 3) throw new KafkaJSNonRetriableError('of a producer in the handler')
        },
      },
    })
    await until('applied')
    expect(tries).toBe(3)
    expect(told.some(({ event }) => event === 'consumer_crashed')).toBe(false)
  })

  test('and catches the error of a statement: nothing was committed, so the message is not taken for applied', async () => {
    const stage = await createStage(1)
    await stage.send([record('a', 1)])
    let tries = 0
    const { until } = start(stage, prisma, 'mail', {
      handlers: {
        Counted: async (event, tx) => {
          await effect(tx, 'mail', event)
          if (++tries === 1) await tx.$executeRaw`SELECT 1 / 0`.catch(() => {})
        },
      },
    })
    expect(await until('apply_failed')).toMatchObject({ code: '25P02', attempt: 1 })
    await until('applied')
    expect(await numbers('a')).toEqual([1])
  })

  test('to come to an end is given up after its time, rolled back, and tried again', async () => {
    const stage = await createStage(1)
    await stage.send([record('a', 1)])
    let tries = 0
    const { until } = start(stage, prisma, 'mail', {
      handlerTimeoutMs: 300,
      handlers: {
        Counted: async (event, tx) => {
          await effect(tx, 'mail', event)
          if (++tries === 1) await new Promise(() => {})
        },
      },
    })
    expect(await until('apply_failed')).toMatchObject({ code: 'HANDLER_TIMEOUT' })
    await until('applied')
    expect(await numbers('a')).toEqual([1])
  })

  test('in a batch: its messages are tried one by one, and only the guilty one waits', async () => {
    const stage = await createStage(1)
    await stage.send([1, 2, 3, 4].map((n) => record('a', n)))
    let failures = 0
    const { until, told } = start(stage, prisma, 'mail', {
      batch: 100,
      handlers: {
        Counted: (async (events: readonly { id: string; payload: { name: string; n: number } }[], tx: never) => {
          if (events.some(({ payload }) => payload.n === 3) && failures++ < 3) throw new Error('not yet')
          for (const event of events) await effect(tx, 'mail', event)
        }) as never,
      },
    })
    await until('applied', () => told.filter(({ event }) => event === 'applied').length >= 4)
    expect(await numbers('a')).toEqual([1, 2, 3, 4])
    expect(told.filter(({ event }) => event === 'apply_failed').map(({ fields }) => fields)).toMatchObject([
      { offset: '2', attempt: 1 },
      { offset: '2', attempt: 2 },
    ])
  })
})

describe('parking', () => {
  const poisonous = (isPoison: () => boolean) => ({
    park: { after: 3 },
    handlers: {
      Counted: async (event: { id: string; payload: { name: string; n: number } }, tx: never) => {
        if (event.payload.name === 'poison' && event.payload.n === 1 && isPoison()) throw new Error('cannot be done')
        await effect(tx, 'mail', event)
      },
    } as never,
  })

  test('a message is put aside after so many tries, those of its key behind it, and other keys go on', async () => {
    const stage = await createStage(1)
    const id = randomUUID()
    await stage.send([
      record('poison', 1, { id }),
      record('fine', 1),
      record('poison', 2),
      record('poison', 1, { id }),
      record('fine', 2),
    ])
    const { until, told } = start(
      stage,
      prisma,
      'mail',
      poisonous(() => true),
    )
    await until(
      'applied',
      () => told.filter(({ event, fields }) => event === 'applied' && 'messages' in fields && fields.messages === 1).length === 2,
    )
    expect(await parked()).toMatchObject([
      { n: 1, reason: 'HANDLER_FAILED', attempts: 3, error: 'cannot be done' },
      { n: 2, reason: null, attempts: 0 },
    ])
    expect(await numbers('fine')).toEqual([1, 2])
    expect(await numbers('poison')).toEqual([])
    expect(told.filter(({ event }) => event === 'apply_failed')).toHaveLength(2)
  })

  test('a wish to redrive applies the messages of the key in order; one that comes meanwhile goes behind, and nothing stays', async () => {
    const stage = await createStage(1)
    let poison = true
    await stage.send([1, 2, 3].map((n) => record('poison', n)))
    const { until, told } = start(
      stage,
      prisma,
      'mail',
      poisonous(() => poison),
    )
    await until('messages_behind', () => told.filter(({ event }) => event === 'messages_behind').length === 2)
    await db.query(`UPDATE inbox_parked SET wish = 'redrive', wished_by = 'ann@desk' WHERE reason IS NOT NULL`)
    expect(await until('redrive_failed')).toMatchObject({ offset: '0', code: 'Error' })
    expect(await parked()).toMatchObject([{ n: 1, attempts: 4 }, { n: 2 }, { n: 3 }])
    poison = false
    await db.query(`UPDATE inbox_parked SET wish = 'redrive', wished_by = 'ann@desk'`)
    await stage.send([4, 5].map((n) => record('poison', n)))
    expect(await until('parked_redriven')).toMatchObject({ by: 'ann@desk' })
    await expect.poll(() => numbers('poison'), { timeout: 10_000 }).toEqual([1, 2, 3, 4, 5])
    expect(await parked()).toEqual([])
    expect(await db.query('SELECT FROM inbox')).toHaveLength(5)
  })

  test('a wish to discard drops the message for good, copies of it too, and those behind it are applied', async () => {
    const stage = await createStage(1)
    const id = randomUUID()
    await stage.send([record('poison', 1, { id }), record('poison', 2), record('poison', 3)])
    const { until, told } = start(
      stage,
      prisma,
      'mail',
      poisonous(() => true),
    )
    await until('messages_behind', () => told.filter(({ event }) => event === 'messages_behind').length === 2)
    await db.query(`UPDATE inbox_parked SET wish = 'discard' WHERE reason IS NOT NULL`)
    expect(await until('parked_redriven')).toMatchObject({ messages: 2 })
    await stage.send([record('poison', 1, { id }), record('poison', 4)])
    await expect.poll(() => numbers('poison'), { timeout: 10_000 }).toEqual([2, 3, 4])
    expect(await parked()).toEqual([])
  })

  test.each([
    ['without an id', { headers: { type: 'Counted' } }, 'INVALID_ID'],
    ['that is no JSON', { value: 'no JSON' }, 'INVALID_JSON'],
    ['that does not fit its schema', { value: '{"name":"a"}' }, 'INVALID_PAYLOAD'],
    ['of a newer version that does not fit', { version: '9', value: '{"who":"a"}' }, 'NEWER_VERSION'],
  ])('a record %s is put aside at once, and the next of another key is applied', async (_, broken, reason) => {
    const stage = await createStage(1)
    await stage.send([record('a', 1, broken), record('a', 2), record('b', 3)])
    const { until } = start(stage, prisma, 'mail', { handlers: { Counted: (event, tx) => effect(tx, 'mail', event as never) } })
    await until('applied', ({ messages }) => messages === 1)
    expect((await parked()).map((row) => row.reason)).toEqual([reason, null])
    expect(await effects()).toMatchObject([{ name: 'b', n: 3 }])
  })

  test('troubles of the database do not count towards it', async () => {
    const stage = await createStage(1)
    await stage.send([record('a', 1)])
    let tries = 0
    const { until, told } = start(stage, prisma, 'mail', {
      park: { after: 2 },
      handlers: {
        Counted: async (event, tx) => {
          if (++tries <= 4) await tx.$executeRaw`SELECT pg_terminate_backend(pg_backend_pid())`
          await effect(tx, 'mail', event as never)
        },
      },
    })
    await until('applied')
    expect(told.filter(({ event }) => event === 'apply_failed').map(({ fields }) => fields)).toMatchObject(
      Array(4).fill({ attempt: 0 }),
    )
    expect(await numbers('a')).toEqual([1])
    expect(await parked()).toEqual([])
  })
})

describe('the end', () => {
  test('stop finishes the message under way, leaves the rest, and run resolves', async () => {
    const stage = await createStage(1)
    await stage.send([1, 2, 3].map((n) => record('a', n)))
    let stopped: Promise<void> | undefined
    const first = start(stage, prisma, 'mail', {
      handlers: {
        Counted: async (event, tx) => {
          stopped ??= first.inbox.stop()
          await effect(tx, 'mail', event as never)
        },
      },
    })
    await first.done
    await stopped
    expect(await numbers('a')).toEqual([1])
    expect(first.told.at(-1)).toMatchObject({ event: 'consumer_stopped', fields: { code: null } })
    const second = start(stage, prisma, 'mail', { handlers: { Counted: (event, tx) => effect(tx, 'mail', event as never) } })
    await second.until('applied', () => second.told.filter(({ event }) => event === 'applied').length === 2)
    expect(second.told.filter(({ event }) => event === 'applied').map(({ fields }) => fields)).toMatchObject([
      { copies: 0 },
      { copies: 0 },
    ])
    expect(await numbers('a')).toEqual([1, 2, 3])
  })

  test('run rejects where kafkajs gives the consumer up', async () => {
    const stage = await createStage(1)
    let cut = false
    const sockets = new Set<net.Socket>()
    const kafka = new Kafka({
      brokers: inject('brokers').split(','),
      logLevel: logLevel.NOTHING,
      // Its own decision, as after an error that is not worth a try: no restart.
      retry: { retries: 0, restartOnFailure: async () => false },
      socketFactory: ({ host, port, onConnect }) => {
        const socket = net.connect({ host, port: cut ? 1 : port }, onConnect)
        sockets.add(socket)
        return socket
      },
    })
    const { until, done } = start(stage, prisma, 'mail', { handlers: { Counted: () => {} } }, { kafka })
    await until('partitions_assigned')
    cut = true
    for (const socket of sockets) socket.destroy(new Error('cut'))
    await expect(done).rejects.toSatisfy((error) => isOutboxError(error, 'OUTBOX_CONSUMER_ENDED'))
  })

  test('run rejects where the tables are missing', async () => {
    await using bare = await createDatabase()
    const client = connect(bare.url)
    const stage = await createStage(1)
    const { done } = start(stage, client, 'mail', { handlers: { Counted: () => {} } })
    await expect(done).rejects.toSatisfy((error) => isOutboxError(error, 'OUTBOX_TABLES_MISSING'))
    await client.$disconnect()
  })
})

describe('options', () => {
  const good = async () => {
    const stage = { events: (await import('./stage.ts')).eventsOf('orders') }
    return { prisma, consumer: 'mail', events: stage.events, handlers: { Counted: () => {} } }
  }

  test.each([
    ['consumer', { consumer: '' }],
    ['prisma', { prisma: {} }],
    ['handlers', { handlers: {} }],
    ['handlers.Foreign', { handlers: { Foreign: () => {} } }],
    ['park.after', { park: { after: 0 } }],
    ['batch', { batch: 1.5 }],
    ['retentionDays', { retentionDays: 0 }],
    ['handlerTimeoutMs', { handlerTimeoutMs: -1 }],
  ])('a wrong %s is refused', async (field, wrong) => {
    const options = { ...(await good()), ...wrong } as never
    expect(() => createInbox(options)).toThrow(expect.objectContaining({ code: 'OUTBOX_INVALID_OPTION', field }))
  })
})
