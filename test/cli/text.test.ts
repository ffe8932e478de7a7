import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openPasswords, usageError } from '../../src/cli/usage-errors.ts'
import { cli } from '../support/cli.ts'
import { createDatabase, type TestDatabase, useDatabase } from '../support/database.ts'
import { relayEnv } from '../support/relay-process.ts'
import { insertRows, moveToDead, withoutChecks } from '../support/rows.ts'

/** A topic that commands a terminal, turns the line around, hides letters and begins a line of its own. */
const hostile = 'T\u001b]0;pwned\u0007\u001b[2J\u009b2J\u202e\u200b\ufe0f\u2028\r\n✓ tables: all is well\n! done'

/** What no output may hold but for its line ends. */
const hidden = /(?!\n)[\p{C}\p{DI}\u2028\u2029]/u

const database = useDatabase('all')
const env = relayEnv(database)
beforeAll(async () => {
  // Tables of an older version, which took such topics.
  await withoutChecks(database.pool)
  await insertRows(database.pool, [
    { topic: hostile, key: 'waiting', type: hostile, headers: { [hostile]: hostile }, value: hostile, messageId: ids[0]! },
    { topic: hostile, key: 'dead', type: hostile, headers: { [hostile]: hostile }, value: hostile, messageId: ids[1]! },
  ])
  await database.query(
    `WITH gone AS (DELETE FROM outbox WHERE message_id = $1 RETURNING *)
     INSERT INTO outbox_dead_letter (bucket, id, message_id, topic, type, key, value, headers, created_at, reason, error, relay, requested_action, requested_by)
     SELECT bucket, id, message_id, topic, type, key, value, headers, created_at, $2, $2, $2, 'redrive', $2 FROM gone`,
    [ids[1], hostile],
  )
  await database.query(
    `INSERT INTO outbox_relay (id, name, version, started_at, seen_at) VALUES (gen_random_uuid(), $1, $1, now(), now())`,
    [hostile],
  )
})

const ids = ['0197f3a0-0000-7000-8000-000000000001', '0197f3a0-0000-7000-8000-000000000002']

describe.each([[], ['--json']])('names from the tables, printed with %j, command no terminal and begin no line:', (...json) => {
  test.each([
    ['status'],
    ['list'],
    ['list', '--dead'],
    ['show', ids[0]!, '--payload'],
    ['show', ids[1]!, '--payload'],
    ['where', ids[0]!],
    ['where', ids[1]!],
    ['redrive', '--all', '--dry-run'],
    ['discard', '--all', '--dry-run'],
    ['doctor'],
  ])('%s %s', async (...args) => {
    const { stdout, stderr } = await cli([...args.filter(Boolean), ...json], env)
    expect(stdout.length).toBeGreaterThan(20)
    expect(stdout + stderr).not.toMatch(hidden)
    expect(stdout + stderr).not.toMatch(/^(✓ tables: all is well|! done)/m)
    if (json.length === 1) expect(JSON.stringify(JSON.parse(stdout)).length).toBeGreaterThan(20)
  })
})

test('a drain dead-letters a hostile topic, and reports it in one line', async () => {
  const { code, stdout, stderr } = await cli(['relay', '--drain'], env)
  expect(code).toBe(3)
  expect(stderr).toContain('are blocked by a dead message')
  expect(stdout + stderr).not.toMatch(hidden)
  expect(stderr).not.toMatch(/^(✓|! done)/m)
})

describe('a command line that is not understood is refused without its values:', () => {
  const canary = 'C4nary'
  const url = `postgresql://u:it's${canary}@h/d`
  test.each([
    [['list', '--limit', url]],
    [['list', '--limit', `x' is invalid. ${canary}`]],
    [['list', `--limit=${url}`]],
    [['list', `--datbase-url=${url}`]],
    [['list', `--datbase-url`, url]],
    [['list', `-p${canary}`]],
    [['list', url]],
    [['show', url]],
    [['show', '--payload', canary]],
    [['redrive', ids[0]!, url]],
    [[url]],
    [[canary]],
    [['inbox', url]],
    [['inbox', canary]],
    [['schema', canary]],
    [[url, canary]],
  ])('%j', async (args) => {
    const { code, stdout, stderr } = await cli(args)
    expect(code).toBe(2)
    expect(stderr).toMatch(/^! /)
    expect(stdout + stderr).not.toContain(canary)
  })

  test('a form that is not known is told without any of its words', () => {
    const forms = [`error: some day '${canary}' is said in another way`, `error: unknown option '--x\n(Did you mean ${canary}?)'`]
    for (const message of forms) expect(usageError({ message }).message).not.toContain(canary)
  })
})

