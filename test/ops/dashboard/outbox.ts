import { randomUUID } from 'node:crypto'
import { inject } from 'vitest'
import { createDatabase } from '../../support/database.ts'
import { startRelayProcess } from '../../support/relay-process.ts'
import { insertMany, insertRows } from '../../support/rows.ts'
import { createTopic } from '../../support/topics.ts'

/** Breaks out of text and of attributes where it is not escaped, and turns the line around. */
export const attack = `"'><outbox-attack data-attack="1" onclick="1"></td></script><!--\u202e&lt;x`

/** The same as it must be read. */
export const attackShown = attack.replace('\u202e', '\\u{202e}')

/** Value that only `--dashboard payload` may show. */
export const secret = 'S3cret'

/** An outbox in which every name that somebody can choose is an attack, and a relay that shows it. */
export async function watchedOutbox(more: Record<string, string> = {}) {
  const ends: (() => unknown)[] = []
  const database = await createDatabase()
  ends.push(() => database.drop())
  const topic = await createTopic('shown')
  const ids = { waiting: randomUUID(), dead: randomUUID() }
  await insertMany(database.pool, topic, 300, 20)
  await insertMany(database.pool, 'no-such-topic', 60, 20)
  await insertRows(database.pool, [
    {
      topic: 'no-such-topic',
      key: attack,
      type: attack,
      value: JSON.stringify({ [attack]: secret }),
      headers: { [attack]: secret },
      messageId: ids.waiting,
    },
    { topic: 'x'.repeat(249), key: 'k'.repeat(5_000) },
    { topic: 'named-below', key: 'dead', type: attack, headers: { [attack]: secret }, messageId: ids.dead },
    { topic: 'named-below', key: 'dead' },
    { topic: 'plain', key: 'refused' },
  ])
  await database.query(
    `WITH gone AS (DELETE FROM outbox WHERE key IN ('dead', 'refused') RETURNING *)
     INSERT INTO outbox_dead_letter (bucket, id, message_id, topic, type, key, value, headers, created_at, reason, error, relay, requested_action, requested_by)
     SELECT bucket, id, message_id, CASE WHEN topic = 'named-below' THEN $2 ELSE topic END, type, key, value, headers, created_at,
       CASE WHEN message_id = $1 THEN $2 WHEN topic = 'plain' THEN 'MESSAGE_TOO_LARGE' END, $2, $2, CASE WHEN message_id = $1 THEN 'none' END, $2 FROM gone`,
    [ids.dead, attack],
  )
  const env = {
    DATABASE_URL: database.url,
    KAFKA_BROKERS: inject('brokers'),
    OUTBOX_LISTEN: '127.0.0.1:0',
    OUTBOX_NAME: attack,
    LOG_LEVEL: 'trace',
  }
  const relay = startRelayProcess({ ...env, ...more }, undefined, (end) => ends.unshift(end))
  const { url } = await relay.until((line) => line.event === 'listening')
  await relay.until((line) => line.event === 'published')
  await relay.until((line) => line.event === 'topic_paused')
  const paused = relay.log.length
  await relay.until((line) => line.event === 'sampled' && relay.log.indexOf(line) > paused)
  const stop = async () => {
    for (const end of ends) await end()
  }
  return { url: String(url), database, ids, topic, relay, stop }
}

/** An outbox that is watched. */
export type WatchedOutbox = Awaited<ReturnType<typeof watchedOutbox>>
