import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { ConfigResourceTypes } from 'kafkajs'
import { describe, expect, test } from 'vitest'
import { builtMain } from '../support/build.ts'
import { cli } from '../support/cli.ts'
import { useDatabase } from '../support/database.ts'
import { emptied } from '../support/eventually.ts'
import { relayEnv, startRelayProcess } from '../support/relay-process.ts'
import { insertMany, insertRows, moveToDead, times } from '../support/rows.ts'
import { createTopic, readTopic, withAdmin } from '../support/topics.ts'

const database = useDatabase('emptied')
const env = relayEnv(database)

/** A dead message of a key, and one that waits behind it. */
async function insertDead(topic = 't'): Promise<[head: string, behind: string]> {
  const [head, behind] = [randomUUID(), randomUUID()]
  await insertRows(database.pool, [
    { topic, key: 'k', messageId: head },
    { topic, key: 'k', messageId: behind },
  ])
  await moveToDead(database.pool, head)
  return [head, behind]
}

/** Takes all messages aside: those that are named are dead, the others wait behind them. */
const takeAside = (dead: readonly string[]) =>
  database.query(
    `WITH gone AS (DELETE FROM outbox RETURNING *)
     INSERT INTO outbox_dead_letter (bucket, id, message_id, topic, key, value, created_at, reason, error, relay)
     SELECT bucket, id, message_id, topic, key, value, created_at, CASE WHEN message_id = ANY($1) THEN 'INVALID_RECORD' END, 'e', 'r' FROM gone`,
    [dead],
  )

const requests = () =>
  database.query<{ requested_action: string }>(
    'SELECT requested_action FROM outbox_dead_letter WHERE requested_action IS NOT NULL',
  )

describe('redrive', () => {
  test('once the fault is mended, a key comes back as a whole, in order, and nothing is dead any more', async () => {
    const topic = await createTopic('small', 1, { config: { 'max.message.bytes': '2000' } })
    await insertRows(database.pool, [
      { topic, key: 'ok' },
      { topic, key: 'k', value: 'x'.repeat(5_000) },
    ])
    await insertRows(
      database.pool,
      times(20, (n) => ({ topic, key: 'k', value: String(n) })),
    )
    const relay = startRelayProcess(env)
    await relay.until((line) => line.event === 'blocked')
    const configEntries = [{ name: 'max.message.bytes', value: '1000000' }]
    const resources = [{ type: ConfigResourceTypes.TOPIC, name: topic, configEntries }]
    await withAdmin((admin) => admin.alterConfigs({ validateOnly: false, resources }))
    const { code, stdout } = await cli(['redrive', '--reason', 'MESSAGE_TOO_LARGE'], env)
    expect(code).toBe(0)
    expect(stdout).toContain('Put back: 1 key, 21 messages.\nPublished: 1 key.\n')
    expect(await relay.until((line) => line.event === 'redriven')).toMatchObject({ topic })
    let records = await readTopic(topic)
    while (records.length < 22) records = await readTopic(topic)
    const ofKey = records.filter((record) => String(record.key) === 'k').map((record) => String(record.value))
    expect(ofKey).toEqual(['x'.repeat(5_000), ...Array.from({ length: 20 }, (_, n) => String(n))])
    expect(await database.query('SELECT 1 FROM outbox_dead_letter')).toEqual([])
  })

  test('--dry-run shows what would be touched, and touches nothing', async () => {
    const [head, behind] = await insertDead()
    const { code, stdout } = await cli(['redrive', behind, '--dry-run'], env)
    expect(code).toBe(0)
    expect(stdout).toContain(head)
    const discard = await cli(['discard', behind, '--dry-run'], env)
    expect(discard.stdout).toContain(behind)
    expect(discard.stdout).not.toContain(head)
    expect(await requests()).toEqual([])
  })
})

