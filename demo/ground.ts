import { randomBytes } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { type Admin, Kafka, logLevel } from 'kafkajs'
import pg from 'pg'
import type { KafkaServer } from '../test/support/kafka.ts'
import { startServers } from '../test/support/servers.ts'
import type { Closing } from './closing.ts'

const migrations = new URL('../examples/orders/prisma/migrations/', import.meta.url)

/** Database and Kafka of a run of the demo, with databases and topics of its own. */
export interface Ground {
  brokers: string
  /** The broker, if the demo started it itself and may stop it. */
  server: KafkaServer | undefined
  kafka: Kafka
  /** Creates a database with all tables of the shop; gives its URL. */
  createDatabase(name: string): Promise<string>
  /** Creates a topic of three partitions that keeps everything: the history of an order begins with its first event. */
  createTopic(topic: string): Promise<void>
}

/** Starts what the environment does not name. Databases and topics are removed when it closes. */
export async function prepareGround(closing: Closing): Promise<Ground> {
  const servers = await startServers()
  closing.add(() => servers.stop())
  const run = randomBytes(4).toString('hex')
  const kafka = new Kafka({
    brokers: servers.brokers.split(','),
    clientId: 'shop',
    logLevel: logLevel.NOTHING,
    // A topic is not known everywhere as soon as it has been created.
    retry: { retries: 10, initialRetryTime: 50 },
  })
  return {
    brokers: servers.brokers,
    server: servers.kafka,
    kafka,
    async createDatabase(name) {
      const database = `demo_${name}_${run}`
      await query(servers.databaseUrl, `CREATE DATABASE "${database}"`)
      closing.add(() => query(servers.databaseUrl, `DROP DATABASE IF EXISTS "${database}" WITH (FORCE)`))
      const url = new URL(servers.databaseUrl)
      url.pathname = `/${database}`
      await query(url.href, migrationSql())
      return url.href
    },
    async createTopic(topic) {
      const configEntries = [{ name: 'retention.ms', value: '-1' }]
      await withAdmin(kafka, (admin) =>
        admin.createTopics({ topics: [{ topic, numPartitions: 3, replicationFactor: 1, configEntries }], waitForLeaders: true }),
      )
      // A broker of our own goes with all that it has.
      if (!servers.kafka) closing.add(() => withAdmin(kafka, (admin) => admin.deleteTopics({ topics: [topic] })))
    },
  }
}

/** All migrations of the shop in their order; an application would run `prisma migrate deploy`. */
function migrationSql(): string {
  const folders = readdirSync(migrations, { withFileTypes: true }).filter((entry) => entry.isDirectory())
  const names = folders.map((folder) => folder.name).sort()
  return names.map((name) => readFileSync(new URL(`${name}/migration.sql`, migrations), 'utf8')).join('\n')
}

async function withAdmin(kafka: Kafka, task: (admin: Admin) => Promise<unknown>): Promise<void> {
  const admin = kafka.admin()
  await admin.connect()
  try {
    await task(admin)
  } finally {
    await admin.disconnect()
  }
}

async function query(url: string, sql: string): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    await client.query(sql)
  } finally {
    await client.end()
  }
}
