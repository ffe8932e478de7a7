import { randomBytes } from 'node:crypto'
import type { Admin } from 'kafkajs'
import pg from 'pg'
import { kafkaTool } from '../test/support/kafka.ts'
import { createTopic, testKafka } from '../test/support/topics.ts'
import type { Bench } from './mode.ts'

/** A fresh database and a fresh topic: what one run left behind must not slow the next one. */
export class Ground implements AsyncDisposable {
  readonly pool: pg.Pool
  readonly #admin: Admin
  readonly #server: string

  private constructor(
    readonly databaseUrl: string,
    readonly brokers: string,
    readonly topic: string,
    { admin, server }: { admin: Admin; server: string },
  ) {
    this.pool = new pg.Pool({ connectionString: databaseUrl })
    this.pool.on('error', () => {})
    this.#admin = admin
    this.#server = server
  }

  /** Creates database, tables and a topic whose records carry the time of the broker's append. */
  static async prepare({ servers: { databaseUrl, brokers } }: Bench, schema: string, partitions = 12): Promise<Ground> {
    const url = new URL(databaseUrl)
    url.pathname = `/bench_${randomBytes(6).toString('hex')}`
    await onServer(databaseUrl, `CREATE DATABASE "${url.pathname.slice(1)}"`)
    const topic = await createTopic('bench', partitions, { brokers, config: { 'message.timestamp.type': 'LogAppendTime' } })
    const admin = testKafka(brokers).admin()
    await admin.connect()
    const ground = new Ground(url.href, brokers, topic, { admin, server: databaseUrl })
    await ground.pool.query(schema)
    return ground
  }

  /** One value of a query. */
  async number(sql: string, values: readonly unknown[] = []): Promise<number> {
    const { rows } = await this.pool.query<[unknown]>({ text: sql, values: [...values], rowMode: 'array' })
    return Number(rows[0]![0])
  }

  /** Where the WAL of the server is: what others write at the same time counts too. */
  walPosition(): Promise<number> {
    return this.number("SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')")
  }

  /** Fresh statistics, and the cost of a checkpoint paid before anything is measured. */
  async settle(): Promise<void> {
    await this.pool.query('ANALYZE')
    await this.pool.query('CHECKPOINT')
  }

  /** Transactions of this database so far: asked from another one, so that asking is not counted. */
  async transactions(): Promise<number> {
    const sql = `SELECT xact_commit + xact_rollback AS n FROM pg_stat_database WHERE datname = '${new URL(this.databaseUrl).pathname.slice(1)}'`
    const [row] = await onServer<{ n: string }>(this.#server, sql)
    return Number(row!.n)
  }

  /** Records in the topic. */
  async records(): Promise<number> {
    const ends = await this.#admin.fetchTopicOffsets(this.topic)
    return ends.reduce((sum, { high }) => sum + Number(high), 0)
  }

  /** Bytes of the topic on the brokers' disks, without indexes. */
  async topicBytes(): Promise<number> {
    const args = ['--bootstrap-server', this.brokers, '--describe', '--topic-list', this.topic]
    const told = await kafkaTool('org.apache.kafka.tools.LogDirsCommand', args)
    const { brokers } = JSON.parse(told.slice(told.indexOf('{"'))) as {
      brokers: { logDirs: { partitions: { size: number }[] }[] }[]
    }
    return brokers
      .flatMap(({ logDirs }) => logDirs.flatMap(({ partitions }) => partitions))
      .reduce((sum, { size }) => sum + size, 0)
  }

  /** Nothing of what was published and deleted is left for the next portion to be read over, or for autovacuum to come for. */
  async clear(): Promise<void> {
    const ends = await this.#admin.fetchTopicOffsets(this.topic)
    const partitions = ends.map(({ partition, high }) => ({ partition, offset: high }))
    await this.#admin.deleteTopicRecords({ topic: this.topic, partitions })
    await this.pool.query('VACUUM outbox')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.pool.end()
    await onServer(this.#server, `DROP DATABASE "${new URL(this.databaseUrl).pathname.slice(1)}" WITH (FORCE)`)
    await this.#admin.deleteTopics({ topics: [this.topic] })
    await this.#admin.disconnect()
  }
}

async function onServer<T extends pg.QueryResultRow>(url: string, sql: string): Promise<T[]> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  const { rows } = await client.query<T>(sql)
  await client.end()
  return rows
}
