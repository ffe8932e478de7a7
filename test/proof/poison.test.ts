import { expect, inject, test } from 'vitest'
import { bucketOf } from '../../src/message/key.ts'
import { cli } from '../support/cli.ts'
import { useDatabase } from '../support/database.ts'
import { type RelayProcess, startRelayProcess } from '../support/relay-process.ts'
import { insertMany } from '../support/rows.ts'
import { createTopic, type LogRecord, readTopic, withAdmin } from '../support/topics.ts'
import { median, ratePerSecond, ratiosText } from './drain-rate.ts'

// 100,000 rows and five pairs for the figure in docs/guarantees.md; fewer here, where only what arrives is judged and not how fast.
const rows = Number(process.env.PROOF_POISON_ROWS ?? 5_000)
const pairs = Number(process.env.PROOF_POISON_PAIRS ?? 1)
const keys = 500

const database = useDatabase('all')

const environment = () => ({ DATABASE_URL: database.url, KAFKA_BROKERS: inject('brokers'), OUTBOX_LEASE_MS: '3000' })
const count = async (table: string) => (await database.query<{ n: number }>(`SELECT count(*)::int AS n FROM ${table}`))[0]!.n

/** Rows of many keys; with `poison` one in their middle that is larger than the topic allows. */
async function fill(topic: string, poison: boolean): Promise<void> {
  await insertMany(database.pool, topic, rows / 2, keys)
  const key = Buffer.from('key-7')
  const sql = `INSERT INTO outbox (bucket, message_id, topic, key, value) VALUES ($1, gen_random_uuid(), $2, $3, convert_to(repeat('x', $4), 'UTF8'))`
  if (poison) await database.query(sql, [bucketOf(topic, key), topic, key, 40_000])
  await insertMany(database.pool, topic, rows / 2, keys)
  await database.query('ANALYZE outbox')
}

/** Lets a relay publish what there is, from its start until the outbox is empty. */
async function drained(): Promise<RelayProcess> {
  const relay = startRelayProcess(environment())
  while ((await count('outbox')) > 0) await new Promise((resolve) => setTimeout(resolve, 50))
  return relay
}

// First copies: where other work keeps the machine from answering in time, Kafka holds a batch twice, and that is no fault here.
const ids = (records: readonly LogRecord[]) => [...new Set(records.map(({ headers }) => headers.id))]
const idsOf = (records: readonly LogRecord[], key: string) => ids(records.filter((record) => String(record.key) === key))

test('one refused record among many: only its key waits, the others flow as without it, and a redrive brings the key back in order', async () => {
  const rates: [poisoned: number, sound: number][] = []
  for (let pair = 0; pair < pairs; pair++) {
    const config = { 'max.message.bytes': '20000' }
    const [poisoned, sound] = [await createTopic('poisoned', 12, { config }), await createTopic('sound', 12, { config })]
    await fill(sound, false)
    await (await drained()).end('SIGTERM')
    await fill(poisoned, true)
    const wanted = await database.query<{ id: string }>(
      `SELECT message_id AS id FROM outbox WHERE topic = $1 AND key = 'key-7' ORDER BY outbox.id`,
      [poisoned],
    )
    const relay = await drained()
    const before = await readTopic(poisoned)
    rates.push([ratePerSecond(before), ratePerSecond(await readTopic(sound))])

    const ofKey = rows / keys
    expect(ids(before)).toHaveLength(rows - ofKey / 2)
    expect(idsOf(before, 'key-7')).toEqual(wanted.slice(0, ofKey / 2).map(({ id }) => id))
    expect(await database.query('SELECT DISTINCT key FROM outbox_dead_letter')).toEqual([{ key: Buffer.from('key-7') }])
    expect(await count('outbox_dead_letter')).toBe(1 + ofKey / 2)

    await raiseLimit(poisoned)
    const { code } = await cli(['redrive', '--topic', poisoned, '--reason', 'MESSAGE_TOO_LARGE'], environment())
    expect(code).toBe(0)
    while ((await count('outbox_dead_letter')) + (await count('outbox')) > 0)
      await new Promise((resolve) => setTimeout(resolve, 50))
    expect(idsOf(await readTopic(poisoned), 'key-7')).toEqual(wanted.map(({ id }) => id))
    await relay.end('SIGTERM')
  }
  console.log(`one refused record among ${rows}: rate of the rest against a run without it ${ratiosText(rates)}`)
  if (rows >= 100_000 && pairs >= 5) expect(median(rates.map(([poisoned, sound]) => poisoned / sound))).toBeGreaterThan(0.9)
}, 600_000)

const topicResource = 2

async function raiseLimit(topic: string): Promise<void> {
  const configEntries = [{ name: 'max.message.bytes', value: '1000000' }]
  const resources = [{ type: topicResource, name: topic, configEntries }]
  await withAdmin((admin) => admin.alterConfigs({ validateOnly: false, resources }))
}