describe('what is chosen', () => {
  const chosen = async (...args: string[]) => {
    const { code, stdout, stderr } = await cli([...args, '--json'], env)
    return code === 0 ? JSON.parse(stdout) : { code, stderr }
  }

  test('topic, key, reason and age narrow list, redrive and discard, and all that is given must fit', async () => {
    const [head] = await insertDead('t')
    const [other] = await insertDead('u')
    await database.query("UPDATE outbox_dead_letter SET created_at = now() - interval '2 hours' WHERE topic = 't'")
    const ids = (messages: { messageId: string }[]) => messages.map((message) => message.messageId)
    expect(ids((await chosen('redrive', '--all', '--dry-run')).shown).sort()).toEqual([head, other].sort())
    for (const command of ['redrive', 'discard']) {
      const dry = async (...args: string[]) => ids((await chosen(command, ...args, '--dry-run')).shown ?? [])
      expect(await dry('--older-than', '1h')).toEqual([head])
      expect(await dry('--newer-than', '60m')).toEqual([other])
      expect(await dry('--older-than', '1h', '--topic', 'u')).toEqual([])
      expect(await dry('--older-than', '1h', '--topic', 't', '--key', 'k', '--reason', 'INVALID_RECORD')).toEqual([head])
    }
    expect(ids(await chosen('list', '--dead', '--older-than', '3s', '--limit', '1'))).toEqual([head])
    expect(await chosen('redrive', '--older-than', '3d')).toMatchObject({ code: 1 })
    expect(await chosen('redrive', '--older-than', '3 days')).toMatchObject({ code: 2 })
    expect(await requests()).toEqual([])
  })

  test('--limit takes the lowest ids, --json tells keys and messages, who asked, and whether it was done', async () => {
    const [head] = await insertDead('t')
    await insertDead('u')
    const dry = await chosen('redrive', '--all', '--limit', '1', '--dry-run')
    expect(dry).toMatchObject({
      action: 'redrive',
      dryRun: true,
      done: false,
      keys: 1,
      messages: 2,
      by: expect.stringMatching(/.@./),
    })
    expect(dry.shown).toMatchObject([{ messageId: head, state: 'dead' }])
    const relay = startRelayProcess(env)
    await relay.until((line) => line.event === 'leases_taken')
    const done = await chosen('discard', '--all', '--limit', '1', '--yes')
    expect(done).toMatchObject({ action: 'discard', done: true, messages: 1 })
    expect(await relay.until((line) => line.event === 'discarded')).toMatchObject({
      level: 'warn',
      messageId: head,
      by: `postgres (${done.by})`,
    })
    // The one behind it is put back, in the name of the same operator.
    expect(await relay.until((line) => line.event === 'redriven')).toMatchObject({
      topic: 't',
      rows: 1,
      keys: 1,
      by: `postgres (${done.by})`,
    })
    expect(await database.query('SELECT 1 FROM outbox_dead_letter')).toHaveLength(2)
  })

  test('a redrive of more keys than are shown says how many, and asks for each once, also where all are refused again', async () => {
    const topic = await createTopic('compact', 1, { config: { 'cleanup.policy': 'compact' } })
    await insertRows(
      database.pool,
      times(60, () => ({ topic })),
    )
    await moveToDead(database.pool)
    startRelayProcess(env)
    const { code, stdout } = await cli(['redrive', '--all', '--timeout', '3'], env)
    expect(code).toBe(1)
    expect(stdout).toContain('… and 10 more')
    expect(stdout).toContain('Put back: 60 keys, 60 messages.')
    // After some refusals with one code the topic is at fault: the rest waits.
    expect(stdout).toMatch(/^Dead again: \d+ keys \(\d+ INVALID_RECORD\)\. Put back, not yet published: \d+ keys\.$/m)
  })

  test('a redrive tells what became of each key: those that are published, and those whose second message is refused', async () => {
    const topic = await createTopic('small', 1, { config: { 'max.message.bytes': '2000' } })
    const [fine, broken] = [randomUUID(), randomUUID()]
    await insertRows(database.pool, [
      { topic, key: 'fine', messageId: fine },
      { topic, key: 'broken', messageId: broken },
      { topic, key: 'broken', value: 'x'.repeat(5_000) },
    ])
    await takeAside([fine, broken])
    const relay = startRelayProcess(env)
    await relay.until((line) => line.event === 'leases_taken')
    const { code, stdout } = await cli(['redrive', '--all', '--json'], env)
    expect(code).toBe(1)
    expect(JSON.parse(stdout)).toMatchObject({ done: true, published: 1, deadAgain: { MESSAGE_TOO_LARGE: 1 }, waiting: 0 })
    expect(await readTopic(topic)).toHaveLength(2)
  })

  test('a message without a key, and one whose topic takes nothing yet: put back, and not an error', async () => {
    const topic = await createTopic('keyless', 1)
    const [keyless, missing] = [randomUUID(), randomUUID()]
    await insertRows(database.pool, [
      { topic, messageId: keyless },
      { topic: 'not_there', key: 'k', messageId: missing },
    ])
    await takeAside([keyless, missing])
    const relay = startRelayProcess(env)
    await relay.until((line) => line.event === 'leases_taken')
    const { code, stdout } = await cli(['redrive', '--all', '--timeout', '2'], env)
    expect(code).toBe(0)
    expect(stdout).toContain('Published: 1 key. Put back, not yet published: 1 key.\n')
  })
})

