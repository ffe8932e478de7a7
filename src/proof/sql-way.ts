import type { Socket } from 'node:net'
import pg from 'pg'
import { encodeMessage } from '../message/message.ts'
import { codeOf, connectionConfig } from '../store/postgres/line.ts'
import { ownPath } from '../store/postgres/sql.ts'
import type { Attempt } from './history.ts'
import type { ProofStatements } from './statements.ts'
import type { Way, WriterTransaction } from './writers.ts'

/** Milliseconds within which a statement of a writer is answered, or its connection is thrown away: a black hole never says so. */
const answerMs = 15_000

/** Milliseconds that a writer waits for the row of another one. */
const lockTimeoutMs = 3_000

/** How a writer begins: its own limit for locks, in force as long as the transaction. */
export const lockLimit = `SET LOCAL lock_timeout = ${lockTimeoutMs}`

/** A commit that the server refused in words has not happened: a constraint, a serialization failure. */
const refused = (error: unknown): boolean => /^(23|40)/.test(codeOf(error) ?? '')

/** {@link Way} through `pg` and plain SQL: one connection, made again whenever it is lost. */
export class SqlWay implements Way {
  readonly name = 'sql'
  readonly #databaseUrl: string
  readonly #sql: ProofStatements
  #client: pg.Client | undefined

  constructor(databaseUrl: string, sql: ProofStatements) {
    this.#databaseUrl = databaseUrl
    this.#sql = sql
  }

  async run(work: (tx: WriterTransaction) => Promise<void>): Promise<Attempt['outcome']> {
    let client: pg.Client
    try {
      client = await this.#connected()
      await client.query(`BEGIN; ${ownPath}${lockLimit}`)
      await work(this.#transaction(client))
    } catch {
      await this.#rollBack()
      return 'fail'
    }
    try {
      const { command } = await client.query('COMMIT')
      return command === 'COMMIT' ? 'ok' : 'fail'
    } catch (error) {
      this.#drop()
      return refused(error) ? 'fail' : 'info'
    }
  }

  async close(): Promise<void> {
    await this.#client?.end().catch(() => {})
  }

  #transaction(client: pg.Client): WriterTransaction {
    const query = async <R>(sql: string, values: readonly unknown[]) => (await client.query(sql, values as unknown[])).rows as R[]
    return {
      query,
      enqueue: (message) => {
        const { bucket, messageId, topic, type, key, value, headers } = encodeMessage(message)
        return query(this.#sql.enqueue, [bucket, messageId, topic, type, key, value, headers])
      },
    }
  }

  async #connected(): Promise<pg.Client> {
    if (this.#client) return this.#client
    const client = new pg.Client({
      ...connectionConfig(this.#databaseUrl),
      application_name: 'proof-writer',
      query_timeout: answerMs,
    })
    const lost = () => {
      if (this.#client === client) this.#client = undefined
    }
    client.on('error', lost)
    client.on('end', lost)
    await client.connect()
    this.#client = client
    return client
  }

  async #rollBack(): Promise<void> {
    try {
      await this.#client?.query('ROLLBACK')
    } catch {
      this.#drop()
    }
  }

  #drop(): void {
    const { connection } = (this.#client ?? {}) as { connection?: { stream?: Socket } }
    connection?.stream?.destroy()
    this.#client = undefined
  }
}
