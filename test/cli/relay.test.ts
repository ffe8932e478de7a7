import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import * as zlib from 'node:zlib'
import pg from 'pg'
import { describe, expect, inject, onTestFinished, test } from 'vitest'
import { dumpTopics, proofKafka } from '../../src/proof/dump.ts'
import { builtMain } from '../support/build.ts'
import { cli } from '../support/cli.ts'
import { useDatabase } from '../support/database.ts'
import { emptied } from '../support/eventually.ts'
import { freePort } from '../support/ports.ts'
import { relayEnv, startRelayProcess } from '../support/relay-process.ts'
import { insertRows, times } from '../support/rows.ts'
import { createTopic, readTopic } from '../support/topics.ts'

const database = useDatabase('emptied')
const env = relayEnv(database)

/** Longer than npm takes to pass a signal on, after which a second one counts. */
const afterEcho = 600

test('a message goes from the table to Kafka with key, value and headers, and its row is gone', async () => {
  const topic = await createTopic('cli')
  await insertRows(database.pool, [{ topic, key: 'order-1', value: '{"n":1}', headers: { tenant: 'blue' }, type: 'OrderPlaced' }])
  const relay = startRelayProcess(env)
  await relay.until((line) => line.event === 'leases_taken')
  await emptied(database.pool)
  const [record] = await readTopic(topic)
  expect(record).toMatchObject({ headers: { tenant: 'blue', type: 'OrderPlaced', id: expect.any(String) } })
  expect([record!.key, record!.value].map(String)).toEqual(['order-1', '{"n":1}'])
  expect(await relay.end('SIGTERM')).toEqual({ code: 0, signal: null })
})

test('with --compression the batches are compressed, and --drain empties the outbox as ever', async () => {
  const topic = await createTopic('cli-compressed', 1)
  await insertRows(
    database.pool,
    times(50, (n) => ({ topic, key: 'order-1', value: JSON.stringify({ n, note: 'leave it at the door' }) })),
  )
  const { code } = await cli(['relay', '--drain', '--compression', 'lz4'], env)
  expect(code).toBe(0)
  // A plain kafkajs has no codec for it.
  await expect(readTopic(topic)).rejects.toThrow('LZ4 compression not implemented')
  const { records } = await dumpTopics(proofKafka({ brokers: inject('brokers').split(',') }), [topic], 'read_uncommitted')
  expect(records.map(({ offset }) => offset)).toEqual(Array.from({ length: 50 }, (_, n) => n))
})

test.each([
  ['brotli', 2, '--compression must be one of none, gzip, snappy, lz4, zstd'],
  ['zstd', 'zstdCompressSync' in zlib ? 0 : 2, 'zstdCompressSync' in zlib ? '' : 'OUTBOX_COMPRESSION_PACKAGE'],
])('--compression %s ends with %i before anything is done, if this Node cannot do it', async (compression, code, words) => {
  const ended = await cli(['relay', '--drain', '--compression', compression], env)
  expect(ended.code).toBe(code)
  expect(ended.stderr).toContain(words)
})

