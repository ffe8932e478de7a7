import { randomBytes } from 'node:crypto'
import { beforeEach, describe, expect, test } from 'vitest'
import { examined } from '../../src/cli/doctor.ts'
import { migration } from '../../src/cli/fragment.ts'
import { postgresOperator } from '../../src/store/postgres/operator.ts'
import { postgresStore } from '../../src/store/postgres/store.ts'
import { memoryTransport } from '../../src/transport/memory.ts'
import { cli } from '../support/cli.ts'
import { useDatabase } from '../support/database.ts'
import { startedRelay } from '../support/relay.ts'
import { relayEnv, startRelayProcess } from '../support/relay-process.ts'
import { insertRows } from '../support/rows.ts'

// Outboxes of a database that nobody relays, beside the one that a relay or a command serves.

const database = useDatabase('each', `${migration({ tablePrefix: 'p_' })}${migration({ schema: 'shop', tablePrefix: 'q_' })}`)
const row = { topic: 'orders', key: 'k' }
const [p, q] = [
  { schema: 'public', prefix: 'p_' },
  { schema: 'shop', prefix: 'q_' },
]

const others = async (place: { databaseUrl?: string; schema?: string; tablePrefix?: string } = {}) => {
  const operator = await postgresOperator({ databaseUrl: database.directUrl, ...place })
  try {
    return await operator.otherOutboxes()
  } finally {
    operator.close()
  }
}

describe('found are', () => {
  beforeEach(async () => {
    await insertRows(database.pool, [row], 'public', 'p_')
    await insertRows(database.pool, [row], 'shop', 'q_')
  })

  test('those of another prefix and of another schema, and not the own one', async () => {
    await insertRows(database.pool, [row])
    expect(await others()).toEqual([p, q])
    expect(await others({ tablePrefix: 'p_' })).toEqual([{ schema: 'public', prefix: '' }, q])
    expect(await others({ schema: 'shop', tablePrefix: 'q_' })).toEqual([{ schema: 'public', prefix: '' }, p])
  })

  test('none that is empty, and none with a relay', async () => {
    await database.query('DELETE FROM p_outbox')
    expect(await others()).toEqual([q])
    const store = postgresStore({ databaseUrl: database.url, schema: 'shop', tablePrefix: 'q_' })
    // Kafka has no topics: the message stays.
    await using relay = await startedRelay(database.url, memoryTransport({ partitions: 0 }), {}, { store })
    await relay.until('heartbeat')
    expect(await others()).toEqual([])
  })

  test('one whose relay was last seen more than a minute ago', async () => {
    const seen = (age: string) =>
      database.query(
        `TRUNCATE p_outbox_relay; INSERT INTO p_outbox_relay (id, name, version, seen_at) VALUES (gen_random_uuid(), 'r', '0', now() - interval '${age}')`,
      )
    await seen('50 seconds')
    expect(await others()).toEqual([q])
    await seen('70 seconds')
    expect(await others()).toEqual([p, q])
  })

  test('none that is a table of the application, whatever it is called', async () => {
    await database.query(`CREATE TABLE old_outbox (id int); INSERT INTO old_outbox VALUES (1);
      CREATE TABLE x_outbox (LIKE outbox); INSERT INTO x_outbox SELECT * FROM p_outbox;
      CREATE TABLE y_outbox (LIKE outbox); CREATE TABLE y_outbox_lease (id int); CREATE TABLE y_outbox_relay (id int);
      INSERT INTO y_outbox SELECT * FROM p_outbox`)
    expect(await others()).toEqual([p, q])
  })

  test.each([
    ['may not use the schema', 'REVOKE USAGE ON SCHEMA shop FROM $role'],
    ['may not read the messages', 'REVOKE SELECT ON shop.q_outbox FROM $role'],
    ['may not read the heartbeats', 'REVOKE SELECT ON shop.q_outbox_relay FROM $role'],
    ['does not see all rows', 'ALTER TABLE shop.q_outbox ENABLE ROW LEVEL SECURITY'],
  ])('none of which the role %s, and all else is answered', async (_, sql) => {
    const role = `other_${randomBytes(4).toString('hex')}`
    await database.query(`CREATE ROLE ${role} LOGIN PASSWORD 'pw'; GRANT USAGE ON SCHEMA public, shop TO ${role};
      GRANT SELECT ON ALL TABLES IN SCHEMA public, shop TO ${role}`)
    const databaseUrl = Object.assign(new URL(database.directUrl), { username: role, password: 'pw' }).href
    expect(await others({ databaseUrl })).toEqual([p, q])
    await database.query(sql.replace('$role', role))
    expect(await others({ databaseUrl })).toEqual([p])
    await database.query(`DROP OWNED BY ${role}; DROP ROLE ${role}`)
  })
})

test('a hundred outboxes are found within the time that a relay gives it', async () => {
  const copy = (n: number) =>
    ['', '_lease', '_relay'].map((table) => `CREATE TABLE "t${n}_outbox${table}" (LIKE outbox${table} INCLUDING ALL)`).join(';')
  await database.query(Array.from({ length: 100 }, (_, n) => copy(n)).join(';'))
  await insertRows(database.pool, [row], 'public', 't99_')
  const since = performance.now()
  expect(await others()).toEqual([{ schema: 'public', prefix: 't99_' }])
  console.log(`100 outboxes: ${Math.round(performance.now() - since)} ms with the connection`)
})

test('a relay names them at its start, once; status and doctor name them, with the command that starts a relay', async () => {
  await insertRows(database.pool, [row], 'shop', 'q_')
  const relay = startRelayProcess(relayEnv(database))
  const line = await relay.until(({ event }) => event === 'outboxes_without_relay')
  expect(line).toMatchObject({ level: 'warn', outboxes: ['shop.q_outbox'], remedy: expect.stringContaining('--table-prefix') })
  const env = relayEnv(database)
  const command = 'npx prisma-extension-outbox relay --schema shop --table-prefix q_'
  const problem = { what: 'The table shop.q_outbox is another outbox: it has messages, and no relay.', command }
  expect((await cli(['status'], env)).stdout).toContain(problem.what)
  expect(JSON.parse((await cli(['status', '--json'], env)).stdout).problems).toContainEqual(expect.objectContaining(problem))
  const [verdict] = (await examined({}, env, process.cwd())).filter(({ check }) => check === 'other outboxes')
  expect(verdict).toMatchObject({
    level: 'warning',
    finding: 'Messages and no relay: shop.q_outbox.',
    fix: expect.stringContaining(command),
  })
  await relay.end('SIGTERM')
  expect(relay.log.filter(({ event }) => event === 'outboxes_without_relay')).toHaveLength(1)
  await database.query('DELETE FROM shop.q_outbox')
  const [well] = (await examined({}, env, process.cwd())).filter(({ check }) => check === 'other outboxes')
  expect(well).toMatchObject({ level: 'ok' })
})
