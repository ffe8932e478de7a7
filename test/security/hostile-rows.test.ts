import { randomBytes, randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { PrismaPg } from '@prisma/adapter-pg'
import pg from 'pg'
import { beforeEach, describe, expect, inject, test } from 'vitest'
import { outbox } from '../../src/index.ts'
import { postgresOperator } from '../../src/store/postgres/operator.ts'
import { kafkajsTransport } from '../../src/transport/kafkajs/kafkajs.ts'
import { diagnose } from '../doctor/diagnose.ts'
import { PrismaClient } from '../enqueue/generated/client/client.ts'
import { useDatabase } from '../support/database.ts'
import { emptied, eventually } from '../support/eventually.ts'
import { startedRelay, type TestRelay, testRelay } from '../support/relay.ts'
import { action } from '../support/requests.ts'
import { insertRows, withoutChecks } from '../support/rows.ts'
import { createTopic, readTopic } from '../support/topics.ts'

/** Rows that SQL wrote and that no relay can publish: a slip of a hand-written INSERT, a restore, or an attack on every relay at once. */

const database = useDatabase()
let topic: string
beforeEach(async () => {
  topic = await createTopic('hostile', 2)
})

/** What an application of ours never writes, by column: SQL of the values in the place of the usual ones. */
type Row = Partial<Record<'id' | 'topic' | 'type' | 'headers' | 'created_at', string>>

async function insert(row: Row, client: pg.Pool | pg.ClientBase = database.pool): Promise<string> {
  const messageId = randomUUID()
  const values = { topic: `'${topic}'`, ...row }
  const names = Object.keys(values)
  await client.query(
    `INSERT INTO outbox (bucket, message_id, key, value, ${names}) VALUES (7, '${messageId}', '\\x${randomBytes(4).toString('hex')}', '{}', ${Object.values(values)})`,
  )
  return messageId
}

const transport = () => kafkajsTransport({ brokers: inject('brokers').split(',') })
const headersOf = (n: number) => `(SELECT jsonb_object_agg('h' || i, 'v') FROM generate_series(1, ${n}) AS i)`

const hostile: Record<string, Row> = {
  'created in the infinite future': { created_at: "'infinity'" },
  'created in the infinite past': { created_at: "'-infinity'" },
  'created in a year of six digits': { created_at: "'290000-01-01'" },
  'the id 2^53 + 1': { id: '9007199254740993' },
  'the largest id': { id: '9223372036854775807' },
  'a negative id': { id: '-5' },
  'the id 0': { id: '0' },
  'a topic of 40,000 characters': { topic: "repeat('x', 40000)" },
  'no topic': { topic: "''" },
  'the topic ..': { topic: "'..'" },
  'a topic that commands the terminal': { topic: "E'a\\x1b[2J\\nb'" },
}

/** What the columns take, with CHECKs and without. */
const unfit: Record<string, Row> = {
  'a thousand headers': { headers: headersOf(1_000) },
  'a header that is no string': { headers: `'{"a": {"b": 1}}'` },
  'headers that are a list': { headers: `'["a"]'` },
}

describe.each(Object.entries(hostile))('a row with %s', (_, row) => {
  test('is refused by the table', async () => {
    await expect(insert(row)).rejects.toMatchObject({ code: '23514' })
  })
})

describe('rows of tables without the CHECKs', () => {
  test('are dead-lettered, each on its own; every other message flows, and no relay ends or refuses to start', async () => {
    await withoutChecks(database.pool)
    await using running = await startedRelay(database.url, transport())
    const bad = new Set<string>()
    const good = new Set<string>()
    const one = async (n: number) => {
      const messageId = randomUUID()
      await insertRows(database.pool, [{ topic, key: `good-${n}`, messageId }])
      good.add(messageId)
    }
    for (const [n, row] of Object.values({ ...hostile, ...unfit }).entries()) {
      await one(n)
      bad.add(await insert(row))
      await one(n)
    }
    await emptied(database.pool)
    // What is there by now does not keep a relay from its start, nor an operator from looking.
    await using _late = await startedRelay(database.url, transport())
    const dead = await database.query<{ message_id: string; reason: string; blocks_key: boolean }>(
      'SELECT * FROM outbox_dead_letter',
    )
    expect(new Set(dead.map(({ message_id }) => message_id))).toEqual(bad)
    expect(new Set(dead.map(({ reason }) => reason))).toEqual(new Set(['INVALID_RECORD']))
    const sent = (await readTopic(topic)).map(({ headers }) => headers.id!)
    // Once each: a row that is not deleted under its own id would be sent again and again.
    expect(sent.toSorted()).toEqual([...good].toSorted())
    expect(new Set(running.all('dead_lettered').map(({ messageId }) => messageId))).toEqual(bad)
    for (const event of ['database_trouble', 'kafka_trouble', 'topic_paused'] as const) expect(running.all(event)).toEqual([])
  })

  test('a row whose id was not to be carried is sent by a redrive, also where two have the same place', async () => {
    await withoutChecks(database.pool)
    const ids = [await insert({ id: '-1' }), await insert({ id: '-2' }), await insert({ id: '9223372036854775807' })]
    await using one = await startedRelay(database.url, transport())
    await emptied(database.pool)
    // Of the sequence no id was drawn yet.
    const late = testRelay(database.url, transport())
    await late.relay.start()
    await late.relay.stop()
    await action(database.pool, 'redrive')
    // The three take turns.
    await eventually(
      database.pool,
      'SELECT WHERE NOT EXISTS (SELECT FROM outbox_dead_letter) AND NOT EXISTS (SELECT FROM outbox)',
    )
    expect((await readTopic(topic)).map(({ headers }) => headers.id!).toSorted()).toEqual(ids.toSorted())
    expect(one.all('database_trouble')).toEqual([])
  })

  test('with topics that begin alike and one key are dead-lettered one by one', async () => {
    await withoutChecks(database.pool)
    for (const length of [250, 40_000, 250, 40_000]) {
      await database.query(
        `INSERT INTO outbox (bucket, message_id, topic, key, value) VALUES (7, gen_random_uuid(), repeat('x', ${length}), 'k', '{}')`,
      )
    }
    await using _one = await startedRelay(database.url, transport())
    await emptied(database.pool)
    expect(await database.query("SELECT 1 FROM outbox_dead_letter WHERE reason = 'INVALID_RECORD'")).toHaveLength(4)
  })

  test('two messages with one id of theirs and strange places lose neither', async () => {
    await withoutChecks(database.pool)
    const messageId = randomUUID()
    for (const id of [-1, -2]) {
      await database.query(
        `INSERT INTO outbox (id, bucket, message_id, topic, key, value) VALUES (${id}, 7, '${messageId}', '${topic}', 'k', '{}')`,
      )
    }
    await using one = await startedRelay(database.url, transport())
    await one.until('dead_lettered')
    await action(database.pool, 'redrive')
    await one.until('dead_lettered', () => one.all('dead_lettered').length === 2)
    await action(database.pool, 'redrive')
    await emptied(database.pool)
    await eventually(database.pool, 'SELECT WHERE NOT EXISTS (SELECT FROM outbox_dead_letter)')
    await emptied(database.pool)
    expect((await readTopic(topic)).map(({ headers }) => headers.id)).toEqual([messageId, messageId])
  })

  test('times without bounds, of messages and relays, keep neither status nor samples from an answer', async () => {
    await withoutChecks(database.pool)
    for (const time of ["'infinity'", "'-infinity'", "'290000-01-01'"]) {
      await insert({ created_at: time })
      await database.query(
        `INSERT INTO outbox_relay (id, name, version, seen_at, started_at, acked_at) VALUES ('${randomUUID()}', 'r', '0', now() + interval '1 minute', ${time}, ${time})`,
      )
    }
    const operator = await postgresOperator({ databaseUrl: database.url })
    const { backlog, relays } = await operator.status()
    const sample = await operator.sample(randomUUID())
    const listed = await operator.list({ dead: false, limit: 10 })
    operator.close()
    const ages = [
      backlog.oldestMs,
      sample.backlog.oldestMs,
      ...relays.map(({ startedMsAgo }) => startedMsAgo),
      ...listed.map(({ ageMs }) => ageMs),
    ]
    expect(ages.length).toBe(8)
    expect(ages.filter((age) => !Number.isFinite(age))).toEqual([])
  })
})

describe('the role of the application', () => {
  async function app(): Promise<string> {
    await database.query(readFileSync(new URL('../../ops/grants.sql', import.meta.url), 'utf8'))
    const role = `app_${randomBytes(4).toString('hex')}`
    await database.query(`CREATE ROLE ${role} LOGIN PASSWORD 'pw'; GRANT outbox_app TO ${role}`)
    const url = new URL(database.directUrl)
    ;[url.username, url.password] = [role, 'pw']
    return url.href
  }

  test.each<Row>([{ id: '17' }, { created_at: 'now()' }, { id: 'DEFAULT', created_at: "'infinity'" }])(
    'may not write %o',
    async (row) => {
      const client = new pg.Client(await app())
      await client.connect()
      try {
        await expect(insert(row, client)).rejects.toMatchObject({ code: '42501' })
        await expect(client.query('SELECT 1 FROM outbox')).rejects.toMatchObject({ code: '42501' })
      } finally {
        await client.end()
      }
    },
  )

  test('enqueues one message and many', async () => {
    const prisma = new PrismaClient({ adapter: new PrismaPg({ connectionString: await app() }) }).$extends(outbox())
    await prisma.$transaction(async (tx) => {
      await tx.outbox.enqueue({ topic, key: 'k', payload: 1 })
      await tx.outbox.enqueueMany([2, 3].map((payload) => ({ topic, key: 'k', payload })))
    })
    await prisma.$disconnect()
    expect(await database.query('SELECT 1 FROM outbox')).toHaveLength(3)
  })
})

describe('a sequence behind a row', () => {
  /** What a relay says at its start, and the doctor. */
  async function remedies(): Promise<string[]> {
    const one: TestRelay = testRelay(database.url, transport())
    const { remedy } = await one.relay.start().then(
      () => ({ remedy: '' }),
      (error: { remedy: string }) => error,
    )
    await one.relay.stop()
    const { fix } = (await diagnose({ DATABASE_URL: database.directUrl })).of('sequence')
    return [remedy.replace('Run ', ''), fix]
  }

  test.each([0, 1])('of the highest id that the table takes: the remedy leaves the application its ids (%i)', async (which) => {
    await insertRows(database.pool, [{ topic, key: 'k' }])
    const messageId = await insert({ id: '9007199254740991' })
    const remedy = (await remedies())[which]!
    expect(remedy).not.toContain('setval')
    await database.query(remedy)
    expect(await remedies()).toEqual(['', ''])
    const [id] = await insertRows(database.pool, [{ topic, key: 'k' }])
    expect(id).toBeLessThan(10)
    await using _one = await startedRelay(database.url, transport())
    await emptied(database.pool)
    expect((await readTopic(topic)).map(({ headers }) => headers.id)).toContain(messageId)
  })

  test.each([0, 1])('as after a restore: the remedy sets the sequence (%i)', async (which) => {
    await insert({ id: '5000' })
    await database.query((await remedies())[which]!)
    expect(await remedies()).toEqual(['', ''])
    expect(await insertRows(database.pool, [{ topic, key: 'k' }])).toEqual([5001])
  })
})
