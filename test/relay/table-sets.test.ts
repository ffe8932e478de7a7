import { expect, test } from 'vitest'
import { migration } from '../../src/cli/fragment.ts'
import { outbox } from '../../src/index.ts'
import { postgresOperator } from '../../src/store/postgres/operator.ts'
import { postgresStore } from '../../src/store/postgres/store.ts'
import { drain, enqueued, expectEnqueued } from '../../src/testing/index.ts'
import { memoryTransport } from '../../src/transport/memory.ts'
import { prisma7 } from '../enqueue/clients.ts'
import { useDatabase } from '../support/database.ts'
import { eventually } from '../support/eventually.ts'
import { startedRelay, testRelay } from '../support/relay.ts'
import { insertRows, times } from '../support/rows.ts'

// Two sets of tables in one PostgreSQL schema: `outbox`, and `p_outbox`.

const tablePrefix = 'p_'
const database = useDatabase('each', migration({ tablePrefix }))
const prefixed = () => ({ store: postgresStore({ databaseUrl: database.url, tablePrefix }) })

const values = (transport: ReturnType<typeof memoryTransport>) =>
  transport.records().map(({ value }) => JSON.parse(Buffer.from(value!).toString()) as string)

test('two sets of one database, each with its relay: each publishes its own messages, in order, and nothing else', async () => {
  const [first, second] = [memoryTransport(), memoryTransport()]
  await using one = await startedRelay(database.url, first)
  await using other = await startedRelay(database.url, second, {}, prefixed())
  const client = new prisma7.PrismaClient({ adapter: new prisma7.PrismaPg({ connectionString: database.url }) })
  const both = client.$extends(outbox()).$extends(outbox({ model: 'outboxMessage' }))
  for (const n of times(20, (n) => n)) {
    await both.$transaction(async (tx) => {
      await tx.outbox.enqueue({ topic: 'orders', key: 'k', payload: `outbox ${n}` })
      await tx.outboxMessage.enqueue({ topic: 'orders', key: 'k', payload: `p_outbox ${n}` })
    })
  }
  await eventually(database.pool, 'SELECT WHERE NOT EXISTS (SELECT FROM outbox) AND NOT EXISTS (SELECT FROM p_outbox)')
  await client.$disconnect()
  expect(values(first)).toEqual(times(20, (n) => `outbox ${n}`))
  expect(values(second)).toEqual(times(20, (n) => `p_outbox ${n}`))
  // Each holds all leases of its own set: none is shared.
  const owners =
    'SELECT (SELECT json_agg(DISTINCT owner) FROM outbox_lease) AS a, (SELECT json_agg(DISTINCT owner) FROM p_outbox_lease) AS b'
  expect(await database.query(owners)).toEqual([{ a: [one.relay.id], b: [other.relay.id] }])
})

test('a dead letter, its blocked key and a redrive stay in their set', async () => {
  const [first, second] = [memoryTransport(), memoryTransport()]
  const accept = second.refuse(() => true, {
    outcome: { kind: 'not-written', scope: 'record', code: 'INVALID_RECORD', error: 'no' },
  })
  await using _ = await startedRelay(database.url, first)
  await using other = await startedRelay(database.url, second, {}, prefixed())
  const rows = times(3, (n) => ({ topic: 'orders', key: 'k', value: String(n) }))
  await insertRows(database.pool, rows, 'public', tablePrefix)
  await other.until('blocked', ({ rows }) => rows > 0)
  await eventually(database.pool, 'SELECT FROM p_outbox_dead_letter HAVING count(*) = 3')
  await insertRows(database.pool, rows)
  await first.written(3)
  expect(await database.query('SELECT FROM outbox_dead_letter')).toEqual([])
  accept()
  const operator = await postgresOperator({ databaseUrl: database.url, tablePrefix })
  await operator.request(await operator.keys({ limit: 10 }), 'redrive', 'test')
  operator.close()
  await second.written(3)
  expect([values(first), values(second)]).toEqual([times(3, (n) => n), times(3, (n) => n)])
  expect(await database.query("SELECT FROM pg_trigger WHERE tgname = 'outbox_dead_letter_request'")).toHaveLength(2)
})

test.each(['p-', 'P_', 'p'.repeat(31)])('a prefix that no table has is refused before anything is asked: %s', (wrong) => {
  expect(() => postgresStore({ databaseUrl: database.url, tablePrefix: wrong })).toThrow(/OUTBOX_INVALID_OPTION/)
})

test('a relay whose prefix fits no tables is refused, with the command that makes them', async () => {
  const one = testRelay(
    database.url,
    memoryTransport(),
    {},
    { store: postgresStore({ databaseUrl: database.url, tablePrefix: 'q_' }) },
  )
  await expect(one.relay.start()).rejects.toThrow(
    /Not in schema public: q_outbox, q_outbox_lease, q_outbox_relay, .*\..*init --table-prefix q_/,
  )
})

test('./testing finds and drains the messages of a prefix only', async () => {
  await insertRows(database.pool, [{ topic: 'orders', value: '1' }])
  await insertRows(database.pool, [{ topic: 'orders', value: '2' }], 'public', tablePrefix)
  const client = new prisma7.PrismaClient({ adapter: new prisma7.PrismaPg({ connectionString: database.url }) })
  try {
    expect(await enqueued(client, 'orders', { tablePrefix })).toMatchObject([{ payload: 2 }])
    await expectEnqueued(client, { payload: 2 }, { model: 'outboxMessage' })
  } finally {
    await client.$disconnect()
  }
  expect((await drain({ databaseUrl: database.url, tablePrefix })).records).toMatchObject([{ payload: 2 }])
  expect(await database.query('SELECT topic FROM outbox')).toHaveLength(1)
})

test('an operator sees the set of the prefix', async () => {
  await insertRows(database.pool, [{ topic: 'orders' }], 'public', tablePrefix)
  for (const [place, messages] of [
    [{}, 0],
    [{ tablePrefix }, 1],
  ] as const) {
    const operator = await postgresOperator({ databaseUrl: database.url, ...place })
    expect((await operator.status()).backlog.messages).toBe(messages)
    operator.close()
  }
})
