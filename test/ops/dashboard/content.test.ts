import { randomUUID } from 'node:crypto'
import { beforeAll, describe, expect, test } from 'vitest'
import { dashboardPages } from '../../../src/ops/dashboard/pages.ts'
import { Standing } from '../../../src/ops/dashboard/standing.ts'
import { LivenessCheck } from '../../../src/ops/liveness.ts'
import { type RelayEvents, Telemetry } from '../../../src/relay/telemetry.ts'
import { postgresOperator } from '../../../src/store/postgres/operator.ts'
import { createDatabase, useDatabase } from '../../support/database.ts'
import { insertRows } from '../../support/rows.ts'

const ids = { waiting: randomUUID(), dead: randomUUID(), behind: randomUUID() }

const database = useDatabase('all')
beforeAll(async () => {
  await insertRows(database.pool, [
    { topic: 'orders', key: 'a', value: '{"total":1990}', headers: { tenant: 'acme' }, messageId: ids.waiting, type: 'Placed' },
    { topic: 'mails', key: 'd', messageId: ids.dead },
    { topic: 'mails', key: 'd', messageId: ids.behind },
    { topic: 'mails', key: 'd' },
  ])
  await database.query(
    `WITH gone AS (DELETE FROM outbox WHERE topic = 'mails' RETURNING *)
     INSERT INTO outbox_dead_letter (bucket, id, message_id, topic, key, value, created_at, reason, error, relay, requested_action, requested_by)
     SELECT bucket, id, message_id, topic, key, value, created_at, CASE WHEN message_id = $1 THEN 'TOO_LARGE' END,
       CASE WHEN message_id = $1 THEN 'over the limit' END, 'relay-1', NULL, NULL FROM gone`,
    [ids.dead],
  )
})

/** The pages of a relay that has told what is given, without HTML's signs: each as one line of words. */
function pages({ payload = false, told = [] as [keyof RelayEvents, object][], databaseUrl = database.url, whole = false } = {}) {
  const telemetry = new Telemetry()
  const liveness = new LivenessCheck(telemetry, 3_000)
  const { pages, close } = dashboardPages({
    name: 'relay-1',
    relay: telemetry,
    leaseMs: 3_000,
    liveness,
    databaseUrl,
    payload,
    servers: 'kafka-1:9092',
  })
  for (const [event, data] of told) telemetry.emit(event, data as never)
  return async (path: string) => {
    try {
      const url = new URL(path, 'http://relay')
      const { status, body } = await pages[url.pathname]!.answer(url, true)
      const words = String(body)
        .replace(whole ? /[\s\S]*<main/ : /[\s\S]*<h1>/, whole ? '<main' : '')
        .replace(/<[^>]*>/g, ' ')
        .replace(/\s+/g, ' ')
      return { status, words }
    } finally {
      close()
    }
  }
}

test('the page Dead counts by reason and topic what Kafka refused, and has the commands that put it back and drop it', async () => {
  const { status, words } = await pages()('/dead')
  expect(status).toBe(200)
  expect(words).toMatch(/^Dead Stop updating 2 more wait behind dead messages of their key\..* TOO_LARGE: 1 message /)
  expect(words).toMatch(/ mails 1 [\d.]+ s over the limit /)
  expect(words).toMatch(
    /npx prisma-extension-outbox redrive --dry-run --reason TOO_LARGE .*redrive --reason TOO_LARGE .*discard --reason TOO_LARGE /,
  )
})

test('a dead message has its way, who waits behind it, and its commands; the one behind it has none', async () => {
  const { words } = await pages()(`/message?id=${ids.dead}`)
  expect(words).toMatch(/State dead: TOO_LARGE Topic mails Key d .* Behind it 2 of its key wait /)
  expect(words).toMatch(
    /: enqueued, .* ago\. .*: refused for good, taken out of the way by relay-1\. TOO_LARGE : over the limit .*Now: waits for a redrive/,
  )
  expect(words).toContain(`npx prisma-extension-outbox redrive ${ids.dead}`)
  expect(words).toContain(`npx prisma-extension-outbox discard ${ids.dead}`)
  const behind = await pages()(`/message?id=${ids.behind}`)
  expect(behind.words).toMatch(
    /: moved behind a dead message of its key by relay-1\. Now: waits until the dead message before it/,
  )
  expect(behind.words).not.toContain('outbox redrive')
})

test('header values and payload are shown by a relay that is told to, and by no other', async () => {
  const shown = await pages({ payload: true })(`/message?id=${ids.waiting}`)
  expect(shown.words).toMatch(
    /Type Placed .*nobody has claimed its bucket.* Headers tenant acme Payload .*&quot;total&quot;: 1990/,
  )
  const hidden = await pages()(`/message?id=${ids.waiting}`)
  expect(hidden.words).toMatch(/Headers tenant hidden Values are hidden\..* Payload Hidden\./)
  expect(hidden.words).not.toMatch(/acme|1990/)
})

test('a message that is nowhere is told with the command that looks everywhere; a filter with a slip and a database that fails are no 200', async () => {
  const nowhere = await pages()(`/message?id=${randomUUID()}`)
  expect([nowhere.status, nowhere.words]).toEqual([
    404,
    expect.stringMatching(/is not in the outbox any more.*npx prisma-extension-outbox show /),
  ])
  expect(await pages()('/messages?olderThan=soon')).toMatchObject({
    status: 400,
    words: expect.stringContaining('An age is a number with a unit'),
  })
  await using empty = await createDatabase('', { migrate: false })
  const failed = await pages({ databaseUrl: empty.url })('/dead')
  expect(failed).toMatchObject({ status: 503, words: expect.stringContaining('Try again, narrow the filter') })
})

