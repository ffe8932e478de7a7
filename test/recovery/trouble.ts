import type { Admin } from 'kafkajs'
import pg from 'pg'
import { bucketOf, partitionOf } from '../../src/message/key.ts'
import { wakeChannel } from '../../src/message/wake.ts'
import type { KafkaCluster } from '../history/fault.ts'
import { startKafkaCluster } from '../support/kafka-cluster.ts'
import { migrationSql } from '../support/migrations.ts'
import { type PostgresServer, startPostgres } from '../support/postgres.ts'
import { type RelayProcess, startRelayProcess } from '../support/relay-process.ts'
import { createTopicNamed, testKafka } from '../support/topics.ts'
import { step } from './step.ts'

/**
 * What trouble of one topic, broker, partition or row costs everything else: the rate of the healthy messages beside the undisturbed one,
 * in turn. Called by `npm run recovery -- --trouble`.
 */
export interface TroubleOptions {
  /** Relays that share the work. */
  relays: number
  /** Rows that are in trouble. */
  stuck: number
  /** Healthy messages of a measurement. */
  messages: number
  repetitions: number
}

/** Rates in messages a second, one of each repetition. */
export interface TroubleResult {
  trouble: string
  undisturbed: number[]
  beside: number[]
}

/** Keys of a backlog. */
const keyCount = 500
const partitions = 6
/** Milliseconds between two questions to the brokers. */
const pollMs = 20
/** Bytes of a message of the partition in trouble: two thousand are more than a relay may have in flight. */
const largeBytes = 50_000
const largeRows = 2_000
/** A million rows take their time to be written, and to be sent after the heal. */
const limitMs = 300_000
const topicResource = 2

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

/** One kind of trouble. `measured`: the healthy topic and the keys of it. */
interface Trouble {
  name: string
  measured: { topic: string; keys: (key: string) => boolean }
  /** Puts the trouble and its backlog there; resolves when the relays know of it. The returned function takes it back. */
  begin(): Promise<() => Promise<void>>
}

/** Three brokers, PostgreSQL and relays, with topics whose places are known: `well` never touches broker 3. */
export class TroubleGround implements AsyncDisposable {
  readonly #postgres: PostgresServer
  readonly #kafka: KafkaCluster
  readonly #pool: pg.Pool
  readonly #admin: Admin
  readonly #options: TroubleOptions
  #relays: RelayProcess[] = []

  private constructor(postgres: PostgresServer, kafka: KafkaCluster, pool: pg.Pool, admin: Admin, options: TroubleOptions) {
    this.#postgres = postgres
    this.#kafka = kafka
    this.#pool = pool
    this.#admin = admin
    this.#options = options
  }

