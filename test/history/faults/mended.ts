import { setTimeout as sleep } from 'node:timers/promises'
import { uuidv7 } from '../../../src/message/id.ts'
import { wakeChannel } from '../../../src/message/wake.ts'
import { eventually } from '../../support/eventually.ts'
import { insertRows } from '../../support/rows.ts'
import type { Fault, Ground } from '../fault.ts'

/** Bytes of a message that the topic takes, and of one that it takes only when it is repaired. */
const bytes = { small: 10, large: 40_000 }

const topicResource = 2

/** Milliseconds between two messages of the key, and from the repair of the topic to the request, and from there to the last message. */
const everyMs = 20
const mendedMs = 500
const goesOnMs = 3_000

/** For the broken relays that mix up what waits behind a redriven message. */
export const mended: Fault = {
  name: 'poison-mended',
  what: 'a message is too large for its topic; while its key is written on, the topic is mended and the operator asks for a redrive',
  lastsMs: [500, 1_500],
  async begin(ground) {
    const { admin, kafka, expectLine } = ground
    const topic = `mended-${Math.floor(ground.random() * 1e9)}`
    const configEntries = [{ name: 'max.message.bytes', value: '20000' }]
    await admin.createTopics({
      topics: [{ topic, numPartitions: 3, replicationFactor: kafka.brokers.length, configEntries }],
      waitForLeaders: true,
    })
    const line: string[] = []
    expectLine(line)
    await write(ground, topic, line, bytes.large)
    await eventually(ground.postgres.admin, 'SELECT FROM outbox_dead_letter WHERE topic = $1', [topic])
    let over = false
    // After a failure nothing more is written: of a message whose commit is in doubt none behind it could tell.
    const writing = (async () => {
      while (!over) {
        await write(ground, topic, line, bytes.small)
        await sleep(everyMs)
      }
    })().catch((error) => ground.note(`poison-mended: ${error}`))
    return async () => {
      await admin.alterConfigs({ validateOnly: false, resources: [{ type: topicResource, name: topic, configEntries: [] }] })
      await sleep(mendedMs)
      await action(ground, topic)
      await sleep(goesOnMs)
      over = true
      await writing
      while ((await dead(ground, topic)) > 0) {
        await action(ground, topic)
        await sleep(1_000)
      }
      ground.note(`poison-mended: ${line.length} messages of ${topic}`)
    }
  },
}

async function action({ postgres }: Ground, topic: string): Promise<void> {
  await postgres.admin.query(
    `UPDATE outbox_dead_letter SET requested_action = 'redrive' WHERE (bucket, id) = (SELECT bucket, id FROM outbox_dead_letter WHERE topic = $1 ORDER BY id LIMIT 1)`,
    [topic],
  )
  await postgres.admin.query(`SELECT pg_notify($1, 'request')`, [wakeChannel])
}

const dead = async ({ postgres }: Ground, topic: string): Promise<number> =>
  (await postgres.admin.query<{ n: number }>('SELECT count(*)::int AS n FROM outbox_dead_letter WHERE topic = $1', [topic]))
    .rows[0]!.n

async function write({ postgres }: Ground, topic: string, line: string[], size: number): Promise<void> {
  const messageId = uuidv7()
  line.push(messageId)
  await insertRows(postgres.admin, [{ topic, key: 'mended', value: 'x'.repeat(size), messageId }])
}