test('a message is looked for at the place that its link names', async () => {
  const place = async (at: string) => (await pages()(`/message?id=${ids.waiting}&at=${at}`)).status
  const [row] = await database.query('SELECT bucket, id FROM outbox')
  expect(await place(`${row!.bucket}.${row!.id}`)).toBe(200)
  expect(await place(`${row!.bucket}.${Number(row!.id) + 99}`)).toBe(404)
  // What is no place is passed over.
  expect(await place('nowhere')).toBe(200)
})

test('a page gives up a statement that takes too long, and the next one is answered', async () => {
  const client = await database.pool.connect()
  await client.query('BEGIN; LOCK TABLE outbox_dead_letter IN ACCESS EXCLUSIVE MODE')
  const look = pages()
  try {
    const asked = performance.now()
    const words = expect.stringMatching(/The database did not answer in time, or refused \((57014|55P03)\)/)
    expect(await look('/dead')).toMatchObject({ status: 503, words })
    // After five seconds the server answers in the page's place, and has no words for the reason.
    expect(performance.now() - asked).toBeLessThan(5_000)
  } finally {
    await client.query('ROLLBACK')
    client.release()
  }
  expect((await look('/dead')).status).toBe(200)
})

test('the overview has the figures of the last look, and topics with what is paused first, then what waits longest', async () => {
  const operator = await postgresOperator({ databaseUrl: database.url })
  const sample = await operator.sample(randomUUID()).finally(() => operator.close())
  const topics = [
    { topic: 'early', oldestMs: 1_000, ownOldestMs: null },
    { topic: 'late', oldestMs: 50_000, ownOldestMs: null },
  ]
  const look = pages({
    told: [
      ['published', { topic: 'early', partition: 0, records: 1_200, bytes: 1, ms: 1, agesMs: [], traces: [] }],
      ['topic_paused', { topic: 'stopped', code: 'UNKNOWN_TOPIC_OR_PARTITION' }],
      ['sampled', { ...sample, topics }],
    ],
  })
  const { words } = await look('/')
  expect(words).toMatch(
    / Waiting 1 Oldest [\d.]+ s Published, all relays – Published, this relay – Dead letters 1 Blocked keys 1 Problems /,
  )
  expect(words).toMatch(/ stopped paused: UNKNOWN_TOPIC_OR_PARTITION none waits 0 late open 50 s 0 early open 1\.0 s 1,200 /)
  expect(words).toMatch(/Leases 0 of 64 held, 64 free (· ?){64} /)
  expect(words).toMatch(/Topic stopped does not exist\. Create it\. .* --bootstrap-server kafka-1:9092 --create --topic stopped /)
})

describe('the state on top', () => {
  const heartbeat = ['heartbeat', { relays: 1, owned: 64, inFlight: 0, inFlightBytes: 0, silentMs: 0 }] as [
    keyof RelayEvents,
    object,
  ]
  const claimed = ['leases_taken', { buckets: [0], owned: 64 }] as [keyof RelayEvents, object]
  const sampled = async (leases: RelayEvents['sampled']['leases']): Promise<[keyof RelayEvents, object]> => {
    const operator = await postgresOperator({ databaseUrl: database.url })
    const sample = await operator.sample(randomUUID()).finally(() => operator.close())
    return ['sampled', { ...sample, leases, dead: { byReason: {}, blocked: 0, exact: true }, blockedKeys: 0 }]
  }
  const held = { held: 64, expired: 0, free: 0 }
  const free = { held: 0, expired: 0, free: 64 }
  const top = async (...told: [keyof RelayEvents, object][]) =>
    / (OK|Attention|Trouble) [^<]*?\.(?= )/.exec((await pages({ told, whole: true })('/messages')).words)![0].trim()

  test('is green if no problem is known, on every page', async () => {
    expect(await top(heartbeat, claimed, await sampled(held))).toBe('OK No problem is known.')
  })

  test('is amber while nothing is known of the tables', async () => {
    expect(await top()).toBe('Attention This relay is starting: it has not read the tables yet.')
  })

  test('is the worst problem', async () => {
    const trouble: [keyof RelayEvents, object][] = [
      ['sample_failed', { code: '42501' }],
      ['kafka_trouble', { code: 'ECONNREFUSED', error: '' }],
    ]
    expect(await top(heartbeat, claimed, await sampled(held), ...trouble)).toBe('Trouble Kafka takes no messages (ECONNREFUSED).')
  })

  test('raises no alarm by a sample from before the relay served the database, or took its buckets', async () => {
    expect(await top(await sampled(free))).toMatch(/^Attention This relay is starting/)
    expect(await top(await sampled(free), heartbeat)).toMatch(/^Attention 64 buckets of 64 belong to no relay/)
    expect(await top(await sampled(free), heartbeat, claimed)).toMatch(/^Attention This relay is starting/)
    expect(await top(await sampled(free), heartbeat, claimed, await sampled(held))).toMatch(/^OK/)
  })
})

test('buckets of no relay are an alarm once no relay has taken them for a lease time, and only while they stay so', () => {
  const [clock, telemetry] = [{ now: 0 }, new Telemetry()]
  const standing = new Standing(telemetry, 10_000, () => clock.now)
  const after = (ms: number, free: number) => {
    clock.now += ms
    telemetry.emit('sampled', { leases: { held: 64 - free, expired: 0, free } } as RelayEvents['sampled'])
    return standing.unownedLong
  }
  expect([after(0, 64), after(5_000, 64), after(5_000, 32), after(5_000, 32)]).toEqual([false, false, false, true])
  expect([after(5_000, 0), after(5_000, 32), after(5_000, 32)]).toEqual([false, false, false])
})
