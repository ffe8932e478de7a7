import { readFileSync } from 'node:fs'
import { expect, inject, test } from 'vitest'
import { bucketOf } from '../../src/message/key.ts'
import { createDatabase } from '../support/database.ts'
import { emptied } from '../support/eventually.ts'
import { startRelayProcess } from '../support/relay-process.ts'
import { insertMany } from '../support/rows.ts'
import { createTopic, readTopic } from '../support/topics.ts'

/** Most memory that a process has ever had resident, in bytes. */
const peakOf = (pid: number) => 1024 * Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1])

test('a row of 200 MB, and one with 50 MB of headers: dead-lettered unread, memory stays flat, everything else is delivered', async () => {
  await using database = await createDatabase()
  const topic = await createTopic('oversized', 3)
  const relay = startRelayProcess({ DATABASE_URL: database.url, KAFKA_BROKERS: inject('brokers'), OUTBOX_LEASE_MS: '3000' })
  // What the relay needs for ordinary messages, before the others come.
  await insertMany(database.pool, topic, 2_000, 100)
  await emptied(database.pool)
  const before = peakOf(relay.child.pid!)
  const insert = (key: string, value: string, headers: string) =>
    database.query(
      `INSERT INTO outbox (bucket, message_id, topic, key, value, headers) VALUES ($1, gen_random_uuid(), $2, $3, ${value}, ${headers})`,
      [bucketOf(topic, Buffer.from(key)), topic, Buffer.from(key)],
    )
  await insert('huge-value', `convert_to(repeat('x', 200000000), 'UTF8')`, 'NULL')
  await insert('huge-headers', `'\\x7b7d'`, `jsonb_build_object('h', repeat('x', 50000000))`)
  await insertMany(database.pool, topic, 2_000, 100)
  await emptied(database.pool)
  const grown = peakOf(relay.child.pid!) - before
  console.log(
    `250 MB of oversized rows: peak memory of the relay ${Math.round(before / 1e6)} MB before, ${Math.round(grown / 1e6)} MB more with them`,
  )
  expect(grown).toBeLessThan(50_000_000)
  expect(await readTopic(topic)).toHaveLength(4_000)
  expect(
    await database.query('SELECT convert_from(key, $1) AS key, reason FROM outbox_dead_letter ORDER BY id', ['UTF8']),
  ).toEqual([
    { key: 'huge-value', reason: 'MESSAGE_TOO_LARGE' },
    { key: 'huge-headers', reason: 'MESSAGE_TOO_LARGE' },
  ])
}, 180_000)
