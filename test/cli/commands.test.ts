import { randomUUID } from 'node:crypto'
import { describe, expect, inject, test } from 'vitest'
import { cli } from '../support/cli.ts'
import { useDatabase } from '../support/database.ts'
import { eventually } from '../support/eventually.ts'
import { freePort } from '../support/ports.ts'
import { relayEnv, startRelayProcess } from '../support/relay-process.ts'
import { insertRows } from '../support/rows.ts'
import { createTopic, readTopic } from '../support/topics.ts'

const database = useDatabase('all')
const env = relayEnv(database)

describe('bad input ends with exit code 2, one sentence and the remedy', () => {
  const canary = 'S3cretCanary'
  test.each<[string, string[], Record<string, string>, string]>([
    ['no database', ['relay'], { KAFKA_BROKERS: 'b:1' }, 'OUTBOX_INVALID_OPTION'],
    ['no brokers', ['relay'], { DATABASE_URL: 'postgresql://h/d' }, 'OUTBOX_INVALID_OPTION'],
    ['a malformed database URL', ['relay'], { DATABASE_URL: `h:${canary}`, KAFKA_BROKERS: 'b:1' }, 'OUTBOX_DATABASE_REFUSED'],
    [
      'a malformed broker',
      ['relay'],
      { DATABASE_URL: `postgresql://u:${canary}@h/d`, KAFKA_BROKERS: 'b' },
      'OUTBOX_INVALID_OPTION',
    ],
    [
      'a number that is none',
      ['relay', '--lease-ms', 'soon'],
      { DATABASE_URL: 'postgresql://h/d', KAFKA_BROKERS: 'b:1' },
      '--lease-ms must be a whole number from 3,000 to 300,000 ms. Correct it, or leave it out: the default is 10000.',
    ],
    [
      'a number out of range',
      ['relay'],
      { DATABASE_URL: 'postgresql://h/d', KAFKA_BROKERS: 'b:1', OUTBOX_LEASE_MS: '5' },
      'OUTBOX_LEASE_MS must be a whole number from 3,000 to 300,000 ms.',
    ],
    [
      'a request longer than half of the lease',
      ['relay', '--lease-ms', '4000'],
      { DATABASE_URL: 'postgresql://h/d', KAFKA_BROKERS: 'b:1', OUTBOX_REQUEST_TIMEOUT_MS: '2001' },
      'OUTBOX_REQUEST_TIMEOUT_MS must be at most half of the lease of 4000 ms.',
    ],
    [
      'a way that is none',
      ['relay', '--on-dead-letter', 'skip', '--on-dead-letter', `orders=${canary}`],
      { DATABASE_URL: 'postgresql://h/d', KAFKA_BROKERS: 'b:1' },
      '--on-dead-letter must be block or skip, or these by topic',
    ],
    [
      'partitions without --create-topics',
      ['relay', '--partitions', '3'],
      { DATABASE_URL: 'postgresql://h/d', KAFKA_BROKERS: 'b:1' },
      '--partitions is for topics that --create-topics creates.',
    ],
    ['a probe without address', ['healthcheck'], {}, 'OUTBOX_LISTEN is missing. Set OUTBOX_LISTEN, or give --listen.'],
    [
      'an unknown level',
      ['relay', '--log-level', 'loud'],
      { DATABASE_URL: 'postgresql://h/d', KAFKA_BROKERS: 'b:1' },
      '--log-level must be one of trace, debug',
    ],
    [
      'half a login',
      ['relay'],
      { DATABASE_URL: 'postgresql://h/d', KAFKA_BROKERS: 'b:1', KAFKA_SASL_PASSWORD: canary },
      'KAFKA_SASL_MECHANISM',
    ],
    ['an unknown flag', ['relay', '--leese-ms', '5'], {}, 'There is no option --leese-ms. Did you mean --lease-ms?'],
    [
      'a flag without its beginning',
      ['relay', '--brokers', 'x'],
      {},
      'There is no option --brokers. Did you mean --kafka-brokers?',
    ],
    ['an unknown command', ['realy'], {}, 'Did you mean relay?'],
    ['a value that is no whole number', ['list', '--limit', canary], {}, '--limit must be a whole number from 1 on.'],
    ['a flag without its value', ['list', '--limit'], {}, 'The value of --limit is missing.'],
    ['an argument that is missing', ['show'], {}, 'The argument <message-id> is missing.'],
    [
      'a message id that is none',
      ['show', '17'],
      { DATABASE_URL: 'postgresql://h/d' },
      'The argument <message-id> must be a UUID.',
    ],
  ])('%s', async (_, args, more, named) => {
    const { code, stdout, stderr } = await cli(args, more)
    expect(code).toBe(2)
    expect(stderr).toContain(named)
    expect(stderr.trimEnd().split('\n')).toHaveLength(1)
    expect(stderr).toMatch(/ \[OUTBOX_(INVALID_OPTION|DATABASE_REFUSED), https:/)
    expect(stderr).not.toContain('    at ')
    expect(stdout + stderr).not.toContain(canary)
  })

  test('of a relay whose log is JSON it is a line of JSON, of a silent one and of other commands a line of text', async () => {
    const more = { DATABASE_URL: 'postgresql://h/d', KAFKA_BROKERS: 'b:1', OUTBOX_LEASE_MS: '5' }
    for (const args of [['relay'], ['relay', '--lease-ms', '5'], ['relay', '--leese-ms', '5']]) {
      const { stdout, stderr } = await cli(args, more)
      expect(stdout).toBe('')
      expect(JSON.parse(stderr)).toMatchObject({
        level: 'fatal',
        event: 'refused',
        code: 'OUTBOX_INVALID_OPTION',
        msg: expect.stringContaining(args[1] ?? 'OUTBOX_LEASE_MS'),
      })
    }
    expect((await cli(['relay'], { ...more, LOG_LEVEL: 'silent' })).stderr).toMatch(/^! OUTBOX_LEASE_MS must be /)
    expect((await cli(['status', '--leese-ms', '5'])).stderr).toMatch(/^! There is no option --leese-ms\. See --help\. \[/)
  })

  test('a wrong password, a missing database, and a database without our tables', async () => {
    const url = new URL(database.url)
    url.password = canary
    const refused = await cli(['relay'], { ...env, DATABASE_URL: url.href })
    expect(refused).toMatchObject({ code: 2, stderr: expect.stringContaining('OUTBOX_DATABASE_REFUSED') })
    expect(refused.stdout + refused.stderr).not.toContain(canary)
    const missing = await cli(['relay'], { ...env, DATABASE_URL: database.url.replace(/\/outbox_/, '/no_outbox_') })
    expect(missing).toMatchObject({ code: 2, stderr: expect.stringContaining('OUTBOX_DATABASE_REFUSED') })
    for (const command of ['relay', 'status']) {
      const bare = await cli([command], { ...env, OUTBOX_SCHEMA: 'elsewhere' })
      expect(bare).toMatchObject({ code: 2, stderr: expect.stringContaining('OUTBOX_TABLES_MISSING') })
    }
  })

  test('redrive and discard want to know which messages, and discard wants a yes', async () => {
    expect(await cli(['redrive'], env)).toMatchObject({ code: 2, stderr: expect.stringContaining('which messages') })
    expect(await cli(['discard', '--all', '--yes'], env)).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('OUTBOX_NOT_FOUND'),
    })
    expect(await cli(['show', randomUUID()], env)).toMatchObject({ code: 1, stderr: expect.stringContaining('OUTBOX_NOT_FOUND') })
  })
})

