import { appendFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Admin } from 'kafkajs'
import pg from 'pg'
import { proofKafka } from '../../src/proof/dump.ts'
import type { DeadMessage } from '../../src/proof/history.ts'
import { monotonicMs } from '../../src/proof/history.ts'
import { type ProofStatements, proofStatements } from '../../src/proof/statements.ts'
import { mutantNamed } from '../mutants/list.ts'
import { mutatedSources } from '../mutants/mutant.ts'
import { startKafka } from '../support/kafka.ts'
import { startKafkaCluster } from '../support/kafka-cluster.ts'
import { migrationSql } from '../support/migrations.ts'
import { startPgbouncer } from '../support/pgbouncer.ts'
import { startPostgres } from '../support/postgres.ts'
import { startTcpProxy } from '../support/tcp-proxy.ts'
import type { Closing } from './closing.ts'
import type { Ground, KafkaCluster } from './fault.ts'
import { Fleet } from './fleet.ts'
import type { TortureOptions } from './options.ts'

/** The ground of a torture: what faults may touch, and what the torture itself needs. */
export interface TortureGround extends Ground {
  relays: Fleet
  /** URL of the database through the proxy. */
  proxiedUrl: string
  sql: ProofStatements
  expectedDead: DeadMessage[]
  lines: (readonly string[])[]
  putBelow: string[]
  /** When the last number of partitions of the growing topic must be used; undefined: nobody has said. */
  grownFrom(): number | undefined
}

/** Topics of a run with their partitions; `narrow` and `compacted` are for poison only. */
export const topicPlan = [
  { topic: 'steady-a', partitions: 6 },
  { topic: 'steady-b', partitions: 1 },
  { topic: 'steady-c', partitions: 12 },
  { topic: 'doomed', partitions: 3 },
  { topic: 'growing', partitions: 3 },
  { topic: 'narrow', partitions: 3, config: { 'max.message.bytes': '20000' } },
  { topic: 'compacted', partitions: 3, config: { 'cleanup.policy': 'compact' } },
] as const

/** Bytes of a row that the relays carry: beyond what writers write, below what the topics take. */
export const carriedBytes = 500_000

/** Starts servers, proxies and topics of the torture's own; everything is closed with `closing`. */
export async function prepareGround(
  options: TortureOptions,
  folder: string,
  random: () => number,
  closing: Closing,
): Promise<TortureGround> {
  const [postgres, kafka] = await Promise.all([preparePostgres(options, closing), prepareKafka(options, closing)])
  const mutant = options.mutant === undefined ? undefined : mutantNamed(options.mutant)
  if (mutant?.sql) await postgres.postgres.admin.query(mutant.sql)
  const admin = proofKafka({ brokers: kafka.direct.split(',') }).admin()
  await admin.connect()
  closing.add(() => admin.disconnect())
  await createTopics(admin, kafka.brokers.length)
  const fleet = new Fleet(
    {
      databaseUrl: postgres.proxiedUrl,
      brokers: kafka.bootstrap,
      options: { leaseMs: options.leaseMs, maxRowBytes: carriedBytes, exactlyOnce: options.exactlyOnce },
      transport: options.transport,
      folder,
      mutant: options.mutant ? await sourcesOf(options.mutant) : undefined,
      env: options.timezone ? { TZ: options.timezone } : {},
    },
    random,
  )
  closing.add(() => fleet.stop(10_000))
  const expectedDead: DeadMessage[] = []
  const lines: (readonly string[])[] = []
  const putBelow: string[] = []
  let grownFrom: number | undefined
  return {
    random,
    ...postgres,
    kafka,
    admin,
    relays: fleet,
    exactlyOnce: options.exactlyOnce,
    topics: {
      steady: ['steady-a', 'steady-b', 'steady-c'],
      doomed: 'doomed',
      growing: 'growing',
      narrow: 'narrow',
      compacted: 'compacted',
    },
    expectedDead,
    expectDead: (ids, reason) => void expectedDead.push(...ids.map((id) => ({ id, reason }))),
    lines,
    expectLine: (ids) => void lines.push(ids),
    putBelow,
    expectAlarm: (id) => void putBelow.push(id),
    grownFrom: () => grownFrom,
    expectGrown: (ms) => {
      grownFrom = monotonicMs() + ms
    },
    note: (text) => appendFileSync(join(folder, 'notes.txt'), `${Math.round(monotonicMs())} ${text}\n`),
  }
}