describe('discard', () => {
  test('a record that a compacted topic refuses is dropped, told by the relay, and other keys are not touched', async () => {
    const topic = await createTopic('compact', 1, { config: { 'cleanup.policy': 'compact' } })
    const keyless = randomUUID()
    await insertRows(database.pool, [
      { topic, key: 'a' },
      { topic, messageId: keyless },
      { topic, key: 'b' },
    ])
    const relay = startRelayProcess(env)
    await relay.until((line) => line.event === 'dead_lettered' && line.messageId === keyless)
    const { code, stdout } = await cli(['discard', keyless, '--yes'], env)
    expect(code).toBe(0)
    expect(stdout).toMatch(new RegExp(`${keyless} +INVALID_RECORD +${topic}`))
    expect(stdout).toContain('Dropped: 1 message.')
    await relay.until((line) => line.event === 'discarded' && line.messageId === keyless)
    expect(await database.query('SELECT 1 FROM outbox_dead_letter')).toEqual([])
    await emptied(database.pool)
    expect((await readTopic(topic)).map((record) => String(record.key)).sort()).toEqual(['a', 'b'])
  })

  test('an id that is not dead stops the whole discard before anything is requested', async () => {
    const [head] = await insertDead()
    const { code, stderr } = await cli(['discard', head, randomUUID(), '--yes'], env)
    expect(code).toBe(1)
    expect(stderr).toContain('OUTBOX_NOT_FOUND')
    expect(await requests()).toEqual([])
  })

  // util-linux has it everywhere; a pseudo-terminal cannot be had from Node alone.
  describe.runIf(existsSync('/usr/bin/script'))('at a terminal', () => {
    async function answer(text: string, more = ''): Promise<{ code: number | null; screen: string }> {
      const command = `${process.execPath} ${builtMain} discard --all --timeout 1 ${more}`
      const child = spawn('/usr/bin/script', ['-qec', command, '/dev/null'], { env: { PATH: process.env.PATH, ...env } })
      let screen = ''
      child.stdout.on('data', (data) => {
        if (!screen.includes('(y/N)') && String(data).includes('(y/N)')) child.stdin.write(text)
        screen += data
      })
      const [code] = await once(child, 'close')
      return { code, screen }
    }

    test.each([
      ['no', 'n\r'],
      ['nothing', '\r'],
      ['Ctrl-D', '\u0004'],
    ])('%s drops nothing', async (_, keys) => {
      const [head] = await insertDead()
      const { code, screen } = await answer(keys)
      expect(screen).toContain(head)
      expect(screen).toContain('Drop 1 message for good? (y/N)')
      expect(screen).toContain('Nothing was dropped.')
      expect(code).toBe(0)
      expect(await requests()).toEqual([])
    })

    test('yes drops; without a relay the request stands, and that is said', async () => {
      await insertDead()
      const { code, screen } = await answer('y\r')
      expect(screen).toContain('OUTBOX_NO_ANSWER')
      expect(code).toBe(1)
      expect(await requests()).toEqual([{ requested_action: 'discard' }])
    })
  })
})

