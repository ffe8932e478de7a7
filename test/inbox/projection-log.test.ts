import { type Admin, type Kafka, Partitioners } from 'kafkajs'
import { expect, onTestFinished, test } from 'vitest'
import { isOutboxError } from '../../src/message/errors.ts'
import { TopicIds } from '../../src/transport/kafkajs/topic-id.ts'
import { startKafka } from '../support/kafka.ts'
import { createTopicNamed, deleteTopic, growTopic, testKafka } from '../support/topics.ts'
import { add, deleteRecords, produce, useReadModel } from './read-model.ts'
import { createStage, record, type Stage } from './stage.ts'

// A stored position and a log that is not the one that it was taken from.

const { query, start, model, sum } = useReadModel()

const logChanged = (error: unknown) => isOutboxError(error, 'OUTBOX_PROJECTION_LOG_CHANGED')
const startGone = (error: unknown) => isOutboxError(error, 'OUTBOX_PROJECTION_START_GONE')

/** Deletes the topic and creates it again, with so many records. */
async function recreate(stage: Stage, count: number, partitions = 1): Promise<void> {
  await deleteTopic(stage.topic)
  await createTopicNamed(stage.topic, partitions)
  if (count > 0) await produce(stage, count)
}

/** A stage with 50 records and a projection that is live on them. */
async function applied(partitions = 1) {
  const stage = await createStage(partitions)
  await produce(stage, 50)
  const name = `log-${stage.topic}`
  const started = start(stage, name)
  await started.projection.live
  expect(await sum(name)).toEqual({ records: 50, places: 50 })
  return { stage, name, ...started }
}

/** As with brokers before 2.8. */
const withoutIds = () => query('UPDATE inbox_projection SET topic_id = NULL')

test('the position is stored with the id of its topic, on each partition', async () => {
  const { stage, name } = await applied(2)
  const ids = new TopicIds(stage.kafka)
  onTestFinished(() => ids.close())
  const id = await ids.of(stage.topic)
  expect(id).toMatch(/^[\w-]{22}$/)
  const rows = await query('SELECT partition, topic_id FROM inbox_projection WHERE name = $1 ORDER BY partition', [name])
  expect(rows).toEqual([0, 1].map((partition) => ({ partition, topic_id: id })))
})

test.each([
  ['shorter than the position', 10, 1],
  ['longer than the position', 70, 1],
  ['empty', 0, 1],
  ['with more partitions', 200, 4],
])('a topic that was created again, %s, is refused at the start', async (_, count, partitions) => {
  const { stage, name, projection } = await applied()
  await projection.stop()
  await recreate(stage, count, partitions)
  const again = start(stage, name)
  let live = false
  again.projection.live.then(() => {
    live = true
  })
  await expect(again.done).rejects.toSatisfy(logChanged)
  expect(live).toBe(false)
  expect(await sum(name)).toEqual({ records: 50, places: 50 })
})

test('a topic of the same name in another cluster is refused', async () => {
  const { stage, name, projection } = await applied()
  await projection.stop()
  const other = await startKafka()
  onTestFinished(() => other.remove())
  await createTopicNamed(stage.topic, 1, { brokers: other.brokers })
  const producer = testKafka(other.brokers).producer({ createPartitioner: Partitioners.DefaultPartitioner })
  await producer.connect()
  onTestFinished(() => producer.disconnect())
  await producer.send({ topic: stage.topic, messages: Array.from({ length: 70 }, (_, n) => record('a', n)) })
  await expect(start(stage, name, { kafka: testKafka(other.brokers) }).done).rejects.toSatisfy(logChanged)
  expect(await sum(name)).toEqual({ records: 50, places: 50 })
}, 60_000)

test.each([
  ['shorter than the position', 10],
  ['longer than the position', 70],
  ['empty', 0],
])(
  'a topic that is created again, %s, ends a projection that runs',
  async (_, count) => {
    const { stage, done } = await applied()
    await recreate(stage, count)
    await expect(done).rejects.toSatisfy(logChanged)
  },
  30_000,
)

test('what kafkajs jumps back to is not taken for what another member has applied: told before the next check is due', async () => {
  const { stage, name, done, told } = await applied()
  await recreate(stage, 10)
  await expect(done).rejects.toSatisfy(logChanged)
  const failed = { name, topic: stage.topic, partition: 0, offset: '0', code: 'OUTBOX_PROJECTION_LOG_CHANGED' }
  expect(told).toContainEqual({ event: 'projection_failed', fields: expect.objectContaining(failed) })
  expect(await sum(name)).toEqual({ records: 50, places: 50 })
}, 30_000)

