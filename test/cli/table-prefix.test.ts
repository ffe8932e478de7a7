import { execFileSync } from 'node:child_process'
import { randomBytes, randomUUID } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { beforeAll, describe, expect, inject, test } from 'vitest'
import { migration } from '../../src/cli/fragment.ts'
import type { Verdict } from '../../src/doctor/verdict.ts'
import { cli } from '../support/cli.ts'
import { useDatabase } from '../support/database.ts'
import { eventually } from '../support/eventually.ts'
import { relayEnv, startRelayProcess } from '../support/relay-process.ts'
import { insertRows } from '../support/rows.ts'
import { createTopic, readTopic } from '../support/topics.ts'

// The application has a table `outbox` of its own, and ours have a prefix.

const tablePrefix = 'p_'
const naming = { tablePrefix }
const own = 'CREATE TABLE outbox (id serial PRIMARY KEY, letter text); INSERT INTO outbox (letter) VALUES ($$mine$$);'
const database = useDatabase('all', `${own}${migration(naming)}${migration(naming, 'inbox')}`, { migrate: false })
const env = relayEnv(database, { OUTBOX_TABLE_PREFIX: tablePrefix })

const run = async (...args: string[]) => {
  const { code, stdout, stderr } = await cli([...args, '--table-prefix', tablePrefix], relayEnv(database))
  return { code, said: stdout + stderr, stdout }
}

const insert = (topic: string, messageId: string, value = '1') =>
  insertRows(database.pool, [{ topic, key: 'k', value, messageId }], 'public', tablePrefix)

test('relay, list, show, where, redrive, discard, status and doctor work on the tables of the prefix', async () => {
  const topic = await createTopic('prefix', 1, { config: { 'max.message.bytes': '2000' } })
  const [large, behind, alone] = [randomUUID(), randomUUID(), randomUUID()]
  await insert(topic, large, JSON.stringify('x'.repeat(3_000)))
  await insert(topic, behind)
  const relay = startRelayProcess(env)
  await relay.until(({ event }) => event === 'configuration')
  expect(relay.log.find(({ event }) => event === 'configuration')).toMatchObject({ tablePrefix })
  await eventually(database.pool, 'SELECT FROM p_outbox_dead_letter HAVING count(*) = 2')

  expect((await run('list', '--dead')).stdout).toContain(large)
  expect((await run('show', large)).stdout).toContain('MESSAGE_TOO_LARGE')
  expect(await run('redrive', large)).toMatchObject({ code: 1, said: expect.stringContaining('Dead again: 1 key') })
  expect((await run('discard', large, '--yes')).code).toBe(0)
  await eventually(
    database.pool,
    'SELECT WHERE NOT EXISTS (SELECT FROM p_outbox) AND NOT EXISTS (SELECT FROM p_outbox_dead_letter)',
  )
  expect((await run('where', behind, '--topic', topic)).said).toContain(`${topic}[0]@0`)
  expect((await readTopic(topic)).map(({ headers }) => headers.id)).toEqual([behind])

  expect(JSON.parse((await run('status', '--json')).stdout)).toMatchObject({ backlog: { messages: 0 }, problems: [] })
  const verdicts = JSON.parse((await run('doctor', '--json')).stdout) as Verdict[]
  const failing = verdicts.filter(({ level }) => level === 'failure' || level === 'warning')
  expect(failing.filter(({ check }) => !/^(fsync|encryption|database|topic|kafka)/.test(check))).toEqual([])

  await relay.end('SIGTERM')
  await insert(topic, alone)
  expect((await run('relay', '--drain')).code).toBe(0)
  expect(await readTopic(topic)).toHaveLength(2)
  expect(await database.query('SELECT letter FROM outbox')).toEqual([{ letter: 'mine' }])
})

test('without the prefix the commands refuse the table of the application, and name the flag', async () => {
  const { code, stderr } = await cli(['status'], relayEnv(database))
  expect(code).toBe(2)
  expect(stderr).toMatch(/Not in schema public: outbox_lease, outbox_relay, outbox_dead_letter, outbox_batch\. .*--table-prefix/)
})

test.each([
  ['--table-prefix', ['status', '--table-prefix', 'P_'], {}],
  ['OUTBOX_TABLE_PREFIX', ['list'], { OUTBOX_TABLE_PREFIX: '1_' }],
])('a wrong prefix is refused by the name of %s', async (name, args, more) => {
  const { code, stderr } = await cli(args, { ...relayEnv(database), ...more })
  expect([code, stderr]).toEqual([
    2,
    expect.stringMatching(new RegExp(`^! ${name} must be a lower-case letter.*OUTBOX_INVALID_OPTION`)),
  ])
})

test('inbox list, redrive and discard work on the tables of the prefix', async () => {
  const id = randomUUID()
  await database.query(
    `INSERT INTO p_inbox_dead_letter (consumer, identity, topic, partition, "offset", headers, reason) VALUES ('mail', $1, 't', 0, 1, '{}', 'HANDLER_FAILED')`,
    [id],
  )
  expect((await run('inbox', 'list')).stdout).toContain(id)
  expect((await run('inbox', 'discard', id, '--yes', '--timeout', '1')).said).toContain('OUTBOX_NO_ANSWER')
  const [row] = await database.query('SELECT requested_action AS action, requested_by AS by FROM p_inbox_dead_letter')
  expect(row).toEqual({ action: 'discard', by: expect.stringMatching(/^postgres \(/) })
  const { stderr } = await cli(['inbox', 'list', '--table-prefix', 'q_'], relayEnv(database))
  expect(stderr).toMatch(/q_inbox_dead_letter is not in schema public\. .*init --inbox --table-prefix q_/)
})

test('prove makes its scratch tables with the prefix', async () => {
  const { code, said } = await run('prove', '--seconds', '4', '--kills', '1')
  expect([code, said]).toEqual([0, expect.stringContaining('Proved in')])
}, 90_000)

describe('the roles of ops/grants.sql', () => {
  const file = fileURLToPath(new URL('../../ops/grants.sql', import.meta.url))
  /** The line of the file's own comment that puts a prefix in. */
  const line = () => /^--\s+(sed .*) grants\.sql$/m.exec(execFileSync('cat', [file], { encoding: 'utf8' }))![1]!
  let operator: string
  let relay: string

  beforeAll(async () => {
    const sql = execFileSync('sh', ['-c', `${line()} '${file}'`], { encoding: 'utf8' })
    await database.query(sql)
    const login = async (role: string) => {
      const name = `prefix_${randomBytes(4).toString('hex')}`
      await database.query(`CREATE ROLE ${name} LOGIN PASSWORD 'pw'; GRANT ${role} TO ${name}`)
      return Object.assign(new URL(database.directUrl), { username: name, password: 'pw' }).href
    }
    ;[operator, relay] = [await login('outbox_operator'), await login('outbox_relay')]
  })

  test('have their rights on the prefixed tables', async () => {
    const topic = await createTopic('prefix')
    await insert(topic, randomUUID())
    const as = (url: string, ...args: string[]) =>
      cli([...args, '--table-prefix', tablePrefix], { DATABASE_URL: url, KAFKA_BROKERS: inject('brokers') })
    expect((await as(operator, 'list', '--topic', topic)).stdout).toContain(topic)
    expect(await as(operator, 'inbox', 'list')).toMatchObject({ code: 0 })
    expect(await as(relay, 'relay', '--drain')).toMatchObject({ code: 0 })
    expect(await readTopic(topic)).toHaveLength(1)
  })
})
