import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import type { TestDatabase } from '../support/database.ts'
import { readTopic } from '../support/topics.ts'
import { consume } from './members.ts'
import { createStage, inboxDatabase, record, type Stage } from './stage.ts'

/** Every effect; 30 % of the messages come twice or more, and members are killed under way. OUTBOX_INBOX_MESSAGES=14000 OUTBOX_INBOX_KILLS=10 is the whole proof. */
const messages = Number(process.env.OUTBOX_INBOX_MESSAGES ?? 1_500)
const controlMessages = Math.ceil(messages / 2)
const keys = 200
const kills = Number(process.env.OUTBOX_INBOX_KILLS ?? 2)

let db: TestDatabase
beforeAll(async () => {
  db = await inboxDatabase()
})
afterAll(() => db.drop())

const surroundings = ({ topic }: Stage) => ({ DATABASE_URL: db.url, KAFKA_BROKERS: inject('brokers'), TOPIC: topic })

const name = (i: number) => `key-${i % keys}`

/** Messages with copies: right behind the first, later, and in another partition, where another member may have them. */
async function produce(stage: Stage, count: number): Promise<Map<string, { name: string; n: number }>> {
  const sent = new Map<string, { name: string; n: number }>()
  const ids = Array.from({ length: count }, () => randomUUID())
  for (let from = 0; from < count; from += 500) {
    const portion = ids.slice(from, from + 500).flatMap((id, at) => {
      const i = from + at
      sent.set(id, { name: name(i), n: i })
      const first = record(name(i), i, { id })
      // Behind it, later, or in a partition that its key does not belong to: there it says nothing about order.
      const copies = i % 10 === 0 ? [first] : i % 10 === 1 ? [{ ...first, partition: i % 4 }] : []
      const late = i % 10 === 2 && i > 600 ? [record(name(i - 600), i - 600, { id: ids[i - 600]! })] : []
      return [first, ...copies, ...late]
    })
    await stage.send(portion)
  }
  return sent
}

const distinct = async (consumer: string) =>
  (await db.query<{ n: number }>(`SELECT count(DISTINCT message_id)::int AS n FROM effects WHERE consumer = '${consumer}'`))[0]!.n

async function prove(env: Record<string, string>): Promise<void> {
  await db.query('TRUNCATE inbox, inbox_dead_letter, effects')
  const stage = await createStage(4)
  const sent = await produce(stage, messages)
  const begin = performance.now()
  const killed = await consume(
    'member.ts',
    { ...surroundings(stage), GROUP: `proof-${stage.topic}`, ...env },
    {
      kills,
      each: Math.floor(messages / (kills + 2)),
      done: async () => (await distinct('proof')) === messages,
    },
  )
  expect(killed).toBe(kills)
  const rows = await db.query<{ message_id: string; name: string; n: number }>(
    'SELECT message_id, name, n FROM effects ORDER BY seq',
  )
  expect(rows).toHaveLength(messages)
  for (const { message_id, ...effect } of rows) expect(effect).toEqual(sent.get(message_id))
  const records = (await readTopic(stage.topic)).length
  expect(records).toBeGreaterThan(messages * 1.25)
  console.log(
    `${records} records of ${messages} messages, ${killed} kills, ${rows.length} effects, ${Math.round((performance.now() - begin) / 1000)} s`,
  )
}

test('one by one: copies of many messages, members killed, every effect once', () => prove({}), 900_000)

test('in batches of 50: copies of many messages, members killed, every effect once', () => prove({ BATCH: '50' }), 900_000)

test('without the inbox the same members apply messages several times: the proof is not blind', async () => {
  await db.query('TRUNCATE effects')
  const stage = await createStage(4)
  await produce(stage, controlMessages)
  const killed = await consume(
    'member.ts',
    { ...surroundings(stage), GROUP: `control-${stage.topic}`, INBOX: 'off' },
    {
      kills: Math.ceil(kills / 2),
      each: Math.floor(controlMessages / (kills / 2 + 2)),
      done: async () => (await distinct('control')) === controlMessages,
    },
  )
  expect(killed).toBe(Math.ceil(kills / 2))
  const [row] = await db.query<{ n: number }>('SELECT count(*)::int AS n FROM effects')
  console.log(`without the inbox: ${controlMessages} messages, ${killed} kills, ${row!.n} effects`)
  expect(row!.n).toBeGreaterThan(controlMessages)
}, 600_000)