test('help and version end with 0, the relay names every flag with its variable', async () => {
  expect(await cli(['--version'])).toMatchObject({ code: 0, stdout: expect.stringMatching(/^\d+\.\d+\.\d+\n$/) })
  const { code, stdout } = await cli(['relay', '--help'])
  expect(code).toBe(0)
  for (const name of ['--database-url', 'KAFKA_BROKERS', 'OUTBOX_LEASE_MS', '--drain']) expect(stdout).toContain(name)
  expect(stdout).toMatch(/--lease-ms <ms> .* \(3,000 to 300,000 ms; default: 10000\) \[OUTBOX_LEASE_MS\]\n/)
})

test('help groups the flags, and names the variables of the secrets of each group', async () => {
  const group = (heading: string, text: string) => text.split(/\n(?=[A-Z]\w+\n\n)/).find((one) => one.startsWith(`${heading}\n`))
  const { stdout } = await cli(['relay', '--help'])
  expect(group('Options', stdout)).toContain('--drain')
  expect(group('Database', stdout)).toMatch(
    /--schema <name>[\s\S]*Secrets from the environment: DATABASE_URL, DATABASE_URL_FILE\n/,
  )
  expect(group('Kafka', stdout)).toMatch(/--kafka-brokers <list>[\s\S]*: .*KAFKA_SASL_PASSWORD, KAFKA_SASL_PASSWORD_FILE\n/)
  expect(group('Relay', stdout)).toMatch(/--lease-ms <ms>[\s\S]*: OUTBOX_LISTEN_URL, OUTBOX_LISTEN_URL_FILE\n/)
  expect(group('HTTP', stdout)).toMatch(/--listen <address>[\s\S]*: OUTBOX_HTTP_LOGIN, OUTBOX_HTTP_LOGIN_FILE\n/)
  const { stdout: list } = await cli(['list', '--help'])
  expect([group('Options', list), group('Kafka', list)]).toEqual([expect.stringContaining('--limit <n>'), undefined])
})

