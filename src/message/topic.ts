import { OutboxError } from './errors.ts'

/** Longest topic name: `org.apache.kafka.common.internals.Topic.MAX_NAME_LENGTH`, which leaves room for the partition in a file name. */
const maxLength = 249

/** Whether Kafka takes it as the name of a topic: the question of {@link checkTopic}, without the reason. */
export const isTopic = (name: string): boolean => /^[a-zA-Z0-9._-]{1,249}$/.test(name) && name !== '.' && name !== '..'

/** Refuses what Kafka's `Topic.validate` refuses: a broker would do it only when the transaction is long over. */
export function checkTopic(topic: unknown, field: string): asserts topic is string {
  const remedy = 'A topic has 1 to 249 characters of a-z, A-Z, 0-9, ".", "_" and "-".'
  const refuse = (what: string) => new OutboxError('INVALID_TOPIC', `${field} ${what}.`, { field, remedy })
  if (typeof topic !== 'string') throw refuse('is not a string')
  if (topic === '') throw refuse('is empty')
  if (topic === '.' || topic === '..') throw refuse('is a name that Kafka keeps for folders')
  if (topic.length > maxLength) throw refuse(`has ${topic.length} characters`)
  if (!/^[a-zA-Z0-9._-]+$/.test(topic)) throw refuse('has a character that Kafka refuses')
}
