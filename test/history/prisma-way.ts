import type { Socket } from 'node:net'
import { PrismaPg } from '@prisma/adapter-pg'
import pg from 'pg'
import { outbox } from '../../src/index.ts'
import type { Attempt } from '../../src/proof/history.ts'
import { lockLimit } from '../../src/proof/sql-way.ts'
import type { Way, WriterTransaction } from '../../src/proof/writers.ts'
import { PrismaClient } from '../enqueue/generated/client/client.ts'

/** Milliseconds that a transaction may take: longer than the latest of the late commits. */
const transactionMs = 60_000

const extended = (adapter: PrismaPg) =>
  new PrismaClient({ adapter, transactionOptions: { timeout: transactionMs, maxWait: transactionMs } }).$extends(outbox())

/** {@link Way} through the extension, as an application uses it. */
export class PrismaWay implements Way {
  readonly name = 'prisma'
  readonly #prisma: ReturnType<typeof extended>
  readonly #sockets = new Set<pg.PoolClient>()

  constructor(databaseUrl: string) {
    const pool = new pg.Pool({
      connectionString: databaseUrl,
      max: 2,
      application_name: 'proof-writer',
      query_timeout: 15_000,
      connectionTimeoutMillis: 5_000,
    })
    pool.on('error', () => {})
    // Prisma's adapter listens for errors only while a transaction has the connection.
    pool.on('connect', (client) => {
      client.on('error', () => {})
      this.#sockets.add(client)
    })
    pool.on('remove', (client) => this.#sockets.delete(client))
    this.#prisma = extended(new PrismaPg(pool, { disposeExternalPool: true }))
  }

  async run(work: (tx: WriterTransaction) => Promise<void>): Promise<Attempt['outcome']> {
    let complete = false
    try {
      await this.#prisma.$transaction(async (tx) => {
        await tx.$executeRawUnsafe(lockLimit)
        await work({
          query: <R>(sql: string, values: readonly unknown[]) =>
            (/returning|^select/i.test(sql)
              ? tx.$queryRawUnsafe(sql, ...values)
              : tx.$executeRawUnsafe(sql, ...values).then(() => [])) as Promise<R[]>,
          enqueue: (message) => tx.outbox.enqueue(message),
        })
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
    await this.#prisma.$disconnect().catch(() => {})
  }

  #drop(): void {
    for (const client of this.#sockets) {
      const { connection } = client as unknown as { connection?: { stream?: Socket } }
      connection?.stream?.destroy()
    }
  }
}
