import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { setTimeout as wait } from 'node:timers/promises'
import { Kafka, logLevel } from 'kafkajs'
import pg from 'pg'
import type { TcpProxy } from '../history/fault.ts'
import { builtMain } from '../support/build.ts'
import { type KafkaServer, startKafka } from '../support/kafka.ts'
import { migrationSql } from '../support/migrations.ts'
import { freePort } from '../support/ports.ts'
import { startPostgres } from '../support/postgres.ts'
import { insertMany } from '../support/rows.ts'
import { startTcpProxy } from '../support/tcp-proxy.ts'

/** Milliseconds of a lease: the least, so that little time goes into waiting for take-overs. */
export const leaseMs = 3_000

/** Servers, two relays and an application that enqueues all the time. */
export interface Ground {
  kafka: KafkaServer
  /** Leads the relays to the database. */
  database: TcpProxy
  /** Never leads through the proxy. */
  pool: pg.Pool
  topic: string
  ports: readonly number[]
  relays: ChildProcess[]
  /** Starts those relays that do not run. */
  startRelays(): Promise<void>
  /** Runs a command of the package to its end. */
  command(...args: string[]): Promise<void>
  createTopic(topic: string): Promise<void>
  close(): Promise<void>
}

/** Starts everything: PostgreSQL, Kafka, two relays, and 50 messages a second. */
export async function prepareGround(): Promise<Ground> {
  const [postgres, kafka] = await Promise.all([startPostgres(), startKafka()])
  const pool = new pg.Pool({ connectionString: postgres.url })
  // Its server is stopped at the end, with connections of the pool that are only closing.
  pool.on('error', () => {})
  await pool.query(migrationSql)
  const database = await startTcpProxy({ port: Number(new URL(postgres.url).port) })
  const url = new URL(postgres.url)
  url.port = String(database.port)
  const topic = `orders-${randomBytes(3).toString('hex')}`
  await createTopic(kafka.brokers, topic)
  const ports = [await freePort(), await freePort()]
  const relays: ChildProcess[] = []
  const env = { ...process.env, DATABASE_URL: url.href, KAFKA_BROKERS: kafka.brokers, OUTBOX_LEASE_MS: String(leaseMs) }
  const end = new AbortController()
  let application: Promise<void> | undefined
  const ground: Ground = {
    kafka,
    database,
    pool,
    topic,
    ports,
    relays,
    async startRelays() {
      for (const [i, port] of ports.entries()) {
        const before = relays[i]
        if (before && before.exitCode === null && before.signalCode === null) continue
        relays[i] = await startRelay({ ...env, OUTBOX_LISTEN: `127.0.0.1:${port}`, OUTBOX_NAME: `relay-${i}` })
      }
    },
    async command(...args) {
      const child = spawn(process.execPath, [builtMain, ...args], { env, stdio: ['ignore', 'ignore', 'inherit'] })
      const [code] = await once(child, 'exit')
      if (code !== 0) throw new Error(`${args.join(' ')} ended with ${code}.`)
    },
    createTopic: (name) => createTopic(kafka.brokers, name),
    async close() {
      end.abort()
      await application
      for (const relay of relays) if (relay.kill('SIGKILL')) await once(relay, 'exit')
      await database.close()
      await pool.end()
      await Promise.all([postgres.stop(), kafka.remove()])
    },
  }
  await ground.startRelays()
  // Not before: what waits for the first relay would be a lag.
  application = enqueueAll(pool, topic, end.signal)
  return ground
}

/** Resolves when the relay listens and serves. */
async function startRelay(env: NodeJS.ProcessEnv): Promise<ChildProcess> {
  const relay = spawn(process.execPath, [builtMain, 'relay'], { env, stdio: ['ignore', 'pipe', 'inherit'] })
  process.once('exit', () => relay.kill('SIGKILL'))
  await new Promise<void>((resolve, reject) => {
    relay.once('exit', (code) => reject(new Error(`A relay ended with ${code}.`)))
    relay.stdout.on('data', (text) => String(text).includes('"event":"started"') && resolve())
  })
  return relay
}

/** 50 messages a second, until the end; they go on whatever becomes of Kafka and the relays. */
async function enqueueAll(pool: pg.Pool, topic: string, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await insertMany(pool, topic, 10, 10)
    await wait(200, undefined, { signal }).catch(() => {})
  }
}

async function createTopic(brokers: string, topic: string): Promise<void> {
  const retry = { retries: 10, initialRetryTime: 50 }
  const admin = new Kafka({ brokers: brokers.split(','), logLevel: logLevel.NOTHING, retry }).admin()
  await admin.connect()
  const config = [{ name: 'max.message.bytes', value: '2000' }]
  await admin.createTopics({
    topics: [{ topic, numPartitions: 3, replicationFactor: 1, configEntries: config }],
    waitForLeaders: true,
  })
  await admin.disconnect()
}