  static async start(options: TroubleOptions): Promise<TroubleGround> {
    const [postgres, kafka] = await Promise.all([startPostgres(), startKafkaCluster()])
    const pool = new pg.Pool({ connectionString: postgres.url, max: 4 })
    // The server is stopped on purpose.
    pool.on('error', () => {})
    await pool.query(migrationSql)
    const admin = testKafka(kafka.direct).admin()
    await admin.connect()
    const ground = new TroubleGround(postgres, kafka, pool, admin, options)
    const near = (partition: number) => [1 + (partition % 2), 2 - (partition % 2)]
    const alone = { 'min.insync.replicas': '1' }
    await createTopicNamed('well', partitions, { brokers: kafka.direct, placed: near })
    await createTopicNamed('thin', partitions, { brokers: kafka.direct, placed: (partition) => [...near(partition), 3] })
    await createTopicNamed('far', partitions, { brokers: kafka.direct, placed: () => [3], config: alone })
    const split = (partition: number) => [partition === 0 ? 3 : 1 + (partition % 2)]
    await createTopicNamed('large', partitions, { brokers: kafka.direct, placed: split, config: alone })
    await ground.#startRelays()
    return ground
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const relay of this.#relays) await relay.end('SIGKILL')
    await this.#admin.disconnect()
    await this.#pool.end()
    await Promise.all([this.#postgres.stop(), this.#kafka.remove()])
  }

  /** Measures every trouble, an undisturbed round before each disturbed one. */
  async measure(tell: (line: string) => void): Promise<TroubleResult[]> {
    const results: TroubleResult[] = []
    for (const trouble of this.#troubles()) {
      const { name, measured } = trouble
      const result: TroubleResult = { trouble: name, undisturbed: [], beside: [] }
      await this.#rate(measured)
      for (let n = 0; n < this.#options.repetitions; n++) {
        result.undisturbed.push(await this.#rate(measured))
        const heal = await this.#step(`"${name}" to begin`, trouble.begin())
        result.beside.push(await this.#rate(measured))
        await heal()
        await this.#step(`the rows of "${name}" after the heal`, this.#emptied())
        tell(`${name}: ${result.beside.at(-1)} messages/s beside it, ${result.undisturbed.at(-1)} undisturbed`)
      }
      results.push(result)
    }
    return results
  }

  #troubles(): Trouble[] {
    const { stuck } = this.#options
    const any = () => true
    const [, , third] = this.#kafka.brokers
    return [
      {
        name: 'topic',
        measured: { topic: 'well', keys: any },
        begin: async () => {
          await this.#minInSync('thin', '3')
          await third!.stop('SIGTERM')
          await this.#insert('thin', stuck, any)
          await this.#known('thin')
          return async () => {
            await third!.start()
            await this.#minInSync('thin', '2')
          }
        },
      },
      {
        name: 'broker',
        measured: { topic: 'well', keys: any },
        begin: async () => {
          const lift = third!.proxy.impose({ kind: 'refuse' })
          await this.#insert('far', stuck, any)
          await this.#known('far')
          return async () => lift()
        },
      },
      {
        name: 'partition',
        measured: { topic: 'large', keys: (key) => !inFirstPartition(key) },
        begin: async () => {
          const lift = third!.proxy.impose({ kind: 'black-hole' })
          await this.#insert('large', Math.min(stuck, largeRows), inFirstPartition, largeBytes)
          await this.#known('large')
          return async () => lift()
        },
      },
      { name: 'row', measured: { topic: 'well', keys: any }, begin: () => this.#lockRow(stuck) },
    ]
  }

  /** A row in the middle of a backlog is locked, as by a forgotten psql. */
  async #lockRow(stuck: number): Promise<() => Promise<void>> {
    const client = await this.#pool.connect()
    const said = this.#relays.map(({ log }) => log.length)
    for (;;) {
      await this.#insert('well', stuck, () => true)
      await client.query('BEGIN')
      // The newest one: the relays come to it last.
      const { rowCount } = await client.query('SELECT FROM outbox ORDER BY id DESC LIMIT 1 FOR UPDATE SKIP LOCKED')
      if (rowCount === 1) break
      await client.query('ROLLBACK')
    }
    const met = () => this.#relays.some(({ log }, n) => log.slice(said[n]).some(({ event }) => event === 'rows_locked'))
    while (!met()) await sleep(pollMs)
    await this.#emptied(1)
    return async () => {
      await client.query('ROLLBACK')
      client.release()
    }
  }

  /** Resolves when a relay's heartbeat names the topic. */
  async #known(topic: string): Promise<void> {
    const sql = `SELECT FROM outbox_relay WHERE trouble::text LIKE '%' || $1 || '%'`
    while ((await this.#pool.query(sql, [topic])).rowCount === 0) await sleep(pollMs)
  }

  /** Messages a second from the commit of a backlog until its last message is in the log. */
  async #rate({ topic, keys }: Trouble['measured']): Promise<number> {
    const { messages } = this.#options
    const before = await this.#records(topic)
    await this.#insert(topic, messages, keys)
    const begun = performance.now()
    await this.#pool.query('SELECT pg_notify($1, $2)', [wakeChannel, ''])
    await this.#step('the healthy messages', this.#reached(topic, before + messages))
    return Math.round((messages / (performance.now() - begun)) * 1_000)
  }

  async #reached(topic: string, records: number): Promise<void> {
    while ((await this.#records(topic)) < records) await sleep(pollMs)
  }

  async #records(topic: string): Promise<number> {
    const ends = await this.#admin.fetchTopicOffsets(topic)
    return ends.reduce((sum, { high }) => sum + Number(high), 0)
  }

  async #insert(topic: string, count: number, which: (key: string) => boolean, bytes = 100): Promise<void> {
    const keys: string[] = []
    for (let n = 0; keys.length < keyCount; n++) if (which(`key-${n}`)) keys.push(`key-${n}`)
    await this.#pool.query(
      `INSERT INTO outbox (bucket, message_id, topic, key, value)
       SELECT ($3::int[])[1 + n % $2], gen_random_uuid(), $1, convert_to(($4::text[])[1 + n % $2], 'UTF8'), $5
       FROM generate_series(1, $6::int) AS n ORDER BY n`,
      [topic, keyCount, keys.map((key) => bucketOf(topic, Buffer.from(key))), keys, Buffer.alloc(bytes, 'x'), count],
    )
  }

  async #emptied(but = 0): Promise<void> {
    while ((await this.#pool.query('SELECT FROM outbox OFFSET $1 LIMIT 1', [but])).rowCount === 1) await sleep(pollMs)
  }

  async #minInSync(name: string, value: string): Promise<void> {
    const configEntries = [{ name: 'min.insync.replicas', value }]
    await this.#admin.alterConfigs({ validateOnly: false, resources: [{ type: topicResource, name, configEntries }] })
  }

  async #startRelays(): Promise<void> {
    const { relays } = this.#options
    const env = { DATABASE_URL: this.#postgres.url, KAFKA_BROKERS: this.#kafka.bootstrap, LOG_LEVEL: 'warn' }
    for (let n = 0; n < relays; n++) this.#relays.push(startRelayProcess(env, undefined, () => {}))
    const shares =
      'SELECT count(*)::int AS n FROM outbox_lease WHERE leased_until > clock_timestamp() AND owner IS NOT NULL GROUP BY owner'
    const shared = async () => {
      for (;;) {
        const { rows } = await this.#pool.query<{ n: number }>(shares)
        if (rows.length === relays && rows.every(({ n }) => n === 64 / relays)) return
        await sleep(pollMs)
      }
    }
    await this.#step(`${relays} relays with equal shares`, shared())
  }

  #step<T>(name: string, work: Promise<T>): Promise<T> {
    const state = async () => JSON.stringify(this.#relays.flatMap(({ log }) => log.slice(-3)))
    return step(name, work, { limitMs, state })
  }
}

const inFirstPartition = (key: string): boolean => partitionOf('large', Buffer.from(key), partitions) === 0
