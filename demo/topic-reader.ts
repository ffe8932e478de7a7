import { randomBytes } from 'node:crypto'
import type { Admin, Consumer, EachBatchPayload, Kafka } from 'kafkajs'
import type { Closing } from './closing.ts'

/** Type of the event that announces an order. */
const announced = 'OrderPlaced'

/** A record that announces an order. */
export interface OrderRecord {
  key: string
  /** Id of the order that it announces. */
  orderId: number
  /** When it was sent, in ms since 1970. */
  sentAt: number
}

/** Reads topics from their very beginning, each record once, and goes on reading. */
export class TopicReader {
  readonly #consumer: Consumer
  readonly #admin: Admin
  readonly #records: Map<string, OrderRecord[]>
  /** Next offset of each topic-partition. kafkajs starts over after a broker's restart, since nothing is ever committed. */
  readonly #next = new Map<string, number>()
  #onProgress = () => {}

  private constructor(kafka: Kafka, topics: string[]) {
    this.#consumer = kafka.consumer({ groupId: `reader-${randomBytes(6).toString('hex')}`, maxWaitTimeInMs: 100 })
    this.#admin = kafka.admin()
    this.#records = new Map(topics.map((topic) => [topic, []]))
  }

  static async open(kafka: Kafka, topics: string[], closing: Closing): Promise<TopicReader> {
    const reader = new TopicReader(kafka, topics)
    closing.add(() => reader.#close())
    await reader.#admin.connect()
    await reader.#consumer.connect()
    await reader.#consumer.subscribe({ topics, fromBeginning: true })
    await reader.#consumer.run({ autoCommit: false, eachBatch: async (payload) => reader.#take(payload) })
    return reader
  }

  /** Records so far; in their order within each partition, and so for each key. */
  records(topic: string): readonly OrderRecord[] {
    return this.#records.get(topic)!
  }

  /** Resolves when everything that stands in the topics now has been read. */
  async reachEnd(): Promise<void> {
    const topics = [...this.#records.keys()]
    const offsets = await Promise.all(topics.map((topic) => this.#admin.fetchTopicOffsets(topic)))
    const ends = offsets.flatMap((list, at) => list.map((end) => [`${topics[at]}/${end.partition}`, Number(end.high)] as const))
    const there = () => ends.every(([partition, end]) => (this.#next.get(partition) ?? 0) >= end)
    await new Promise<void>((resolve) => {
      this.#onProgress = () => there() && resolve()
      this.#onProgress()
    })
  }

  async #close(): Promise<void> {
    await Promise.all([this.#consumer.disconnect(), this.#admin.disconnect()])
  }

  #take({ batch }: EachBatchPayload): void {
    const partition = `${batch.topic}/${batch.partition}`
    const records = this.#records.get(batch.topic)!
    for (const { offset, key, value, timestamp, headers } of batch.messages) {
      if (Number(offset) < (this.#next.get(partition) ?? 0)) continue
      this.#next.set(partition, Number(offset) + 1)
      // The ways of the articles send the order's row without a type; the shop has other events too.
      if (String(headers?.type ?? announced) !== announced) continue
      const { orderId, id } = JSON.parse(String(value))
      records.push({ key: String(key), orderId: orderId ?? id, sentAt: Number(timestamp) })
    }
    this.#onProgress()
  }
}
