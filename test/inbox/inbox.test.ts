import { randomUUID } from 'node:crypto'
import net from 'node:net'
import { Kafka, KafkaJSNonRetriableError, logLevel } from 'kafkajs'
import pg from 'pg'
import { describe, expect, inject, test } from 'vitest'
import { createInbox } from '../../src/inbox/index.ts'
import { type Codec, defineEvents } from '../../src/index.ts'
import { isOutboxError } from '../../src/message/errors.ts'
import { createDatabase } from '../support/database.ts'
import { createStage, effect, eventsOf, record, start, useMail } from './stage.ts'
import { raw, versionsFor } from './versions.ts'

describe.each(versionsFor('inbox'))('$name', (version) => {
  const { startMail, query, url, client, numbers } = useMail(version)

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
      const { times } = startMail(stage, {
        handlers: {
          Counted: async (event, tx) => {
            seen.push({ ...event, key: String(event.key) })
            await effect(tx, 'mail', event)
          },
        },
      })
      await times('applied', 3, ({ messages }) => messages === 1)
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
      const { until } = startMail(stage, {
        handlers: {
          Counted: async ({ payload }, tx) => {
            await tx.outbox.enqueue({ topic: 'letters', key: payload.name, payload: { n: payload.n } })
            if (++tries === 1) throw new Error('after the enqueue')
          },
        },
      })
      await until('applied')
      expect(tries).toBe(2)
      expect(await query('SELECT topic FROM outbox')).toEqual([{ topic: 'letters' }])
    })

    test('the client that withOutbox() made, with its catalog: events of its own commit with the effects of a batch', async () => {
      const stage = await createStage(1)
      await stage.send([record('a', 1), record('b', 2)])
      const wrapped = version.connectWrapped(url(), eventsOf('answers'))
      let tries = 0
      const { until } = start(stage, wrapped, 'mail', {
        batch: 100,
        handlers: {
          Counted: async (counted, tx) => {
            await tx.outbox.enqueueMany(counted.map(({ payload }) => ({ type: 'Counted', payload })))
            await tx.outbox.enqueue({ type: 'Other', payload: { name: 'sum', n: counted.length } })
            if (++tries === 1) throw new Error('after the enqueue')
          },
        },
      })
      await until('applied', ({ messages }) => messages > 0)
      await expect.poll(() => query('SELECT FROM inbox')).toHaveLength(2)
      const written = await query<{ type: string; n: number }>(
        `SELECT type, (convert_from(value, 'UTF8')::jsonb ->> 'n')::int AS n FROM outbox WHERE topic = 'answers' ORDER BY id`,
      )
      // The batch failed, so each was tried alone.
      const one = (n: number) => [
        { type: 'Counted', n },
        { type: 'Other', n: 1 },
      ]
      expect(written).toEqual([...one(1), ...one(2)])
      await wrapped.$disconnect()
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
      const { until } = start(stage, client(), 'mail', {
        batch: 100,
        handlers: { Counted: handler, Other: handler },
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
      const { until, times, all } = startMail(stage, {
        // Twelve waits of more than two seconds together: in place they would show.
        retry: { firstMs: 100, maxMs: 800 },
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
        await times('applied', n, ({ partition }) => partition === 1)
        delays.push(performance.now() - sent)
      }
      expect(failures).toBe(12)
      expect(all('apply_failed')).toHaveLength(12)
      expect(await numbers('slow')).toEqual([1, 2, 3])
      expect(delays.length).toBeGreaterThan(1)
      expect(Math.max(...delays)).toBeLessThan(2_000)
      expect(all('consumer_crashed')).toEqual([])
    })

    test('waits for a minute, and its partition alone: the other one goes on within two seconds', async () => {
      const stage = await createStage(2)
      await stage.send([record('slow', 1, { partition: 0 })])
      const { until } = startMail(stage, {
        retry: { firstMs: 60_000, maxMs: 60_000 },
        handlers: {
          Counted: async (event, tx) => {
            if (event.partition === 0) throw new Error('not yet')
            await effect(tx, 'mail', event)
          },
        },
      })
      await until('apply_failed', ({ waitMs }) => waitMs >= 30_000)
      const sent = performance.now()
      await stage.send([record('quick', 1, { partition: 1 })])
      await until('applied', ({ partition }) => partition === 1)
      expect(performance.now() - sent).toBeLessThan(2_000)
    })

    test('with an error that kafkajs would end a consumer for: the consumer does not see it', async () => {
      const stage = await createStage(1)
      await stage.send([record('a', 1)])
      let tries = 0
      const { until, all } = startMail(stage, {
        handlers: {
          Counted: () => {
            if (++tries < 3) throw new KafkaJSNonRetriableError('of a producer in the handler')
          },
        },
      })
      await until('applied')
      expect(tries).toBe(3)
      expect(all('consumer_crashed')).toEqual([])
    })

    test('and catches the error of a statement: nothing was committed, so the message is not taken for applied', async () => {
      const stage = await createStage(1)
      await stage.send([record('a', 1)])
      let tries = 0
      const { until } = startMail(stage, {
        handlers: {
          Counted: async (event, tx) => {
            await effect(tx, 'mail', event)
            if (++tries === 1) await raw(tx).execute`SELECT 1 / 0`.catch(() => {})
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
      const { until } = startMail(stage, {
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

    test('is not waited for where it cannot even begin: a codec that hangs, and a database that does not answer', async () => {
      const stage = await createStage(1)
      await stage.send([record('a', 1)])
      let decodes = 0
      const codec: Codec = {
        contentType: 'application/json',
        encode: (payload) => Buffer.from(JSON.stringify(payload)),
        decode: (bytes) => (++decodes === 1 ? new Promise(() => {}) : JSON.parse(String(bytes))),
      }
      const events = defineEvents(stage.events.events, { codec })
      const { until, times } = startMail({ ...stage, events }, { handlerTimeoutMs: 300 })
      expect(await until('apply_failed')).toMatchObject({ code: 'HANDLER_TIMEOUT', attempt: 1 })
      await until('applied')
      const locker = new pg.Client({ connectionString: url() })
      await locker.connect()
      await locker.query('BEGIN; LOCK TABLE inbox_dead_letter')
      await stage.send([record('a', 2)])
      expect(await times('apply_failed', 2)).toMatchObject({ code: 'HANDLER_TIMEOUT', attempt: 0 })
      await locker.end()
      await times('applied', 2)
      expect(await numbers('a')).toEqual([1, 2])
    })

    test('in a batch: its messages are tried one by one, and only the guilty one waits', async () => {
      const stage = await createStage(1)
      await stage.send([1, 2, 3, 4].map((n) => record('a', n)))
      let failures = 0
      const { times, all } = start(stage, client(), 'mail', {
        batch: 100,
        handlers: {
          Counted: async (events, tx) => {
            if (events.some(({ payload }) => payload.n === 3) && failures++ < 3) throw new Error('not yet')
            for (const event of events) await effect(tx, 'mail', event)
          },
        },
      })
      await times('applied', 4)
      expect(await numbers('a')).toEqual([1, 2, 3, 4])
      expect(all('apply_failed')).toMatchObject([
        { offset: '2', attempt: 1 },
        { offset: '2', attempt: 2 },
      ])
    })
  })

  describe('the end', () => {
    test('stop finishes the message under way, leaves the rest, and run resolves', async () => {
      const stage = await createStage(1)
      await stage.send([1, 2, 3].map((n) => record('a', n)))
      let stopped: Promise<void> | undefined
      const first = startMail(stage, {
        handlers: {
          Counted: async (event, tx) => {
            stopped ??= first.inbox.stop()
            await effect(tx, 'mail', event)
          },
        },
      })
      await first.done
      await stopped
      expect(await numbers('a')).toEqual([1])
      expect(first.told.at(-1)).toMatchObject({ event: 'consumer_stopped', fields: { code: null } })
      const second = startMail(stage)
      await second.times('applied', 2)
      expect(second.all('applied')).toMatchObject([{ copies: 0 }, { copies: 0 }])
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
      const { until, done } = startMail(stage, { handlers: { Counted: () => {} } }, { kafka })
      await until('partitions_assigned')
      cut = true
      for (const socket of sockets) socket.destroy(new Error('cut'))
      await expect(done).rejects.toSatisfy((error) => isOutboxError(error, 'OUTBOX_CONSUMER_ENDED'))
    })

    test('run rejects where the tables are missing', async () => {
      await using bare = await createDatabase()
      const client = version.connect(bare.url)
      const stage = await createStage(1)
      const { done } = start(stage, client, 'mail', { handlers: { Counted: () => {} } })
      await expect(done).rejects.toSatisfy((error) => isOutboxError(error, 'OUTBOX_TABLES_MISSING'))
      await client.$disconnect()
    })
  })

  describe('options', () => {
    const good = () => ({ prisma: client(), consumer: 'mail', events: eventsOf('orders'), handlers: { Counted: () => {} } })

    test.each([
      ['consumer', { consumer: '' }],
      ['prisma', { prisma: {} }],
      ['handlers', { handlers: {} }],
      ['handlers.Foreign', { handlers: { Foreign: () => {} } }],
      ['deadLetter.after', { deadLetter: { after: 0 } }],
      ['batch', { batch: 1.5 }],
      ['retentionDays', { retentionDays: 0 }],
      ['handlerTimeoutMs', { handlerTimeoutMs: -1 }],
    ])('a wrong %s is refused', (field, wrong) => {
      const options = { ...good(), ...wrong } as never
      expect(() => createInbox(options)).toThrow(expect.objectContaining({ code: 'OUTBOX_INVALID_OPTION', field }))
    })
  })

  test('a handler of an event gets its fields until it is removed, one that throws is ignored, and the inbox stops with its scope', async () => {
    const stage = await createStage(1)
    await stage.send([record('a', 1)])
    const mail = createInbox({
      prisma: client(),
      consumer: 'mail',
      events: stage.events,
      handlers: { Counted: (event, tx) => effect(tx, 'mail', event) },
    })
    const names: string[] = []
    mail.on('*', () => {
      throw new Error('a handler that throws')
    })
    mail.on('*', (name) => names.push(name))
    let removed = 0
    mail.on('applied', () => removed++)()
    const applied = new Promise<number>((resolve) => {
      mail.on('applied', ({ messages }) => resolve(messages))
    })
    let running: Promise<void>
    {
      await using scoped = mail
      running = scoped.run(stage.kafka.consumer(scoped.consumerConfig({ groupId: `on-${stage.topic}` })))
      expect(await applied).toBe(1)
    }
    await running
    expect(removed).toBe(0)
    expect(names).toEqual(['consumer_started', 'partitions_assigned', 'applied', 'consumer_stopped'])
  })
})
