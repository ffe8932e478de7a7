import { readFileSync } from 'node:fs'
import postgres from '@prisma/orm-postgres/runtime'
import pg from 'pg'
import { afterAll, afterEach, beforeAll } from 'vitest'
import type { Message } from '../../src/index.ts'
import { shopSql } from '../enqueue/clients.ts'
import { createDatabase, type TestDatabase } from '../support/database.ts'
import type { Contract } from './shop/contract.d.ts'

const contractJson = JSON.parse(readFileSync(new URL('./shop/contract.json', import.meta.url), 'utf8'))

export type Middleware = NonNullable<NonNullable<Parameters<typeof postgres>[0]>['middleware']>[number]

/** How a client is connected. */
export interface ConnectOptions {
  /** Connections of its pool. */
  connections?: number
  /** Milliseconds to wait for one. @default without end */
  connectMs?: number
  middleware?: Middleware[]
  /** Called with the text of a statement when it is sent. */
  onQuery?: (sql: string) => void
}

/** A message whose topic is all that a test looks at. */
export const message = (topic: string): Message => ({ topic, key: 'k', payload: { topic } })

/** The database of a shop, and clients of Prisma 8. Hooks make and clear it. */
export class Shop8 {
  db!: TestDatabase
  readonly #open: { close(): Promise<unknown> }[] = []

  constructor() {
    beforeAll(async () => {
      this.db = await createDatabase(shopSql)
    })
    afterEach(async () => {
      for (const client of this.#open.splice(0)) await client.close()
      await this.db.query('TRUNCATE "outbox", "orders" RESTART IDENTITY')
    })
    afterAll(() => this.db?.drop())
  }

  /** A client without the outbox, closed after the test. */
  connect(options: ConnectOptions = {}) {
    const { db, end } = connect8(this.db.url, options)
    this.#open.push({ close: end })
    return db
  }

  /** Topics of the messages that wait, in their order. */
  readonly topics = async (): Promise<string[]> =>
    (await this.db.query<{ topic: string }>('SELECT topic FROM outbox ORDER BY id')).map((row) => row.topic)

  /** Customers of the orders, in their order. */
  readonly customers = async (): Promise<string[]> =>
    (await this.db.query<{ customer: string }>('SELECT customer FROM orders ORDER BY id')).map((row) => row.customer)
}

/** A client of Prisma 8 on a pool of its own, and what ends both. */
export function connect8(url: string, { connections = 10, connectMs = 0, middleware = [], onQuery }: ConnectOptions = {}) {
  const pool = new pg.Pool({ connectionString: url, max: connections, connectionTimeoutMillis: connectMs })
  if (onQuery) pool.on('connect', (client) => spy(client, onQuery))
  const db = postgres<Contract>({ contractJson, pg: pool, verifyMarker: false, middleware })
  return { db, end: () => db.close().then(() => pool.end()) }
}

function spy(client: pg.PoolClient, onQuery: (sql: string) => void): void {
  const query = client.query as (...args: unknown[]) => unknown
  Object.assign(client, {
    query(this: unknown, ...args: [string | { text?: string }, ...unknown[]]) {
      const [first] = args
      onQuery(typeof first === 'string' ? first : (first.text ?? ''))
      return query.apply(this, args)
    },
  })
}

/** The transaction of a client as its callback gets it. */
export type Tx = Parameters<Parameters<ReturnType<Shop8['connect']>['transaction']>[0]>[0]

/** An order of that customer. */
export const order = (tx: Tx, customer: string): PromiseLike<unknown> => tx.orm.public.Order.create({ customer })