describe('status', () => {
  test('the text stays within 80 columns and tells what is dead and who is alive', async () => {
    await insertDead()
    await insertMany(database.pool, 'waits', 12, 3)
    const relay = startRelayProcess({ ...env, OUTBOX_NAME: 'relay-7f9c5d-x2k4j' })
    await relay.until((line) => line.event === 'leases_taken')
    const { code, stdout } = await cli(['status'], env)
    expect(code).toBe(0)
    // A command stands in one line, to be copied.
    for (const line of stdout.split('\n')) if (!line.startsWith('  $ ')) expect(line.length).toBeLessThanOrEqual(80)
    expect(stdout).toMatch(/^Waiting +12 messages, the oldest for /)
    expect(stdout).toMatch(/^Leases +64 held, 0 expired, 0 free$/m)
    expect(stdout).toMatch(/^Dead +1 INVALID_RECORD; 1 wait behind them$/m)
    expect(stdout).toMatch(/^relay-7f9c5d-x2k4j +alive +64 /m)
  })

  test.each([
    ['no batch', '', 'no batch in flight'],
    [
      'one',
      "(1, 0, 't', 0, 0, 1, '', false, clock_timestamp() - interval '90 s')",
      '1 batch in flight, the oldest for 1 min 3\\d s',
    ],
    ['an acknowledged one', "(1, 0, 't', 0, 0, 1, '', true, clock_timestamp() - interval '90 s')", 'no batch in flight'],
  ])('tells the exactly-once mode, with %s', async (_, batch, words) => {
    const { stdout: plain } = await cli(['status'], env)
    expect(plain).not.toContain('Mode')
    await database.query('UPDATE outbox_lease SET format = 2')
    if (batch) await database.query(`INSERT INTO outbox_batch VALUES ${batch}`)
    const { code, stdout } = await cli(['status'], env)
    expect([code, stdout]).toEqual([0, expect.stringMatching(new RegExp(`^Mode {6}exactly once, ${words}$`, 'm'))])
    const { stdout: json } = await cli(['status', '--json'], env)
    expect(JSON.parse(json).exactlyOnce).toEqual(
      words.startsWith('1') ? { waiting: 1, oldestMs: expect.any(Number) } : { waiting: 0, oldestMs: null },
    )
  })

  test('a name from the table is one line, and commands no terminal, in status, list and show', async () => {
    const name = 'relay\u001b[2J\nDead      none\u202e'
    await database.query('INSERT INTO outbox_relay (id, name, version) VALUES ($1, $2, $2)', [randomUUID(), name])
    await database.query(
      'INSERT INTO outbox_dead_letter (bucket, id, message_id, topic, created_at, reason, error, relay) VALUES (0, 1, $1, $2, now(), $2, $2, gen_random_uuid())',
      [randomUUID(), name],
    )
    const [dead] = await database.query<{ message_id: string }>('SELECT message_id FROM outbox_dead_letter')
    for (const args of [['status'], ['list', '--dead'], ['show', dead!.message_id]]) {
      const { code, stdout } = await cli(args, env)
      expect([code, stdout]).toEqual([0, expect.stringContaining('relay\\u{1b}[2J')])
      expect(stdout).not.toMatch(/[^\P{C}\n]/u)
      expect(stdout.match(/^Dead {6}none/gm)).toBeNull()
    }
  })

  test('--watch draws it again each second until it is interrupted; a reader that has seen enough is no error', async () => {
    const child = spawn(process.execPath, [builtMain, 'status', '--watch', '--json'], {
      env: { PATH: process.env.PATH, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let [stdout, stderr] = ['', '']
    child.stderr.on('data', (data) => {
      stderr += data
    })
    for await (const data of child.stdout) {
      stdout += data
      // Leaves the pipe, as `head` does.
      if (stdout.split('\n').length > 2) break
    }
    expect(await once(child, 'exit')).toEqual([0, null])
    expect(stderr).toBe('')
    expect(JSON.parse(stdout.split('\n')[1]!)).toMatchObject({ backlog: { messages: 0 } })
  })
})

test('show tells by whom a waiting message is claimed and until when', async () => {
  const id = randomUUID()
  await insertRows(database.pool, [{ topic: 'no-such-topic', key: 'k', messageId: id, type: 'OrderPlaced' }])
  const relay = startRelayProcess({ ...env, OUTBOX_NAME: 'relay-one' })
  await relay.until((line) => line.event === 'topic_paused')
  const { stdout } = await cli(['show', id], env)
  expect(stdout).toMatch(/^State +waiting for Kafka$/m)
  expect(stdout).toMatch(/^Claimed by +relay-one until \d{4}-\d\d-\d\dT[\d:.]+Z \(for [\d.]+ s\)$/m)
  const json = JSON.parse((await cli(['show', id, '--json'], env)).stdout)
  expect(json).toMatchObject({ messageId: id, state: 'waiting', claimedBy: 'relay-one', type: 'OrderPlaced', headers: [] })
  expect(json.value).toBeUndefined()
})

test('without a database every command says so in one sentence, without a stack', async () => {
  for (const args of [['status'], ['list'], ['show', randomUUID()], ['redrive', '--all'], ['discard', '--all', '--yes']]) {
    const { code, stderr } = await cli(args, { DATABASE_URL: 'postgresql://u:pw@127.0.0.1:1/d' })
    expect(code).toBe(1)
    expect(stderr.trim().split('\n')).toEqual([expect.stringContaining('OUTBOX_DATABASE_UNREACHABLE')])
  }
})

test('what is far too large is dead-lettered, listed and shown without ever coming into memory, and dropped by inFlight', async () => {
  const topic = await createTopic('huge', 1)
  const size = 60_000_000
  // Uncompressed: PostgreSQL would spend its time on that.
  for (const table of ['outbox', 'outbox_dead_letter']) {
    for (const column of ['key', 'value', 'headers']) {
      await database.query(`ALTER TABLE ${table} ALTER ${column} SET STORAGE EXTERNAL`)
    }
  }
  const huge = `convert_to(repeat('x', ${size}), 'UTF8')`
  const headers = `jsonb_build_object('h', repeat('x', ${size}))`
  const settings = { ...env, OUTBOX_LEASE_MS: '60000' }
  const relay = startRelayProcess(settings)
  await relay.until((line) => line.event === 'leases_taken')
  const idle = relay.highestRss()
  const inserted = await database.query<{ id: string }>(
    `INSERT INTO outbox (bucket, message_id, topic, key, value, headers) VALUES (1, gen_random_uuid(), '${topic}', 'value', ${huge}, NULL),
     (2, gen_random_uuid(), '${topic}', ${huge}, '', NULL), (3, gen_random_uuid(), '${topic}', 'headers', '', ${headers}) RETURNING message_id AS id`,
  )
  await emptied(database.pool)
  expect(relay.highestRss() - idle).toBeLessThan(size / 2)
  await relay.end('SIGTERM')
  expect(relay.log.filter((line) => line.event === 'dead_lettered')).toHaveLength(3)
  // A take-over loads the holds: none of them with that key.
  const next = startRelayProcess(settings)
  await next.until((line) => line.event === 'leases_taken')
  const ids = inserted.map((row) => row.id)
  for (const args of [['list', '--dead'], ...ids.map((id) => ['show', id, '--payload']), ['redrive', ...ids, '--dry-run']]) {
    const { code, stdout } = await cli(args, env)
    expect(code).toBe(0)
    expect(stdout.length).toBeLessThan(100_000)
  }
  expect((await cli(['show', ids[0]!, '--payload'], env)).stdout).toContain('(too large to show)')
  expect((await cli(['discard', ...ids, '--yes'], env)).stdout).toContain('Dropped: 3 messages.')
  expect(next.highestRss() - idle).toBeLessThan(size / 2)
}, 120_000)