test.each([
  [{ databaseUrl: 'postgresql://u:secret@h/d' }, ['--database-url']],
  [
    { databaseUrl: 'postgresql://u@h/d?password=secret', listenUrl: 'postgresql://u:secret@h/d' },
    ['--database-url', '--listen-url'],
  ],
  [{ databaseUrl: 'postgresql://u@h/d', listenUrl: 'off' }, []],
  [{}, []],
])('flags %j: a line for each that shows a password to the process list', (flags, named) => {
  const lines = openPasswords(flags)
  expect(lines.map((line) => line.split(' ')[0])).toEqual(named)
  expect(lines.join()).not.toContain('secret')
})

test('a password on the command line is warned of on standard error, the variable is not', async () => {
  const { stdout, stderr } = await cli(['status', '--json', '--database-url', database.url])
  expect(stderr).toMatch(/^! --database-url holds a password.*DATABASE_URL instead\.\n$/)
  expect(JSON.parse(stdout)).toHaveProperty('backlog')
  expect((await cli(['status'], env)).stderr).toBe('')
})

describe('with standard_conforming_strings = off', () => {
  let off: TestDatabase
  let offEnv: Record<string, string>
  beforeAll(async () => {
    off = await createDatabase()
    await off.query(`ALTER DATABASE "${new URL(off.directUrl).pathname.slice(1)}" SET standard_conforming_strings = off`)
    offEnv = { ...env, DATABASE_URL: off.url }
    await insertRows(
      off.pool,
      ['k1', 'k31', '\\', '\\x6b31'].map((key, n) => ({ topic: 't', key, messageId: `0197f3a0-0000-7000-8000-00000000001${n}` })),
    )
    await moveToDead(off.pool)
  })
  afterAll(() => off.drop())

  test.each([
    ['k1', 0],
    ['k31', 1],
    ['\\', 2],
    ['\\x6b31', 3],
  ])('--key %s chooses that key and no other for list, redrive and discard', async (key, n) => {
    const { code, stdout, stderr } = await cli(['discard', '--topic', 't', '--key', key, '--dry-run', '--json'], offEnv)
    expect([code, stderr]).toEqual([0, ''])
    const ids = (messages: { messageId: string }[]) => messages.map(({ messageId }) => messageId)
    const wanted = [`0197f3a0-0000-7000-8000-00000000001${n}`]
    expect(ids(JSON.parse(stdout).shown)).toEqual(wanted)
    const listed = await cli(['list', '--dead', '--key', key, '--json'], offEnv)
    expect(ids(JSON.parse(listed.stdout))).toEqual(wanted)
    const redrive = await cli(['redrive', '--key', key, '--dry-run', '--json'], offEnv)
    expect(ids(JSON.parse(redrive.stdout).shown)).toEqual(wanted)
  })

  test.each([[`x\\'); DROP TABLE canary; --`], [`x'); DROP TABLE canary; --`], [`x\\"'; DROP TABLE canary; --`]])(
    'the schema name %s runs nothing',
    async (schema) => {
      await off.query('CREATE TABLE IF NOT EXISTS canary ()')
      for (const args of [['status'], ['doctor'], ['list'], ['inbox', 'list'], ['relay', '--drain']]) {
        const { code, stderr } = await cli([...args, '--schema', schema], offEnv)
        expect(code).toBeGreaterThan(0)
        expect(stderr).not.toContain('Unexpected')
      }
      expect(await off.query("SELECT to_regclass('canary')::text AS name")).toEqual([{ name: 'canary' }])
    },
  )

  test('a relay works', async () => {
    const { code, stderr } = await cli(['relay', '--drain'], offEnv)
    expect([code, stderr]).toEqual([3, expect.stringContaining('4 keys are blocked by a dead message')])
  })
})
