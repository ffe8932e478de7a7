import { readFileSync } from 'node:fs'
import type { Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import postgres from '@prisma/orm-postgres/runtime'
import pg from 'pg'
import { runnerOf } from '../../src/prisma/prisma8.ts'
import { statement } from '../../src/prisma/statement.ts'
import { withOutbox } from '../../src/prisma8.ts'
import type { Attempt } from '../../src/proof/history.ts'
import { lockLimit } from '../../src/proof/sql-way.ts'
import type { Way, WriterTransaction } from '../../src/proof/writers.ts'
import type { Contract } from './shop/contract.d.ts'

const contractJson = JSON.parse(readFileSync(new URL('./shop/contract.json', import.meta.url), 'utf8'))

/** Holds statements up for some milliseconds, as a middleware for tracing may. */
const slow = { name: 'slow', beforeExecute: () => sleep(Math.random() * 10) }

const wrapped = (pool: pg.Pool) =>
  withOutbox(postgres<Contract>({ contractJson, pg: pool, verifyMarker: false, middleware: [slow] }))

/**
 * {@link Way} through a wrapped client of Prisma 8. A statement without an answer is awaited by nobody before the transaction is done with, and
 * not at all in one that fails: such a row must not outlive it.
 */
export class Prisma8Way implements Way {
  readonly name = 'prisma8'
  readonly #pool: pg.Pool
  readonly #db: ReturnType<typeof wrapped>
  readonly #sockets = new Set<pg.PoolClient>()

  constructor(databaseUrl: string) {
    this.#pool = new pg.Pool({
      connectionString: databaseUrl,
      max: 2,
      application_name: 'proof-writer',
      query_timeout: 15_000,
      connectionTimeoutMillis: 5_000,
    })
    this.#pool.on('error', () => {})
    this.#pool.on('connect', (client) => {
      client.on('error', () => {})
      this.#sockets.add(client)
    })
    this.#pool.on('remove', (client) => this.#sockets.delete(client))
    this.#db = wrapped(this.#pool)
  }

  async run(work: (tx: WriterTransaction) => Promise<void>): Promise<Attempt['outcome']> {
    let complete = false
    try {
      await this.#db.transaction(async (tx) => {
        const sql = runnerOf(this.#db, () => tx as never)
        await sql.$executeRaw(statement(lockLimit))
        const open: Promise<unknown>[] = []
        await work({
          async query<R>(text: string, values: readonly unknown[]): Promise<R[]> {
            const lane = statement(text.replace(/\$\d+/g, '?'), { n: 'int4' })
            if (/returning/i.test(text)) return sql.$queryRaw<R[]>(lane, ...values)
            const written = Promise.resolve(sql.$executeRaw(lane, ...values))
            written.catch(() => {})
            open.push(written)
            return []
          },
          enqueue: (message) => tx.outbox.enqueue(message),
        })
        await Promise.all(open)
        complete = true
      })
      return 'ok'
    } catch {
      if (!complete) return 'fail'
      // Behind a black hole a connection would come back to the pool as if it were sound.
      this.#drop()
      return 'info'
    }
  }

  async close(): Promise<void> {
    await this.#db.close().catch(() => {})
    // Not awaited: Prisma 8 never gives the connection of a failed BEGIN back.
    this.#pool.end().catch(() => {})
    this.#drop()
  }

  #drop(): void {
    for (const client of this.#sockets) {
      const { connection } = client as unknown as { connection?: { stream?: Socket } }
      connection?.stream?.destroy()
    }
  }
}
