import { randomUUID } from 'node:crypto'
import type { Consumer } from 'kafkajs'
import pg from 'pg'
import { bucketCount, bucketOf } from '../../src/message/key.ts'
import { migrationSql } from '../support/migrations.ts'
import { insertRows } from '../support/rows.ts'
import { createTopic, testKafka } from '../support/topics.ts'

/** Milliseconds between two rows of the load that is always there. */
const pauseMs = 20

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

/** One key in each bucket. */
function keyOfEachBucket(topic: string): string[] {
  const keys: string[] = []
  for (let n = 0; keys.filter(Boolean).length < bucketCount; n++) keys[bucketOf(topic, Buffer.from(`key-${n}`))] ??= `key-${n}`
  return keys
}

/** Messages that are written all the time, and the time of the broker at which each stood in its log. */
export class Flow {
  readonly pool: pg.Pool
  readonly #topic: string
  readonly #keys: string[]
  readonly #consumer: Consumer
  /** Broker's time in milliseconds by message id. */
  readonly #arrived = new Map<string, number>()
  #looking = () => {}
  #over = false
  #load: Promise<void> = Promise.resolve()

  private constructor(pool: pg.Pool, topic: string, consumer: Consumer) {
    this.pool = pool
    this.#topic = topic
    this.#keys = keyOfEachBucket(topic)
    this.#consumer = consumer
  }

  static async start(databaseUrl: string, brokers: string): Promise<Flow> {
    const pool = new pg.Pool({ connectionString: databaseUrl, max: 4 })
    // The server is stopped on purpose.
    pool.on('error', () => {})
    await pool.query(migrationSql)
    const topic = await createTopic('flow', 12, { brokers, config: { 'message.timestamp.type': 'LogAppendTime' } })
    const consumer = testKafka(brokers).consumer({
      groupId: topic,
      maxWaitTimeInMs: 50,
      retry: { retries: 1_000, maxRetryTime: 500 },
    })
    const flow = new Flow(pool, topic, consumer)
    await consumer.connect()
    await consumer.subscribe({ topic, fromBeginning: true })
    await consumer.run({
      autoCommit: false,
      eachMessage: async ({ message }) => flow.#take(String(message.headers!.id), Number(message.timestamp)),
    })
    flow.#load = flow.#write()
    return flow
  }

  /**
   * Writes a message into each bucket and waits for all of them; returns the milliseconds from `since` until the last one stood in the
   * broker's log.
   */
  async flowsAgain(since: number): Promise<number> {
    const ids = this.#keys.map(() => randomUUID())
    for (const [i, key] of this.#keys.entries()) await this.#insert({ topic: this.#topic, key, messageId: ids[i]! })
    while (ids.some((id) => !this.#arrived.has(id))) await new Promise<void>((resolve) => (this.#looking = resolve))
    return Math.max(...ids.map((id) => this.#arrived.get(id)!)) - since
  }

  async stop(): Promise<void> {
    this.#over = true
    await this.#load
    await this.#consumer.disconnect()
    await this.pool.end()
  }

  #take(id: string, at: number): void {
    // A copy does not count: the first one was in time.
    if (!this.#arrived.has(id)) this.#arrived.set(id, at)
    this.#looking()
  }

  /** A server that is away, or breaks off the transaction, is asked again. A row whose commit was lost may stand there twice: by its id it is one. */
  async #insert(row: { topic: string; key: string; messageId: string }): Promise<void> {
    for (;;) {
      try {
        await insertRows(this.pool, [row])
        return
      } catch {
        if (this.#over) return
        await sleep(10)
      }
    }
  }

  async #write(): Promise<void> {
    for (let n = 0; !this.#over; n++) {
      await this.#insert({ topic: this.#topic, key: this.#keys[n % bucketCount]!, messageId: randomUUID() })
      await sleep(pauseMs)
    }
  }
}
