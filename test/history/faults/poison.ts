import { uuidv7 } from '../../../src/message/id.ts'
import { bucketOf, partitionOf } from '../../../src/message/key.ts'
import type { Fault, Ground } from '../fault.ts'
import { carriedBytes, topicPlan } from '../ground.ts'

/** One message to be written, and what is expected of it: undefined, it is delivered; else it stands in outbox_dead_letter. */
interface Poison {
  topic: string
  key: string | null
  bytes: number
  dead?: { reason: string | null }
}

/** Keys that are poisoned in `narrow`: few, because more of them refused in a row are taken for a fault of the topic. */
const poisonedKeys = 3

/** Records that Kafka refuses for good. Beside each stands one that it takes: a topic that takes nothing at all is paused. */
export const poisonFaults: readonly Fault[] = [
  {
    name: 'poison-too-large',
    what: 'a message is larger than its topic allows; it is dead-lettered, and the messages of its key wait behind it',
    lastsMs: [0, 0],
    async begin(ground) {
      const topic = ground.topics.narrow
      const key = `poison-${Math.floor(ground.random() * poisonedKeys)}`
      await write(ground, [
        { topic, key: 'fine', bytes: 10 },
        { topic, key, bytes: 40_000, dead: { reason: 'MESSAGE_TOO_LARGE' } },
        { topic, key, bytes: 10, dead: { reason: null } },
      ])
      return async () => {}
    },
  },
  {
    name: 'poison-null-key',
    what: 'a message without key goes to a compacted topic, which refuses it; it is dead-lettered and holds nothing',
    lastsMs: [0, 0],
    async begin(ground) {
      const topic = ground.topics.compacted
      await write(ground, [
        { topic, key: beside(topic), bytes: 10 },
        { topic, key: null, bytes: 10, dead: { reason: 'INVALID_RECORD' } },
      ])
      return async () => {}
    },
  },
  {
    name: 'poison-redriven',
    what: 'the operator asks for a redrive of a poisoned key whose cause is still there: it is refused and dead-lettered again',
    lastsMs: [0, 0],
    async begin({ postgres, topics, random, note }) {
      const key = Buffer.from(`poison-${Math.floor(random() * poisonedKeys)}`)
      await postgres.admin
        .query(
          `UPDATE outbox_dead_letter SET requested_action = 'redrive' WHERE (bucket, id) = (
             SELECT bucket, id FROM outbox_dead_letter WHERE topic = $1 AND key = $2 ORDER BY id LIMIT 1)`,
          [topics.narrow, key],
        )
        .catch((error) => note(`poison-redriven: ${error}`))
      return async () => {}
    },
  },
]

/** For the broken relays that load such a row, or send it: a topic would take it, the relay does not. */
export const oversized: Fault = {
  name: 'poison-oversized',
  what: 'a message is larger than the relay carries; it is dead-lettered unread, and the messages of its key wait behind it',
  lastsMs: [0, 0],
  async begin(ground) {
    const topic = ground.topics.steady[0]!
    const key = `oversized-${Math.floor(ground.random() * poisonedKeys)}`
    await write(ground, [
      { topic, key, bytes: carriedBytes + 1, dead: { reason: 'MESSAGE_TOO_LARGE' } },
      { topic, key, bytes: 10, dead: { reason: null } },
    ])
    return async () => {}
  },
}

/** Partitions of the topic that refuses messages without key. */
const compactedPartitions = topicPlan.find(({ topic }) => topic === 'compacted')!.partitions

/**
 * A key in bucket and partition of the messages without one. One of its messages is then accepted between two that are refused, even if many
 * of both have waited for Kafka. In another bucket another relay might have it. In another partition all would be sent first.
 */
function beside(topic: string): string {
  const same = (key: Buffer) =>
    bucketOf(topic, key) === bucketOf(topic, null) &&
    partitionOf(topic, key, compactedPartitions) === partitionOf(topic, null, compactedPartitions)
  for (let n = 0; ; n++) if (same(Buffer.from(`fine-${n}`))) return `fine-${n}`
}

/** Writes the messages in one transaction. After a failure the tables tell whether it was committed. */
async function write({ postgres, expectDead, note }: Ground, messages: readonly Poison[]): Promise<void> {
  const rows = messages.map((message) => ({ ...message, id: uuidv7() }))
  const statement = rows.map(
    (_, i) =>
      `($${6 * i + 1}::smallint, $${6 * i + 2}::uuid, $${6 * i + 3}, $${6 * i + 4}::bytea, convert_to(repeat('x', $${6 * i + 5}::int), $${6 * i + 6}))`,
  )
  const values = rows.flatMap(({ id, topic, key, bytes }) => {
    const keyBytes = key === null ? null : Buffer.from(key)
    return [bucketOf(topic, keyBytes), id, topic, keyBytes, bytes, 'UTF8']
  })
  const sql = `INSERT INTO outbox (bucket, message_id, topic, key, value) VALUES ${statement.join(', ')}`
  try {
    await postgres.admin.query(sql, values)
  } catch (error) {
    note(`poison: ${error}`)
    if (
      !(await isCommitted(
        postgres,
        rows.filter(({ dead }) => dead).map(({ id }) => id),
      ))
    )
      return
  }
  for (const { id, dead } of rows) if (dead) expectDead([id], dead.reason)
}

/** Rows that Kafka refuses stay in one of the tables forever, so they tell for the whole transaction. */
async function isCommitted({ admin }: Ground['postgres'], ids: readonly string[]): Promise<boolean> {
  for (;;) {
    try {
      const sql =
        'SELECT FROM outbox WHERE message_id = ANY($1) UNION ALL SELECT FROM outbox_dead_letter WHERE message_id = ANY($1)'
      return (await admin.query(sql, [ids])).rowCount === ids.length
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 200))
    }
  }
}