describe('relay', () => {
  test('flags win over the environment, and the log tells once what it runs with, without secrets', async () => {
    const relay = startRelayProcess({ ...env, OUTBOX_NAME: 'from-environment', OUTBOX_LEASE_MS: '3000' })
    const started = await relay.until((line) => line.event === 'started')
    expect(started).toMatchObject({ name: 'from-environment', settings: { leaseMs: 3_000 } })
    const configuration = await relay.until((line) => line.event === 'configuration')
    expect(JSON.stringify(configuration)).not.toContain(`${new URL(database.url).password}@`)
    expect(configuration).toMatchObject({ kafka: { brokers: inject('brokers').split(',') } })
    expect(await relay.end('SIGTERM')).toEqual({ code: 0, signal: null })
    expect(relay.log.at(-1)).toMatchObject({ event: 'stopped', clean: true })
  })

  test('a database that refuses connections is waited out, with one line; a signal still ends it', async () => {
    const relay = startRelayProcess({ ...env, DATABASE_URL: `postgresql://postgres@127.0.0.1:${await freePort()}/shop` })
    await relay.until((line) => line.event === 'database_trouble')
    await new Promise((resolve) => setTimeout(resolve, 1_500))
    expect(relay.log.filter((line) => line.event === 'database_trouble')).toHaveLength(1)
    expect(await relay.end('SIGINT')).toEqual({ code: 0, signal: null })
  })

  test('--drain empties the outbox and ends with 0; where it cannot, with 3 and the reasons', async () => {
    const topic = await createTopic('drain')
    await insertRows(database.pool, [
      { topic, key: 'a' },
      { topic, key: 'b' },
    ])
    expect(await cli(['relay', '--drain'], env)).toMatchObject({ code: 0 })
    expect(await readTopic(topic)).toHaveLength(2)
    await insertRows(database.pool, [{ topic: 'nowhere', key: 'a' }])
    const { code, stderr } = await cli(['relay', '--drain'], env)
    expect(code).toBe(3)
    expect(stderr).toContain('1 message is left')
    expect(stderr).toContain('topic nowhere takes no messages: UNKNOWN_TOPIC_OR_PARTITION')
    await database.query('TRUNCATE outbox')
  })
})

