import pg from 'pg'
import type { Closing } from '../closing.ts'
import type { Ground } from '../ground.ts'
import { judge } from '../judge.ts'
import { Program } from '../program.ts'
import { relayProgram, shortLeaseMs } from '../relay.ts'
import type { OrderRecord } from '../topic-reader.ts'
import { tableSql } from './ways/simple-loop.ts'

/** What can be killed. Each way has one application and, if it has relays at all, two. */
export type Victim = 'app' | 'relay 1' | 'relay 2'

/** A way of announcing orders. */
interface Way {
  /** File of the way in `ways/`; also the name of its database and topic. */
  file: string
  /** Two lines for the head of the table. */
  title: [string, string]
  /** Statements for its tables, beside those of the shop. */
  sql?: string
  /** Counts the messages that its relays still have to publish. */
  waiting?: string
  /** Starts one relay. */
  relay?: (databaseUrl: string, brokers: string) => Program
}

/** The three ways of the articles, and this package. */
export const ways: Way[] = [
  { file: 'after-commit', title: ['send after', 'the commit'] },
  { file: 'before-commit', title: ['send before', 'the commit'] },
  {
    file: 'simple-loop',
    title: ['outbox and', 'simple loops'],
    sql: tableSql,
    waiting: 'SELECT count(*)::int AS n FROM article_outbox WHERE NOT published',
    relay: (DATABASE_URL, KAFKA_BROKERS) =>
      new Program(new URL('./loop-relay.ts', import.meta.url), { env: { DATABASE_URL, KAFKA_BROKERS } }),
  },
  {
    file: 'this-package',
    title: ['this', 'package'],
    waiting: 'SELECT count(*)::int AS n FROM outbox',
    relay: (databaseUrl, brokers) => relayProgram(databaseUrl, brokers, shortLeaseMs),
  },
]

/** What became of the orders of one way. */
export interface Score {
  placed: number
  records: number
  /** Messages that its relays still have to publish. */
  waiting: number
  lost: number
  phantom: number
  copies: number
  outOfOrder: number
  /** Time from order to send, of first copies, in ms: the median and the longest. */
  delays: { median: number; longest: number }
}

/** Age from which on an order without a record, or a record without an order, is no longer taken for one on its way, in ms. */
const graceMs = 2_000

/** What stands in the tables of one way. */
interface Tables {
  orders: { id: number; customer: string; placedAt: number }[]
  waiting: number
}

/** One way at work, with a database, a topic and processes of its own. */
export class Contestant {
  readonly way: Way
  readonly topic: string
  readonly programs: Map<Victim, Program>
  readonly #pool: pg.Pool

  private constructor(way: Way, topic: string, programs: Map<Victim, Program>, pool: pg.Pool) {
    this.way = way
    this.topic = topic
    this.programs = programs
    this.#pool = pool
  }

  static async open(
    way: Way,
    ground: Ground,
    { rate, run }: { rate: number; run: string },
    closing: Closing,
  ): Promise<Contestant> {
    const databaseUrl = await ground.createDatabase(way.file.replace('-', '_'))
    const topic = `naive_${way.file}_${run}`
    await ground.createTopic(topic)
    const pool = new pg.Pool({ connectionString: databaseUrl, max: 2 })
    pool.on('error', () => {})
    closing.add(() => pool.end())
    if (way.sql) await pool.query(way.sql)
    const env = { DATABASE_URL: databaseUrl, KAFKA_BROKERS: ground.brokers, TOPIC: topic, RATE: String(rate) }
    const app = new Program(new URL('./shop-app.ts', import.meta.url), { args: [way.file], env, standby: true })
    const programs = new Map<Victim, Program>([['app', app]])
    for (const name of ['relay 1', 'relay 2'] as const) {
      if (way.relay) programs.set(name, way.relay(databaseUrl, ground.brokers))
    }
    for (const program of programs.values()) closing.add(() => program.close())
    return new Contestant(way, topic, programs, pool)
  }

  /** Messages that its relays still have to publish. */
  async waiting(): Promise<number> {
    if (!this.way.waiting) return 0
    const { rows } = await this.#pool.query<{ n: number }>(this.way.waiting)
    return rows[0]!.n
  }

  /** Looks at the tables: first the orders, then what waits. Whatever is in neither the second nor the topic, read after both, is lost. */
  async look(): Promise<Tables> {
    const { rows } = await this.#pool.query<{ id: number; customer: string; at: Date }>(
      'SELECT id, customer, placed_at AS at FROM orders',
    )
    const orders = rows.map(({ id, customer, at }) => ({ id, customer, placedAt: at.getTime() }))
    return { orders, waiting: await this.waiting() }
  }
}

/** Compares orders with the records that stood in the topic afterwards. While it runs, what is on its way is neither lost nor made up. */
export function score({ orders, waiting }: Tables, records: readonly OrderRecord[], ended: boolean): Score {
  const placedAt = new Map(orders.map((order) => [order.id, order.placedAt]))
  const sentAt = new Map<number, number>()
  for (const record of records) if (!sentAt.has(record.orderId)) sentAt.set(record.orderId, record.sentAt)
  const verdict = judge(orders, records)
  const before = ended ? Number.POSITIVE_INFINITY : Date.now() - graceMs
  const missing = verdict.missing.filter((id) => placedAt.get(id)! < before).length
  return {
    placed: verdict.placed,
    records: verdict.records,
    waiting,
    lost: Math.max(0, missing - waiting),
    phantom: verdict.phantom.filter((id) => sentAt.get(id)! < before).length,
    copies: verdict.copies,
    outOfOrder: verdict.outOfOrder,
    delays: delays(placedAt, sentAt),
  }
}

function delays(placedAt: Map<number, number>, sentAt: Map<number, number>): Score['delays'] {
  const all = [...sentAt].flatMap(([id, at]) => (placedAt.has(id) ? [at - placedAt.get(id)!] : [])).sort((a, b) => a - b)
  return { median: all[Math.floor(all.length / 2)] ?? 0, longest: all.at(-1) ?? 0 }
}
