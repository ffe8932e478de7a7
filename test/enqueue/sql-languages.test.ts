import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { PrismaPg } from '@prisma/adapter-pg'
import { afterAll, beforeAll, beforeEach, describe, expect, type TestContext, test } from 'vitest'
import { outbox } from '../../src/index.ts'
import { cli } from '../support/cli.ts'
import { useDatabase } from '../support/database.ts'
import { pythonWith } from '../support/python.ts'
import { codeBlocks, pageOf } from '../support/readme.ts'
import { relayEnv } from '../support/relay-process.ts'
import { createTopic, readTopic } from '../support/topics.ts'
import { shopSql } from './clients.ts'
import { PrismaClient } from './generated/client/client.ts'

// Messages of psql, of Python, of a trigger and of Prisma, in one topic of Kafka.

const run = promisify(execFile)
const database = useDatabase('all', shopSql)
const clientOf = (url: string) => new PrismaClient({ adapter: new PrismaPg({ connectionString: url }) }).$extends(outbox())
let prisma: ReturnType<typeof clientOf>
let python: string | undefined
let topic: string

beforeAll(async () => {
  prisma = clientOf(database.directUrl)
  python = await pythonWith('psycopg')
}, 60_000)
afterAll(() => prisma?.$disconnect())
beforeEach(async () => {
  topic = await createTopic('sql', 4)
})

const byPrisma = (key: string, payload: object) => prisma.$transaction((tx) => tx.outbox.enqueue({ topic, key, payload }))
const byPsql = async (sql: string) =>
  (await run('psql', ['-XAtqv', 'ON_ERROR_STOP=1', '-c', sql, database.directUrl])).stdout.trim()

/** Runs a program with the topic as its argument; gives what it prints. */
async function byPython(program: string): Promise<string> {
  const env = { ...process.env, DATABASE_URL: database.directUrl }
  return (await run(python!, ['-c', program, topic], { env })).stdout.trim()
}

async function published() {
  expect(await cli(['relay', '--drain'], relayEnv(database))).toMatchObject({ code: 0 })
  const records = await readTopic(topic)
  return records.map(({ key, value, headers, partition }) => ({
    key: String(key),
    value: value && JSON.parse(String(value)),
    id: headers.id,
    contentType: headers['content-type'],
    partition,
  }))
}

const withoutPsql = async (context: TestContext) => {
  const found = await run('psql', ['--version']).catch(() => undefined)
  if (!found) context.skip('psql is not on this machine')
}
const withoutPython = (context: TestContext) => {
  if (!python) context.skip('python3 with venv is not on this machine')
}

describe('psql', () => {
  beforeEach(withoutPsql)

  test('and tx.outbox.enqueue with one key write into one partition, in order', async () => {
    const ids: string[] = []
    for (const key of ['Zoë', 'order-2', 'order-3']) {
      ids.push(await byPrisma(key, { n: 1 }))
      ids.push(await byPsql(`SELECT outbox_enqueue('${topic}', '${key}', '{"n": 2}')`))
      ids.push(await byPrisma(key, { n: 3 }))
      ids.push(await byPsql(`SELECT outbox_enqueue('${topic}', '${key}', '{"n": 4}', '{"tenant": "acme"}')`))
    }
    const records = await published()
    for (const [n, key] of ['Zoë', 'order-2', 'order-3'].entries()) {
      const own = records.filter((record) => record.key === key)
      expect(own.map(({ id }) => id)).toEqual(ids.slice(n * 4, n * 4 + 4))
      expect(own.map(({ value }) => value)).toEqual([{ n: 1 }, { n: 2 }, { n: 3 }, { n: 4 }])
      expect(new Set(own.map(({ partition }) => partition)).size).toBe(1)
    }
    expect(new Set(records.map(({ contentType }) => contentType))).toEqual(new Set(['application/json']))
  })

  test('leaves no message behind where the transaction rolls back, or where the function refuses', async () => {
    await byPsql(`BEGIN; SELECT outbox_enqueue('${topic}', 'k', '{}'); ROLLBACK`)
    const refused = byPsql(`BEGIN; SELECT outbox_enqueue('${topic}', 'k', '{}'); SELECT outbox_enqueue('', 'k', '{}'); COMMIT`)
    await expect(refused).rejects.toThrow(/OUTBOX_INVALID_TOPIC[\s\S]*HINT: {2}A topic has 1 to 249/)
    expect(await published()).toEqual([])
  })
})

describe('Python', () => {
  beforeEach(withoutPython)

  test('and tx.outbox.enqueue with one key write into one partition, in order', async () => {
    const ids = [await byPrisma('order-1', { n: 1 })]
    const program = `
import os, sys, psycopg
from psycopg.types.json import Jsonb
with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
    for n in (2, 3):
        print(connection.execute("SELECT outbox_enqueue(%s, %s, %s, %s)",
            (sys.argv[1], "order-1", Jsonb({"n": n}), Jsonb({"tenant": "acme"}))).fetchone()[0])
    print(connection.execute("SELECT outbox_enqueue_bytes(%s, %s, %s)", (sys.argv[1], "order-1", b"4")).fetchone()[0])
    print(connection.execute("SELECT outbox_enqueue(%s, %s, %s)", (sys.argv[1], "order-1", None)).fetchone()[0])
`
    ids.push(...(await byPython(program)).split('\n'), await byPrisma('order-1', { n: 6 }))
    const records = await published()
    expect(records.map(({ id }) => id)).toEqual(ids)
    expect(records.map(({ value }) => value)).toEqual([{ n: 1 }, { n: 2 }, { n: 3 }, 4, null, { n: 6 }])
    expect(records[3]!.contentType).toBe('application/octet-stream')
    expect(new Set(records.map(({ partition }) => partition)).size).toBe(1)
  })

  test('leaves no message behind where the transaction rolls back', async () => {
    const program = `
import os, sys, psycopg
from psycopg.types.json import Jsonb
with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
    print(connection.execute("SELECT outbox_enqueue(%s, %s, %s)", (sys.argv[1], "k", Jsonb({}))).fetchone()[0])
    raise SystemExit("no order, no message")
`
    await expect(byPython(program)).rejects.toThrow('no order, no message')
    expect(await published()).toEqual([])
  })
})

describe('the guide', () => {
  const blocks = codeBlocks(pageOf('docs/guides/enqueue-from-sql.md'))
  const code = (language: string, part: string) =>
    blocks.find((block) => block.language === language && block.code.includes(part))!.code.replaceAll('order_placed', topic)

  test('has a trigger that enqueues with the row of each writer, or not at all', async () => {
    await database.query(code('sql', 'CREATE TRIGGER'))
    const order = await prisma.order.create({ data: { customer: 'Zoë', total: 1990 } })
    await byPrisma(String(order.id), { n: 2 })
    await database.query("BEGIN; INSERT INTO orders (customer) VALUES ('nobody'); ROLLBACK")
    await database.query('UPDATE orders SET total = 5')
    const records = await published()
    expect(records).toMatchObject([
      { key: String(order.id), value: { id: order.id, customer: 'Zoë', total: 1990 } },
      { key: String(order.id), value: { n: 2 } },
    ])
    expect(new Set(records.map(({ partition }) => partition)).size).toBe(1)
  })

  test('has a program for Python that runs', async (context) => {
    withoutPython(context)
    await byPython(code('python', 'outbox_enqueue'))
    expect(await published()).toMatchObject([{ value: { customer: 'Zoë' } }])
  })
})