describe('signals', () => {
  /** A relay that cannot give its leases back, because somebody holds the rows: it is busy stopping. */
  async function stuckRelay(stopTimeoutMs = 60_000) {
    const relay = startRelayProcess({ ...env, OUTBOX_STOP_TIMEOUT_MS: String(stopTimeoutMs) })
    await relay.until((line) => line.event === 'leases_taken')
    const holder = new pg.Client({ connectionString: database.url })
    await holder.connect()
    onTestFinished(() => holder.end())
    await holder.query('BEGIN; SELECT 1 FROM outbox_lease FOR UPDATE')
    return { relay, letGo: () => holder.query('ROLLBACK') }
  }

  test.each([
    ['SIGTERM', 143],
    ['SIGINT', 130],
    ['SIGHUP', 129],
  ] as const)('a second %s breaks the stopping off with %i', async (signal, code) => {
    const { relay } = await stuckRelay()
    relay.child.kill('SIGTERM')
    await relay.until((line) => line.event === 'stopping')
    await pause(afterEcho)
    expect(await relay.end(signal)).toEqual({ code, signal: null })
  })

  test('a terminal that is closed ends the relay as SIGTERM does: the leases are given back', async () => {
    const relay = startRelayProcess(env)
    await relay.until((line) => line.event === 'leases_taken')
    expect(await relay.end('SIGHUP')).toEqual({ code: 0, signal: null })
    expect(relay.log.find((line) => line.event === 'stopping')).toMatchObject({ signal: 'SIGHUP' })
    expect(await database.query('SELECT 1 FROM outbox_lease WHERE owner IS NOT NULL')).toEqual([])
  })

  test('the echo of a signal, as npm sends it at once, does not break anything off', async () => {
    const { relay, letGo } = await stuckRelay()
    relay.child.kill('SIGINT')
    await relay.until((line) => line.event === 'stopping')
    const ended = relay.end('SIGINT')
    await letGo()
    expect(await ended).toEqual({ code: 0, signal: null })
  })

  test('a relay that cannot settle in time ends with 1 and says that it was not clean', async () => {
    const { relay } = await stuckRelay(300)
    const asked = performance.now()
    expect(await relay.end('SIGTERM')).toEqual({ code: 1, signal: null })
    expect(performance.now() - asked).toBeLessThan(3_000)
    expect(relay.log.at(-1)).toMatchObject({ event: 'stopped', clean: false })
  })
})

test('an error that nobody handles is logged, and ends the relay with 1', async () => {
  const preload = "process.on('SIGUSR2', () => { throw new Error('canary in the mine') })"
  const relay = startRelayProcess({ ...env, NODE_OPTIONS: `--import data:text/javascript,${encodeURIComponent(preload)}` })
  await relay.until((line) => line.event === 'leases_taken')
  expect(await relay.end('SIGUSR2')).toEqual({ code: 1, signal: null })
  expect(relay.log.at(-1)).toMatchObject({
    level: 'fatal',
    event: 'crashed',
    error: expect.stringContaining('canary in the mine'),
  })
})

