import { randomBytes, randomUUID } from 'node:crypto'
import { beforeAll, expect, inject, test } from 'vitest'
import { isTopic } from '../../src/message/topic.ts'
import { randomFrom } from '../../src/proof/draw.ts'
import { kafkajsTransport } from '../../src/transport/kafkajs/kafkajs.ts'
import { useDatabase } from '../support/database.ts'
import { emptied } from '../support/eventually.ts'
import { startedRelay } from '../support/relay.ts'
import { insertRows, withoutChecks } from '../support/rows.ts'
import { createTopic, readTopic } from '../support/topics.ts'

/**
 * Rows that SQL wrote with whatever the columns take: each is published, dead-lettered or refused by the table, no relay ends, and no other
 * message waits. OUTBOX_FUZZ_ROWS=10000 OUTBOX_FUZZ_SEED=7 npx vitest run test/security/fuzz.test.ts
 */
const rows = Number(process.env.OUTBOX_FUZZ_ROWS ?? 400)
const seed = Number(process.env.OUTBOX_FUZZ_SEED ?? Math.floor(Math.random() * 1e9))

const database = useDatabase('all')
let topic: string
beforeAll(async () => {
  topic = await createTopic('fuzz', 3)
})

const random = randomFrom(seed)
const oneOf = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)]!
const texts = [
  '',
  ' ',
  '..',
  '\u0000',
  '\u001b]0;x\u0007',
  'a\nb',
  '\u202e',
  '\ud800',
  "'); DROP TABLE outbox; --",
  '\\',
  '__proto__',
  'constructor',
  '%s$1{}',
  'é'.repeat(124),
  'x'.repeat(250),
  'x'.repeat(40_000),
]
const ids = ['-9223372036854775808', '-1', '0', '9007199254740992', '9223372036854775807', '9223372036854775808', '1e3', 'NaN']
const times = [
  'infinity',
  '-infinity',
  '4713-01-01 BC',
  '0001-01-01',
  '9999-12-31 23:59:59.999999+00',
  '10000-01-01',
  '290000-01-01',
  'soon',
]
const json = () => {
  const deep = '['.repeat(500) + ']'.repeat(500)
  const many = JSON.stringify(Object.fromEntries(Array.from({ length: 20 * Math.ceil(random() * 10) }, (_, i) => [`h${i}`, 'v'])))
  const one = JSON.stringify({ [oneOf(texts)]: oneOf<unknown>([...texts, 1, null, true, [], {}, ['a']]) })
  return oneOf(['null', '1', '"text"', '[]', '{}', deep, many, one, one, one, '{"id": "mine", "created-at": "never"}', '{'])
}

/** Sends the row as text parameters: PostgreSQL itself decides what its columns take. */
async function insertHostile(): Promise<string | undefined> {
  const messageId = oneOf([randomUUID(), randomUUID(), randomUUID(), 'no id'])
  const columns: Record<string, unknown> = {
    bucket: oneOf([0, 7, 7, 63, 64, -1]),
    message_id: messageId,
    // Names that Kafka takes would wait until somebody creates the topic.
    topic: random() < 0.6 ? topic : oneOf(texts.filter((text) => !isTopic(text))),
    key: oneOf([null, Buffer.alloc(0), randomBytes(4), randomBytes(4), randomBytes(70_000)]),
    value: oneOf([null, Buffer.alloc(0), randomBytes(20), Buffer.from('{"__proto__": 1}')]),
    ...(random() < 0.5 ? { headers: json() } : {}),
    ...(random() < 0.5 ? { type: oneOf(texts) } : {}),
    ...(random() < 0.3 ? { id: oneOf(ids) } : {}),
    ...(random() < 0.3 ? { created_at: oneOf(times) } : {}),
  }
  const names = Object.keys(columns)
  try {
    await database.query(`INSERT INTO outbox (${names}) VALUES (${names.map((_, i) => `$${i + 1}`)})`, Object.values(columns))
    return messageId
  } catch (error) {
    // Refused by a type or a constraint, and by nothing else.
    expect((error as { code: string }).code).toMatch(/^(22|23)/)
    return undefined
  }
}

test.each([true, false])(
  `${rows} hostile rows, the table with its CHECKs: %s (seed ${seed})`,
  async (checked) => {
    if (!checked) await withoutChecks(database.pool)
    await database.query('TRUNCATE outbox_dead_letter')
    await using one = await startedRelay(database.url, kafkajsTransport({ brokers: inject('brokers').split(',') }))
    const hostile: string[] = []
    const good: string[] = []
    for (let n = 0; n < rows; n++) {
      const messageId = await insertHostile()
      if (messageId) hostile.push(messageId)
      if (n % 20 > 0) continue
      good.push(randomUUID())
      await insertRows(database.pool, [{ topic, key: `good-${n}`, messageId: good.at(-1)! }])
    }
    await emptied(database.pool)
    const dead = await database.query<{ message_id: string; reason: string | null }>(
      'SELECT message_id, reason FROM outbox_dead_letter',
    )
    const sent = (await readTopic(topic)).map(({ headers }) => headers.id!)
    const reached = new Set(sent)
    expect(good.filter((id) => !reached.has(id))).toEqual([])
    expect(hostile.filter((id) => !reached.has(id) && !dead.some((row) => row.message_id === id))).toEqual([])
    // Once each, and not among the dead as well.
    expect(sent.length).toBe(reached.size)
    expect(dead.filter(({ message_id }) => reached.has(message_id))).toEqual([])
    // What was refused was refused by us, or waits behind such a row of its key.
    expect(dead.filter(({ reason }) => reason !== null && reason !== 'INVALID_RECORD')).toEqual([])
    for (const event of ['database_trouble', 'kafka_trouble', 'topic_paused', 'leases_lost'] as const)
      expect(one.all(event)).toEqual([])
    // Neither what was dead-lettered nor what came through keeps a relay from its start.
    await using _late = await startedRelay(database.url, kafkajsTransport({ brokers: inject('brokers').split(',') }))
  },
  60_000 + rows * 60,
)