describe('operating', () => {
  test('a message that Kafka refuses is seen by status, list and show, and comes back by redrive in order', async () => {
    const topic = await createTopic('small', 1, { config: { 'max.message.bytes': '2000' } })
    const [big, after] = [randomUUID(), randomUUID()]
    // The topic's first records: the refusal below is not one of a topic that takes nothing.
    await insertRows(database.pool, [
      { topic, key: 'other', value: '{"n":0}' },
      { topic, key: 'k', value: JSON.stringify('x'.repeat(5_000)), messageId: big },
      { topic, key: 'k', value: '{"n":2}', messageId: after, headers: { tenant: 'blue' } },
    ])
    const relay = startRelayProcess({ ...env, OUTBOX_NAME: 'relay-one', OUTBOX_LEASE_MS: '3000' })
    await relay.until((line) => line.event === 'blocked')
    const status = JSON.parse((await cli(['status', '--json'], env)).stdout)
    expect(status).toMatchObject({
      backlog: { messages: 0, exact: true, oldestMs: null },
      leases: { held: 64, expired: 0, free: 0 },
      dead: { byReason: { MESSAGE_TOO_LARGE: 1 }, blocked: 1 },
    })
    expect(status.relays.filter((one: { alive: boolean }) => one.alive)).toMatchObject([{ name: 'relay-one', buckets: 64 }])
    expect((await cli(['status'], env)).stdout).toMatch(/Dead +1 MESSAGE_TOO_LARGE; 1 wait behind them/)
    const list = (await cli(['list', '--dead'], env)).stdout
    expect(list).toMatch(new RegExp(`${big} +MESSAGE_TOO_LARGE +${topic} +k .* relay-one for`))
    expect(list).toMatch(new RegExp(`${after} +blocked`))
    const show = (await cli(['show', after], env)).stdout
    expect(show).toContain('waits behind a dead message of its key')
    expect(show).toContain('tenant')
    expect(show).not.toContain('blue')
    expect((await cli(['show', after, '--payload'], env)).stdout).toContain('{"n":2}')
    expect((await cli(['show', big], env)).stdout).toContain('dead; 1 wait behind it')

    const dry = await cli(['redrive', after, '--dry-run'], env)
    expect(dry.stdout).toContain(big)
    // Refused once more: the request was answered, and the key is held again.
    expect(await cli(['redrive', '--topic', topic], env)).toMatchObject({
      code: 1,
      stdout: expect.stringMatching(/Put back: 1 key, 2 messages\.\nDead again: 1 key \(1 MESSAGE_TOO_LARGE\)\.$/m),
    })
    await relay.until(
      (line) => line.event === 'dead_lettered' && line !== relay.log.find((first) => first.event === 'dead_lettered'),
    )
    await eventually(database.pool, 'SELECT FROM outbox_dead_letter HAVING count(*) >= 2')

    expect(await cli(['discard', big], env)).toMatchObject({ code: 2, stderr: expect.stringContaining('--yes') })
    expect(await cli(['discard', big, '--yes'], env)).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('Dropped: 1 message.'),
    })
    await eventually(database.pool, 'SELECT WHERE NOT EXISTS (SELECT FROM outbox UNION ALL SELECT FROM outbox_dead_letter)')
    expect((await readTopic(topic)).map((record) => record.headers.id)).toContain(after)
    expect(relay.log.filter((line) => line.event === 'discarded')).toMatchObject([{ messageId: big, topic }])
    expect(await relay.end('SIGTERM')).toEqual({ code: 0, signal: null })
  })

  test('waiting messages are listed with the relay that claims them; without a relay a request is not answered', async () => {
    const [id] = await insertRows(database.pool, [{ topic: 'waits', key: '\u0001', value: '{}' }])
    const list = JSON.parse((await cli(['list', '--topic', 'waits', '--json'], env)).stdout)
    expect(list).toMatchObject([{ id, state: 'waiting', claimedBy: null, key: Buffer.from('\u0001').toString('base64') }])
    expect((await cli(['list', '--key', '0x01'], env)).stdout).toContain('0x01')
    expect((await cli(['list', '--topic', 'others'], env)).stdout).toBe('No messages.\n')
    await database.query(
      `INSERT INTO outbox_dead_letter (bucket, id, message_id, topic, key, value, created_at, reason, relay) SELECT bucket, id, message_id, topic, key, value, created_at, 'R', 'r' FROM outbox`,
    )
    const { code, stderr } = await cli(['redrive', '--all', '--timeout', '1'], env)
    expect(code).toBe(1)
    expect(stderr).toContain('OUTBOX_NO_ANSWER')
    await database.query('TRUNCATE outbox, outbox_dead_letter')
  })

  test('a backlog over ten thousand is estimated, not counted', async () => {
    await database.query(
      "INSERT INTO outbox (bucket, message_id, topic) SELECT n % 64, gen_random_uuid(), 't' FROM generate_series(1, 30000) AS n; ANALYZE outbox",
    )
    const { backlog } = JSON.parse((await cli(['status', '--json'], env)).stdout)
    expect(backlog.exact).toBe(false)
    expect(backlog.messages).toBeGreaterThan(25_000)
    expect(backlog.messages).toBeLessThan(35_000)
    expect((await cli(['status'], env)).stdout).toContain('about ')
    await database.query('TRUNCATE outbox')
  })
})