test('messages go on when nobody reads the log any more', async () => {
  const topic = await createTopic('cli')
  const child: ChildProcess = spawn(process.execPath, [builtMain, 'relay', '--log-level', 'trace'], {
    env: { PATH: process.env.PATH, ...env },
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  await once(child.stdout!, 'data')
  child.stdout!.destroy()
  await insertRows(database.pool, [{ topic, key: 'a' }])
  await emptied(database.pool)
  await insertRows(database.pool, [{ topic, key: 'b' }])
  await emptied(database.pool)
  child.kill('SIGTERM')
  expect(await once(child, 'exit')).toEqual([0, null])
  expect(await readTopic(topic)).toHaveLength(2)
})

// util-linux has it everywhere; a pseudo-terminal cannot be had from Node alone.
describe.runIf(existsSync('/usr/bin/script'))('at a terminal', () => {
  test('what was published is told every five seconds, by topic; nothing is told while nothing is published', async () => {
    const [orders, mails] = [await createTopic('orders'), await createTopic('mails')]
    await insertRows(database.pool, [
      { topic: orders, key: 'a' },
      { topic: orders, key: 'b' },
      { topic: mails, key: 'a' },
    ])
    const child = spawn('/usr/bin/script', ['-qec', `${process.execPath} ${builtMain} relay`, '/dev/null'], {
      env: { PATH: process.env.PATH, ...env },
    })
    onTestFinished(() => void child.kill('SIGKILL'))
    let screen = ''
    const told = new Promise<void>((resolve) => {
      child.stdout.on('data', (data) => {
        screen += data
        if (screen.includes(' published ')) resolve()
      })
    })
    await told
    // Longer than the time between two lines.
    await pause(5_500)
    // Ctrl-C, as a person types it.
    child.stdin.write('\u0003')
    await once(child, 'close')
    const lines = screen.split('\n').filter((line) => line.includes(' published '))
    expect(lines).toHaveLength(1)
    expect(lines[0]).toContain(`messages=3 topics=${orders} 2, ${mails} 1`)
  })
})

test('--drain says how many messages it published', async () => {
  const topic = await createTopic('drained')
  await insertRows(database.pool, [
    { topic, key: 'a' },
    { topic, key: 'b' },
  ])
  const { code, stdout } = await cli(['relay', '--drain'], env)
  expect(code).toBe(0)
  expect(stdout).toMatch(/"event":"drained","published":2/)
})

describe('--drain ends with 3 and says why', () => {
  test('a key that waits behind a dead message', async () => {
    const topic = await createTopic('small', 1, { config: { 'max.message.bytes': '2000' } })
    await insertRows(database.pool, [
      { topic, key: 'ok' },
      { topic, key: 'k', value: 'x'.repeat(5_000) },
      { topic, key: 'k' },
    ])
    const { code, stderr } = await cli(['relay', '--drain'], env)
    expect(code).toBe(3)
    expect(stderr).toContain('is blocked by a dead message')
    expect(await readTopic(topic)).toHaveLength(1)
  })

  test('buckets of another relay', async () => {
    const other = startRelayProcess({ ...env, KAFKA_BROKERS: `127.0.0.1:${await freePort()}` })
    await other.until((line) => line.event === 'leases_taken' && line.owned === 64)
    await insertRows(
      database.pool,
      times(64, (n) => ({ topic: 'waits', key: `k${n}` })),
    )
    const { code, stderr } = await cli(['relay', '--drain'], { ...env, KAFKA_BROKERS: inject('brokers') })
    expect(code).toBe(3)
    expect(stderr).toMatch(/\d+ buckets belong to other relays/)
    await other.end('SIGKILL')
  })

  test('a signal', async () => {
    await insertRows(database.pool, [{ topic: 'waits', key: 'k' }])
    const child = spawn(process.execPath, [builtMain, 'relay', '--drain'], {
      env: { PATH: process.env.PATH, ...env, KAFKA_BROKERS: `127.0.0.1:${await freePort()}` },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let stderr = ''
    child.stderr.on('data', (data) => {
      stderr += data
    })
    for await (const data of child.stdout) if (String(data).includes('kafka_trouble')) child.kill('SIGTERM')
    expect(child.exitCode ?? (await once(child, 'exit'))[0]).toBe(3)
    expect(stderr).toContain('a signal broke the drain off')
  })
})

describe('a database that can never serve ends the relay at once with 2', () => {
  const refused = async (more: Record<string, string>) => {
    const { code, stderr } = await cli(['relay'], { ...env, ...more })
    expect(code).toBe(2)
    expect(stderr.trim().split('\n')).toHaveLength(1)
    return stderr
  }

  test('a newer table format', async () => {
    await database.query('UPDATE outbox_lease SET format = 3')
    expect(await refused({})).toContain('OUTBOX_TABLE_FORMAT')
    await database.query('UPDATE outbox_lease SET format = 1')
  })

  test('one that is read-only', async () => {
    const url = `${database.url}?options=-c%20default_transaction_read_only%3Don`
    expect(await refused({ DATABASE_URL: url })).toContain('OUTBOX_READ_ONLY_DATABASE')
  })

  test('a certificate that is not there, and a listener’s too', async () => {
    expect(await refused({ DATABASE_URL: `${database.url}?sslrootcert=/not/there` })).toContain(
      'DATABASE_URL names a certificate',
    )
    expect(await refused({ OUTBOX_LISTEN_URL: `${database.url}?sslrootcert=/not/there` })).toContain('OUTBOX_LISTEN_URL names')
  })
})

describe('secrets', () => {
  const canary = 'S3cretCanary'

  test('neither the passwords of database and Kafka nor a mistyped flag’s value are ever printed', async () => {
    const url = new URL(database.url)
    await database.query(`CREATE ROLE canary_${url.pathname.slice(-12)} LOGIN SUPERUSER PASSWORD '${canary}'`)
    ;[url.username, url.password] = [`canary_${url.pathname.slice(-12)}`, canary]
    const login = { KAFKA_SASL_MECHANISM: 'plain', KAFKA_SASL_USERNAME: 'u', KAFKA_SASL_PASSWORD: canary }
    const relay = startRelayProcess({ ...env, ...login, DATABASE_URL: url.href, OUTBOX_LISTEN_URL: url.href, LOG_LEVEL: 'trace' })
    await insertRows(database.pool, [{ topic: 'any', key: canary, value: canary, headers: { a: canary } }])
    // The test's Kafka wants no login: an attempt is trouble.
    await relay.until((line) => line.event === 'kafka_trouble' || line.event === 'topic_paused')
    expect(await relay.end('SIGTERM')).toEqual({ code: 0, signal: null })
    const configuration = relay.log.find((line) => line.event === 'configuration')
    expect(configuration).toMatchObject({ kafka: { sasl: 'plain' }, listen: expect.stringContaining(url.host) })
    expect(JSON.stringify(relay.log)).not.toContain(canary)
    for (const args of [
      ['relay', `--kafka-sasl-password=${canary}`],
      ['relay', `--databas-url=postgresql://u:${canary}@h/d`],
      ['status', `postgresql://u:${canary}@h/d`],
      [`postgresql://u:${canary}@h/d`],
      ['show', `postgresql://u:${canary}@h/d`],
      ['relay', '--database-url', 'postgresql://h/d', '--kafka-brokers', `u:${canary}@h:9092`],
    ]) {
      const { code, stdout, stderr } = await cli(args)
      expect(code).toBe(2)
      expect(stderr).not.toBe('')
      expect(stdout + stderr).not.toContain(canary)
    }
    await database.query(`DROP ROLE canary_${url.pathname.slice(-12)}`)
  })
})

test.each([
  ['KAFKA_SSL', 'maybe', 'must be true or false'],
  ['OUTBOX_LEASE_MS', '5', 'must be a whole number from 3,000 to 300,000 ms'],
  ['OUTBOX_KEYLESS', 'random', 'must be one of topic, spread'],
  ['OUTBOX_REQUEST_TIMEOUT_MS', '2000', 'must be at most half of the lease of 3000 ms'],
  ['KAFKA_SASL_MECHANISM', 'gssapi', 'must be one of plain, '],
  ['LOG_LEVEL', 'loud', 'must be one of trace, '],
])('%s=%s is refused, naming the variable that was given', async (name, value, must) => {
  const { code, stderr } = await cli(['relay'], { ...env, [name]: value })
  expect(code).toBe(2)
  expect(JSON.parse(stderr).msg).toContain(`${name} ${must}`)
})

test('an empty variable is one that is not set', async () => {
  expect(await cli(['relay', '--drain'], { ...env, LOG_LEVEL: '', KAFKA_SSL: '', OUTBOX_NAME: '' })).toMatchObject({ code: 0 })
})

describe('the Kafka client', () => {
  test('that is named carries the messages, and the log tells its name', async () => {
    const topic = await createTopic('cli-transport')
    await insertRows(database.pool, [{ topic, key: 'k', value: '{"n":1}' }])
    const relay = startRelayProcess({ ...env, OUTBOX_TRANSPORT: 'platformatic' })
    expect(await relay.until((line) => line.event === 'configuration')).toMatchObject({ transport: 'platformatic' })
    await emptied(database.pool)
    expect((await readTopic(topic)).map(({ value }) => String(value))).toEqual(['{"n":1}'])
    expect(await relay.end('SIGTERM')).toEqual({ code: 0, signal: null })
  })

  test('that there is not ends the relay with 2', async () => {
    const { code, stderr } = await cli(['relay', '--transport', 'pigeon'], env)
    expect([code, stderr]).toEqual([2, expect.stringContaining('--transport must be one of kafkajs, platformatic')])
  })
})
