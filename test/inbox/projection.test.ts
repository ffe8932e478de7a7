import type { Message } from 'kafkajs'
import { describe, expect, inject, onTestFinished, test } from 'vitest'
import { createProjection, inbox } from '../../src/inbox/index.ts'
import { isOutboxError } from '../../src/message/errors.ts'
import { consume } from './members.ts'
import { add, deleteRecords, produce, useReadModel } from './read-model.ts'
import { createStage, record, type Stage, type Tx } from './stage.ts'
import { versionsFor } from './versions.ts'

describe.each(versionsFor('projection'))('$name', (version) => {
  const { url, client, query, start, model, sum } = useReadModel(version)

  const records = Number(process.env.OUTBOX_PROJECTION_RECORDS ?? 12_000)

  test('two members, six SIGKILLs in mid-stream: each record applied exactly once; a rebuild under a new name is byte-equal', async () => {
    const stage = await createStage(4)
    await produce(stage, records)
    const env = { DATABASE_URL: url(), KAFKA_BROKERS: inject('brokers'), TOPIC: stage.topic, PRISMA: version.name }
    const killed = await consume(
      'projector.ts',
      { ...env, NAME: `v1-${stage.topic}` },
      {
        kills: 6,
        each: Math.floor(records / 8),
        done: async () => (await sum(`v1-${stage.topic}`)).places === records,
      },
    )
    expect(killed).toBe(6)
    expect(await sum(`v1-${stage.topic}`)).toEqual({ records, places: records })
    const rebuild = start(stage, `v2-${stage.topic}`)
    await rebuild.projection.live
    expect(await model(`v2-${stage.topic}`)).toBe(await model(`v1-${stage.topic}`))
    console.log(`${records} records, ${killed} kills, each applied once`)
  }, 400_000)

  test('it catches up, is live, goes on, and begins where it ended when it is started again', async () => {
    const stage = await createStage(2)
    await produce(stage, 1_000)
    const name = `live-${stage.topic}`
    const first = start(stage, name)
    await first.projection.live
    expect(await sum(name)).toEqual({ records: 1_000, places: 1_000 })
    await stage.send([record('late', 1)])
    await expect.poll(() => sum(name), { timeout: 10_000 }).toEqual({ records: 1_001, places: 1_001 })
    await first.projection.stop()
    await first.done
    await stage.send([record('later', 2)])
    const second = start(stage, name)
    await second.projection.live
    expect(await sum(name)).toEqual({ records: 1_002, places: 1_002 })
  })

  test('a handler that fails is tried again with nothing applied, and a copy in the log has no effect through inbox.once', async () => {
    const stage = await createStage(1)
    const name = `once-${stage.topic}`
    const copy = record('a', 1)
    await stage.send([copy, record('a', 2), copy])
    let failures = 0
    const handler = async (event: { id: string; payload: { name: string; n: number } }, tx: Tx) => {
      await inbox.once(tx, { consumer: name, id: event.id }, () => add(name)(event, tx))
      if (event.payload.n === 2 && failures++ < 2) throw new Error('not yet')
    }
    const { projection } = start(stage, name, {}, handler)
    await projection.live
    expect(failures).toBe(3)
    expect(await model(name)).toBe('a 3 2')
  })

  test('a topic whose beginning is gone is refused, unless that is allowed', async () => {
    const stage = await createStage(1)
    await produce(stage, 10)
    await deleteRecords(stage, '4')
    const refused = start(stage, `gone-${stage.topic}`)
    await expect(refused.done).rejects.toSatisfy((error) => isOutboxError(error, 'OUTBOX_PROJECTION_START_GONE'))
    const allowed = start(stage, `allowed-${stage.topic}`, { allowMissingStart: true })
    await allowed.projection.live
    expect(await sum(`allowed-${stage.topic}`)).toEqual({ records: 6, places: 10 })
  })

  /** A producer of Kafka's own transactions, as any exactly-once producer is. */
  async function transactional(stage: Stage) {
    const transactionalId = `tx-${stage.topic}`
    const producer = stage.kafka.producer({ transactionalId, idempotent: true, maxInFlightRequests: 1 })
    await producer.connect()
    onTestFinished(() => producer.disconnect())
    const begin = async (...messages: Message[]) => {
      const transaction = await producer.transaction()
      await transaction.send({ topic: stage.topic, messages })
      return transaction
    }
    return {
      begin,
      commit: async (...messages: Message[]) => (await begin(...messages)).commit(),
      abort: async (...messages: Message[]) => (await begin(...messages)).abort(),
    }
  }
  /** The end of the first partition, as far as it is committed. */
  async function endOf({ kafka, topic }: Stage): Promise<number> {
    const admin = kafka.admin()
    await admin.connect()
    const [partition] = await admin.fetchTopicOffsets(topic)
    await admin.disconnect()
    return Number(partition!.high)
  }

  type Transactional = Awaited<ReturnType<typeof transactional>>

  test.each<[string, { records: number; places: number }, (producer: Transactional) => Promise<void>]>([
    ['the marker of a commit', { records: 2, places: 3 }, ({ commit }) => commit(record('a', 1), record('a', 2))],
    [
      'an aborted transaction',
      { records: 1, places: 4 },
      async ({ commit, abort }) => {
        await commit(record('a', 1))
        await abort(record('a', 2))
      },
    ],
    ['nothing but an aborted transaction', { records: 0, places: 2 }, ({ abort }) => abort(record('a', 1))],
  ])('a partition that ends in %s is live, and is so again when it is started again', async (_, expected, fill) => {
    const stage = await createStage(1)
    const producer = await transactional(stage)
    await fill(producer)
    // Kafka answers before it has written the marker, and until then nobody sees anything of the transaction.
    await expect.poll(() => endOf(stage), { timeout: 10_000 }).toBe(expected.places)
    const name = `transactional-${stage.topic}`
    const first = start(stage, name)
    await first.projection.live
    await first.projection.stop()
    expect(await sum(name)).toEqual(expected)
    const second = start(stage, name)
    await second.projection.live
    await producer.commit(record('late', 3))
    const { records, places } = expected
    await expect.poll(() => sum(name), { timeout: 10_000 }).toEqual({ records: records + 1, places: places + 2 })
  })

  test('a transaction that is open does not keep from being live, and is applied when it is committed', async () => {
    const stage = await createStage(1)
    await stage.send([record('a', 1)])
    const open = await (await transactional(stage)).begin(record('a', 2))
    const name = `open-${stage.topic}`
    const { projection } = start(stage, name)
    await projection.live
    expect(await sum(name)).toEqual({ records: 1, places: 1 })
    await open.commit()
    await expect.poll(() => sum(name), { timeout: 10_000 }).toEqual({ records: 2, places: 3 })
  })

  test('the place goes behind an aborted transaction, after a database that was away too: with its records gone, nothing is missing', async () => {
    const stage = await createStage(1)
    await stage.send([record('a', 1)])
    const name = `behind-${stage.topic}`
    const { projection } = start(stage, name)
    await projection.live
    await query('ALTER TABLE inbox_projection RENAME TO away')
    const failed = new Promise<unknown>((resolve) => {
      projection.on('projection_failed', resolve)
    })
    await (await transactional(stage)).abort(record('a', 2))
    expect(await failed).toMatchObject({ topic: stage.topic, partition: 0, offset: '3', code: '42P01' })
    await query('ALTER TABLE away RENAME TO inbox_projection')
    await expect.poll(() => sum(name), { timeout: 10_000 }).toEqual({ records: 1, places: 3 })
    await projection.stop()
    await deleteRecords(stage, '3')
    await start(stage, name).projection.live
  })

  test.each([
    ['name', { name: '' }],
    ['handlers', { handlers: {} }],
    ['handlers.Foreign', { handlers: { Foreign: () => {} } }],
    ['handlers.Counted', { handlers: { Counted: 'add' } }],
    ['batch', { batch: 0 }],
    ['prisma', { prisma: {} }],
  ])('a wrong %s is refused', (field, wrong) => {
    const options = { prisma: client(), name: 'x', events: {}, handlers: { Counted: () => {} }, ...wrong }
    const events = { find: (type: string) => (type === 'Counted' ? { topic: 't' } : undefined) }
    expect(() => createProjection({ ...options, events } as never)).toThrow(
      expect.objectContaining({ code: 'OUTBOX_INVALID_OPTION', field }),
    )
  })
})
