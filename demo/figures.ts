import type { Admin, Kafka } from 'kafkajs'
import pg from 'pg'

/** What stands in database and topic at a moment. */
export interface Figures {
  /** Messages in the outbox. */
  waiting: number
  /** Age of the oldest of them, in seconds. */
  lag: number
  /** Records in the topic. */
  published: number
  /** The newest confirmation of the mail service; null before the first. */
  lastLetter: { orderId: number; customer: string } | null
}

/** Looks at the outbox and at the end of the topic. What cannot be seen, because its server is down, keeps its last figure. */
export class FigureReader {
  readonly #pool: pg.Pool
  readonly #admin: Admin
  readonly #topic: string
  #asking = false
  readonly last: Figures = { waiting: 0, lag: 0, published: 0, lastLetter: null }

  private constructor(pool: pg.Pool, admin: Admin, topic: string) {
    this.#pool = pool
    this.#admin = admin
    this.#topic = topic
  }

  static async open(databaseUrl: string, kafka: Kafka, topic: string): Promise<FigureReader> {
    const admin = kafka.admin({ retry: { retries: 1, initialRetryTime: 100 } })
    await admin.connect()
    const pool = new pg.Pool({ connectionString: databaseUrl, max: 1 })
    pool.on('error', () => {})
    return new FigureReader(pool, admin, topic)
  }

  async read(): Promise<Figures> {
    // Not awaited: without a broker it takes its time, and the orders go on meanwhile.
    void this.#readTopic()
    const { rows } = await this.#pool.query<Omit<Figures, 'published'>>(
      `SELECT count(*)::int AS waiting, coalesce(extract(epoch FROM clock_timestamp() - min(created_at)), 0)::float8 AS lag,
         (SELECT json_build_object('orderId', order_id, 'customer', customer) FROM letters ORDER BY id DESC LIMIT 1) AS "lastLetter"
       FROM outbox`,
    )
    return Object.assign(this.last, rows[0])
  }

  async close(): Promise<void> {
    await Promise.all([this.#pool.end(), this.#admin.disconnect()])
  }

  async #readTopic(): Promise<void> {
    if (this.#asking) return
    this.#asking = true
    try {
      const ends = await this.#admin.fetchTopicOffsets(this.#topic)
      this.last.published = ends.reduce((sum, end) => sum + Number(end.high), 0)
    } catch {
      // Kafka is down: the screen says so.
    } finally {
      this.#asking = false
    }
  }
}
