import { expect, inject, onTestFinished, test } from 'vitest'
import { TopicIds } from '../../../src/transport/kafkajs/topic-id.ts'
import { kafkaTool } from '../../support/kafka.ts'
import { createTopic, testKafka } from '../../support/topics.ts'

function topicIds(kafka = testKafka()) {
  const ids = new TopicIds(kafka)
  onTestFinished(() => ids.close())
  return ids
}

/** The id as Kafka's own tool shows it. */
async function described(topic: string): Promise<string | undefined> {
  const args = ['--bootstrap-server', inject('brokers'), '--describe', '--topic', topic]
  return /TopicId: (\S+)/.exec(await kafkaTool('org.apache.kafka.tools.TopicCommand', args))?.[1]
}

test("the id of a topic is the one that Kafka's tool shows, also for names of more than 127 bytes, in turn", async () => {
  const ids = topicIds()
  const [short, long] = [await createTopic('t', 1), await createTopic('a.topic_of-many-letters'.repeat(8), 12)]
  for (const topic of [short, long, short]) expect(await ids.of(topic)).toBe(await described(topic))
})

test('a topic that does not exist has none', async () => {
  await expect(topicIds().of('never-created')).rejects.toMatchObject({ type: 'UNKNOWN_TOPIC_OR_PARTITION' })
})

test('a client whose insides are not those of kafkajs 2.2.4 tells no id', async () => {
  expect(await topicIds({} as never).of('any')).toBeNull()
})
