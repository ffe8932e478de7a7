import { randomUUID } from 'node:crypto'
import pg from 'pg'
import { bucketCount, bucketOf } from '../../src/message/key.ts'
import { migrationSql } from '../support/migrations.ts'
import { insertRows } from '../support/rows.ts'
import { createTopic, readTopic } from '../support/topics.ts'

/** Milliseconds between two rows of the load that is always there. */
const pauseMs = 20

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

/** One key in each bucket. */
function keyOfEachBucket(topic: string): string[] {
  const keys: string[] = []
  for (let n = 0; keys.filter(Boolean).length < bucketCount; n++) keys[bucketOf(topic, Buffer.from(`key-${n}`))] ??= `key-${n}`
  return keys
}

/**
 * Messages that are written all the time, and the time of the broker at which each stood in its log. No consumer is used, because
 * kafkajs gives one up for good if a stopping broker breaks off its search for the group coordinator ("Failed to find group coordinator",
 * two of twelve consumers in one restart). The wait for messages would then never end.
 */
export class Flow {
  readonly pool: pg.Pool
  readonly #topic: string
  readonly #keys: string[]
  readonly #brokers: string
  #over = false
  #load: Promise<void> = Promise.resolve()
  /** The messages of the last {@link flowsAgain}. */
  #ids: string[] = []
  #lastError: unknown

  private constructor(pool: pg.Pool, topic: string, brokers: string) {
    this.pool = pool
    this.#topic = topic
    this.#keys = keyOfEachBucket(topic)
    this.#brokers = brokers
  }

  static async start(databaseUrl: string, brokers: string): Promise<Flow> {
    const pool = new pg.Pool({ connectionString: databaseUrl, max: 4, connectionTimeoutMillis: 5_000, query_timeout: 5_000 })
    // The server is stopped on purpose.
    pool.on('error', () => {})
    await pool.query(migrationSql)
    const topic = await createTopic('flow', 12, { brokers, config: { 'message.timestamp.type': 'LogAppendTime' } })
    const flow = new Flow(pool, topic, brokers)
    flow.#load = flow.#write()
    return flow
  }

  /**
   * Writes a message into each bucket and waits until all have left the outbox; returns the milliseconds from `since` until the last one
   * stood in the broker's log.
   */
  async flowsAgain(since: number): Promise<number> {
    this.#ids = this.#keys.map(() => randomUUID())
    for (const [i, key] of this.#keys.entries()) await this.#insert({ topic: this.#topic, key, messageId: this.#ids[i]! })
    while ((await this.#left()) > 0) await sleep(20)
    const wanted = new Set(this.#ids)
    const arrived = new Map<string, number>()
    for (const { headers, timestamp } of await readTopic(this.#topic, this.#brokers)) {
      const id = headers.id!
      // A copy does not count: the first one was in time.
      if (wanted.has(id)) arrived.set(id, Math.min(timestamp, arrived.get(id) ?? timestamp))
    }
    if (arrived.size < wanted.size)
      throw new Error(`${wanted.size - arrived.size} messages have left the outbox and are not in Kafka.`)
    return Math.max(...arrived.values()) - since
  }

  /** Where the messages of the last {@link flowsAgain} are: for the error of one that does not end. */
  async state(): Promise<string> {
    const left = await this.#left().catch((error: unknown) => error)
    return `${left} of ${this.#ids.length} messages in the outbox; last error of an INSERT: ${this.#lastError ?? 'none'}`
  }

  async stop(): Promise<void> {
    this.#over = true
    await this.#load
    await this.pool.end()
  }

  async #left(): Promise<number> {
    const sql = 'SELECT count(*)::int AS n FROM outbox WHERE message_id = ANY ($1)'
    return (await this.pool.query<{ n: number }>(sql, [this.#ids])).rows[0]!.n
  }

  /** A server that is away, or breaks off the transaction, is asked again. A row whose commit was lost may stand there twice: by its id it is one. */
  async #insert(row: { topic: string; key: string; messageId: string }): Promise<void> {
    for (;;) {
      try {
        await insertRows(this.pool, [row])
        return
      } catch (error) {
        this.#lastError = error
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
