import type { Admin, Kafka } from 'kafkajs'
import pg from 'pg'
import { OutboxError } from '../message/errors.ts'
import { quote } from '../message/tables.ts'
import { explained } from '../store/postgres/errors.ts'
import { codeOf, connectionConfig } from '../store/postgres/line.ts'
import { ownPath } from '../store/postgres/sql.ts'
import { trouble } from '../transport/kafkajs/errors.ts'
import { type ProofStatements, proofStatements } from './statements.ts'

/** Where the scratch tables and the scratch topic are made. */
export interface ScratchPlan {
  databaseUrl: string
  kafka: Kafka
  /** PostgreSQL schema to make; it must not exist. */
  schema: string
  /** Prefix of the tables in it. */
  tablePrefix: string
  /** Statements that make the outbox in that schema. */
  migration: string
  topic: string
  partitions: number
  /** Copies of each partition; -1: the cluster's default. */
  replication: number
}

/** Tables and a topic of a proof's own, and how they are taken away again. */
export interface Scratch {
  /** Runs a statement in a transaction of its own and returns its rows. */
  query<R>(sql: string, values?: readonly unknown[]): Promise<R[]>
  admin: Admin
  sql: ProofStatements
  /** Removes both and closes the connections; gives the names of what could not be removed. */
  remove(): Promise<string[]>
}

/**
 * Makes them. What was made before something failed is removed again.
 *
 * @throws OutboxError DATABASE_REFUSED, DATABASE_UNREACHABLE, MISSING_RIGHTS, KAFKA_REFUSED
 */
export async function makeScratch(plan: ScratchPlan): Promise<Scratch> {
  const pool = new pg.Pool({ ...connectionConfig(plan.databaseUrl), max: 4 })
  pool.on('error', () => {})
  const admin = plan.kafka.admin()
  const sql = proofStatements(plan.schema, plan.tablePrefix)
  const made: { name: string; remove: () => Promise<unknown> }[] = []
  const remove = async () => {
    const left: string[] = []
    for (const one of made.splice(0)) await one.remove().catch(() => left.push(one.name))
    await Promise.allSettled([pool.end(), admin.disconnect()])
    return left
  }
  try {
    await pool.query(`${ownPath}${plan.migration};${sql.create}`).catch((error) => Promise.reject(refusedTables(error)))
    const drop = () => pool.query(`${ownPath}DROP SCHEMA ${quote(plan.schema)} CASCADE`)
    made.push({ name: `the PostgreSQL schema ${plan.schema}`, remove: drop })
    await makeTopic(admin, plan)
    made.push({ name: `the topic ${plan.topic}`, remove: () => admin.deleteTopics({ topics: [plan.topic], timeout: 10_000 }) })
    return { query: (text, values = []) => queryAlone(pool, text, values), admin, sql, remove }
  } catch (error) {
    await remove()
    throw error
  }
}

async function queryAlone<R>(pool: pg.Pool, text: string, values: readonly unknown[]): Promise<R[]> {
  const client = await pool.connect()
  try {
    await client.query(`BEGIN;${ownPath}`)
    const { rows } = await client.query(text, [...values])
    await client.query('COMMIT')
    client.release()
    return rows as R[]
  } catch (error) {
    // With a transaction open it is of no use to the next query.
    client.release(true)
    throw error
  }
}

async function makeTopic(admin: Admin, { topic, partitions, replication }: ScratchPlan): Promise<void> {
  try {
    await admin.connect()
    const plan = { topic, numPartitions: partitions, replicationFactor: replication }
    await admin.createTopics({ topics: [plan], waitForLeaders: true })
  } catch (error) {
    const { code, error: words } = trouble(error)
    throw new OutboxError('KAFKA_REFUSED', `The topic ${topic} could not be created in Kafka: ${code}, ${words}.`, {
      field: 'KAFKA_BROKERS',
      remedy: 'See whether the brokers can be reached, and whether this login may create and delete topics.',
      cause: error,
    })
  }
}

function refusedTables(error: unknown): unknown {
  if (codeOf(error) !== '42501') return explained(error)
  return new OutboxError('MISSING_RIGHTS', 'The database role may not create a schema.', {
    remedy: 'GRANT CREATE ON DATABASE to the role, or use another one for the proof.',
    cause: error,
  })
}