test.each(['at the start', 'while it runs'])(
  'without ids a log that ends before the position is refused %s',
  async (when) => {
    const { stage, name, projection, done } = await applied()
    if (when === 'at the start') await projection.stop()
    await withoutIds()
    await recreate(stage, 10)
    await expect(when === 'at the start' ? start(stage, name).done : done).rejects.toSatisfy(logChanged)
    expect(await sum(name)).toEqual({ records: 50, places: 50 })
  },
  30_000,
)

test.each(['at the start', 'while it runs'])(
  'a partition that has lost its last records, of the same topic, is refused %s',
  async (when) => {
    const { stage, name, projection, done } = await applied(2)
    if (when === 'at the start') await projection.stop()
    // As after an unclean election.
    await query('UPDATE inbox_projection SET next_offset = next_offset + 10 WHERE partition = 1')
    if (when === 'while it runs') await stage.send([record('a', 1, { partition: 1 })])
    const ended = when === 'at the start' ? start(stage, name).done : done
    await expect(ended).rejects.toThrow(/^Partition 1 of the topic .* ends at offset \d+, but was read up to \d+: /)
  },
  30_000,
)

test('a read model under a new name has all that the new topic has, and so has one that is started over', async () => {
  const { stage, name, projection } = await applied()
  await projection.stop()
  await recreate(stage, 70)
  await expect(start(stage, name).done).rejects.toSatisfy(logChanged)
  const rebuild = start(stage, `${name}-2`)
  await rebuild.projection.live
  expect(await sum(`${name}-2`)).toEqual({ records: 70, places: 70 })
  // As docs/guides/projections.md shows.
  await query('WITH gone AS (DELETE FROM inbox_projection WHERE name = $1) DELETE FROM model WHERE projection = $1', [name])
  await start(stage, name).projection.live
  expect(await model(name)).toBe((await model(`${name}-2`))!)
})

test('records that are deleted before a running projection has come to them end it: they are not passed over', async () => {
  const stage = await createStage(1)
  await produce(stage, 20)
  const name = `overtaken-${stage.topic}`
  let failing = true
  const handler: ReturnType<typeof add> = async (event, tx) => {
    if (event.payload.n === 5 && failing) throw new Error('not yet')
    await add(name)(event, tx)
  }
  const { done, told } = start(stage, name, { batch: 5 }, handler)
  await expect.poll(() => told.some(({ event }) => event === 'projection_failed'), { timeout: 10_000 }).toBe(true)
  await deleteRecords(stage, '12')
  failing = false
  await expect(done).rejects.toSatisfy(startGone)
  expect(await sum(name)).toEqual({ records: 5, places: 5 })
}, 30_000)

test('partitions that are added, an idle topic and a member more change nothing', async () => {
  const { stage, name, done } = await applied()
  await growTopic(stage.topic, 3)
  const second = start(stage, name)
  await second.projection.live
  await produce(stage, 60)
  await expect.poll(() => sum(name), { timeout: 20_000 }).toEqual({ records: 110, places: 110 })
  await expect(Promise.race([done, second.done, Promise.resolve('running')])).resolves.toBe('running')
}, 30_000)

/** The stage's client of Kafka, with something done around each question for the ends of a topic. */
function around(stage: Stage, what: { before?: () => Promise<void>; after?: () => Promise<void> }): Kafka {
  const admin = (): Admin => {
    const plain = stage.kafka.admin()
    const fetchTopicOffsets: Admin['fetchTopicOffsets'] = async (topic) => {
      await what.before?.()
      const offsets = await plain.fetchTopicOffsets(topic)
      await what.after?.()
      return offsets
    }
    return { ...plain, fetchTopicOffsets }
  }
  return new Proxy(stage.kafka, { get: (kafka, name) => (name === 'admin' ? admin : Reflect.get(kafka, name).bind(kafka)) })
}

test.each(['before', 'after'] as const)(
  'a position that another member moves just %s Kafka is asked is no other log',
  async (when) => {
    const { stage, name } = await applied()
    const move = async () => {
      const { places } = await sum(name)
      await stage.send([record('a', 1)])
      await expect.poll(async () => (await sum(name)).places, { timeout: 10_000 }).toBe(places + 1)
      if (when === 'before') await deleteRecords(stage, String(places + 1))
    }
    const { done, told } = start(stage, name, { kafka: around(stage, { [when]: move }) })
    const assigned = () => told.some(({ event }) => event === 'partitions_assigned')
    const ended = done.then(() => 'ended')
    await Promise.race([expect.poll(assigned, { timeout: 20_000 }).toBe(true), ended])
  },
  30_000,
)
