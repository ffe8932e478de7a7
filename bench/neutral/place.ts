import { join } from 'node:path'
import type { Admin } from 'kafkajs'
import pg from 'pg'
import { createTopicNamed, testKafka } from '../../test/support/topics.ts'
import type { Adapter, Context } from './adapter.ts'
import type { Options } from './options.ts'
import { now, type Relay } from './relay.ts'

/** What all runs share. */
export interface Bench {
  adapter: Adapter
  adapterFile: string
  options: Options
  databaseUrl: string
  brokers: string
  folder: string
  /** Servers started here, whose ports a mode may need; `undefined` where the environment names them. */
  watched: { brokers: string; listener: number; proxy: number } | undefined
}

/** Messages to write before a run. `first`: number of the first one; `salt`: keeps the keys of two preloads apart. */
export interface Backlog {
  n: number
  keys: number
  first?: number
  salt?: string
}

/** A fresh database and a fresh topic. */
export class Place implements AsyncDisposable {
  private constructor(
    readonly bench: Bench,
    readonly context: Context,
    readonly client: pg.Client,
    /** On another database of the server: its transactions do not count. */
    readonly root: pg.Client,
    readonly admin: Admin,
  ) {}

  static async create(bench: Bench, brokers: string = bench.brokers): Promise<Place> {
    const { options, folder } = bench
    const id = `b${Date.now().toString(36)}`
    const root = await connect(bench.databaseUrl)
    await root.query(`CREATE DATABASE ${id}`)
    const url = new URL(bench.databaseUrl)
    url.pathname = `/${id}`
    const topic = `out-${id}`
    const config = { 'message.timestamp.type': 'LogAppendTime' }
    await createTopicNamed(topic, options.partitions, { brokers: bench.brokers, config })
    const admin = testKafka(bench.brokers).admin()
    await admin.connect()
    const { partitions, variant } = options
    const log = join(folder, `${id}.log`)
    const context = { id, databaseUrl: url.href, brokers, topic, partitions, variant, folder, log }
    const place = new Place(bench, context, await connect(url.href), root, admin)
    await bench.adapter.setup(context, place.client)
    return place
  }

  /** Writes messages, all in one transaction or `--tx` rows in each. Returns the WAL bytes a message. */
  async preload(backlog: Backlog): Promise<number> {
    const { adapter, options } = this.bench
    const before = await this.walPosition()
    if (options.tx === undefined) await adapter.preload(this.context, this.client, source(backlog), backlog)
    else await this.#preloadIn(options.tx, backlog)
    return Math.round(((await this.walPosition()) - before) / backlog.n)
  }

  async #preloadIn(rows: number, backlog: Backlog): Promise<void> {
    const first = backlog.first ?? 0
    await this.client.query(`CREATE TEMP TABLE bench_source AS ${source(backlog)}`)
    await this.client.query('CREATE INDEX ON bench_source (id)')
    for (let from = first; from < first + backlog.n; from += rows) {
      const to = Math.min(first + backlog.n, from + rows)
      const part = `SELECT * FROM bench_source WHERE id >= ${from} AND id < ${to} ORDER BY id`
      await this.bench.adapter.preload(this.context, this.client, part, { ...backlog, n: to - from })
    }
    await this.client.query('DROP TABLE bench_source')
  }

  /** Fresh statistics, and the cost of a checkpoint paid before anything is measured. */
  async settle(): Promise<void> {
    await this.client.query('ANALYZE')
    await this.client.query('CHECKPOINT')
  }

  /** Bytes of WAL that the server has written so far. */
  walPosition(): Promise<number> {
    return numberOf(this.client, "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0') AS n")
  }

  /** Transactions of the database so far. */
  transactions(): Promise<number> {
    return numberOf(
      this.root,
      `SELECT xact_commit + xact_rollback AS n FROM pg_stat_database WHERE datname = '${this.context.id}'`,
    )
  }

  /** Records in the topic. */
  async records(): Promise<number> {
    const ends = await this.admin.fetchTopicOffsets(this.context.topic)
    return ends.reduce((sum, { high }) => sum + Number(high), 0)
  }

  /**
   * Waits until the topic has `n` records and the outbox is drained. Returns true, or why it stopped waiting. `each` is called with the
   * number of records at every turn.
   */
  async drained(
    relay: () => Relay,
    n: number,
    timeoutMs: number,
    each?: (records: number) => Promise<void>,
  ): Promise<true | string> {
    let [quiet, last] = [0, -1]
    for (const end = now() + timeoutMs; now() < end; await pause(100)) {
      const records = await this.records()
      await each?.(records)
      if (relay().ended !== undefined) return `relay ended (${relay().ended})`
      quiet = records === last ? quiet + 1 : 0
      last = records
      if (records < n) continue
      const pending = await this.#pending()
      // A relay that keeps no state of its own is done when the topic has been quiet for a second.
      if (pending === 0 || (pending === undefined && quiet >= 10)) return true
    }
    return `timeout at ${last} of ${n}, pending ${await this.#pending()}`
  }

  async #pending(): Promise<number | undefined> {
    const sql = this.bench.adapter.pending?.(this.context)
    return sql === undefined ? undefined : numberOf(this.client, sql)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { id, topic } = this.context
    await this.client.end()
    await this.root.query(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${id}'`)
    await this.root.query(`SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = '${id}'`)
    await this.root.query(`DROP DATABASE ${id} WITH (FORCE)`)
    await this.root.end()
    await this.admin.deleteTopics({ topics: [topic] })
    await this.admin.disconnect()
  }
}

export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

async function connect(url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url })
  client.on('error', () => {})
  await client.connect()
  return client
}

async function numberOf(client: pg.Client, sql: string): Promise<number> {
  return Number((await client.query<{ n: string }>(sql)).rows[0]!.n)
}

/** Rows of a backlog: number, key, place within the key, and a JSON of 300 bytes, in the order of the numbers. */
function source({ n, keys, first = 0, salt = '' }: Backlog): string {
  return `SELECT id, key, seq, head || repeat('x', greatest(0, 298 - length(head))) || '"}' AS payload FROM (
    SELECT *, '{"i":' || id || ',"k":"' || key || '","s":' || seq || ',"p":"' AS head FROM (
      SELECT g AS id, k AS key, row_number() OVER (PARTITION BY k ORDER BY g) - 1 AS seq FROM (
        SELECT g, 'key-${salt}' || (abs(hashint8(g)::bigint) % ${keys}) AS k
        FROM generate_series(${first}::bigint, ${first + n - 1}) g) a) b) c ORDER BY id`
}