async function sourcesOf(name: string): Promise<{ name: string; sources: string }> {
  return { name, sources: await mutatedSources(name, mutantNamed(name)) }
}

const database = 'torture'

async function preparePostgres(
  { isolation, timezone, pgbouncer }: TortureOptions,
  closing: Closing,
): Promise<Pick<TortureGround, 'postgres' | 'proxiedUrl' | 'sql'>> {
  const server = await startPostgres({ shared_preload_libraries: 'pg_stat_statements' })
  closing.add(() => server.stop())
  const url = at(server.url, { pathname: `/${database}` })
  await once(server.url, `CREATE DATABASE ${database}`)
  if (isolation) await once(server.url, `ALTER DATABASE ${database} SET default_transaction_isolation = '${isolation}'`)
  if (timezone) await once(server.url, `ALTER DATABASE ${database} SET timezone = '${timezone}'`)
  const sql = proofStatements('public')
  await once(url, `${migrationSql}; ${sql.create}; CREATE EXTENSION pg_stat_statements`)
  const pooler = pgbouncer ? await startPgbouncer(url, 20) : undefined
  if (pooler) closing.add(() => pooler.stop())
  const proxy = await startTcpProxy({ port: Number(new URL(pooler?.url ?? url).port) })
  closing.add(() => proxy.close())
  const admin = new pg.Pool({ connectionString: url, max: 10, application_name: 'torture' })
  admin.on('error', () => {})
  // A client that is checked out when the server goes down has no other listener.
  admin.on('connect', (client) => client.on('error', () => {}))
  closing.add(() => admin.end())
  // Two restarts at once would start the server twice.
  let restarting = Promise.resolve()
  const restart = (how: 'clean' | 'immediate') => {
    restarting = restarting.then(() => server.restart(how))
    return restarting
  }
  return { postgres: { admin, url, database, proxy, restart }, proxiedUrl: at(url, { port: String(proxy.port) }), sql }
}

async function prepareKafka({ brokers }: TortureOptions, closing: Closing): Promise<KafkaCluster> {
  if (brokers === 3) {
    const cluster = await startKafkaCluster()
    closing.add(() => cluster.remove())
    return cluster
  }
  const server = await startKafka()
  closing.add(() => server.remove())
  const proxy = await startTcpProxy({ port: Number(server.brokers.split(':')[1]) })
  closing.add(() => proxy.close())
  const broker = { id: 1, address: server.brokers, proxy, stop: server.stop, start: server.start, signal: server.signal }
  return { bootstrap: server.brokers, direct: server.brokers, brokers: [broker], remove: server.remove }
}

async function createTopics(admin: Admin, brokers: number): Promise<void> {
  const topics = topicPlan.map(({ topic, partitions, ...more }) => ({
    topic,
    numPartitions: partitions,
    replicationFactor: brokers,
    configEntries: Object.entries({ ...('config' in more ? more.config : {}) }).map(([name, value]) => ({ name, value })),
  }))
  await admin.createTopics({ topics, waitForLeaders: true })
}

function at(url: string, changes: Partial<Pick<URL, 'pathname' | 'port'>>): string {
  return Object.assign(new URL(url), changes).href
}

async function once(url: string, sql: string): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  // Unheard, the end of a connection between two statements would end the torture.
  client.on('error', () => {})
  await client.connect()
  try {
    await client.query(sql)
  } finally {
    await client.end()
  }
}
