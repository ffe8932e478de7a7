import type { PrismaPg } from '@prisma/adapter-pg'
import { afterAll, afterEach, beforeAll, beforeEach } from 'vitest'
import { type Message, outbox } from '../../../src/index.ts'
import { isOutboxError } from '../../../src/message/errors.ts'
import { createDatabase, type TestDatabase } from '../../support/database.ts'
import { type PrismaVersion, shopSql } from '../clients.ts'

/** A message whose topic is all that a test looks at. */
export const message = (topic: string): Message => ({ topic, key: 'k', payload: { topic } })

/** One that the database refuses. */
export const poison = message('poison')

/** How a client is connected. */
export interface ConnectOptions {
  schema?: string
  /** Connections of its pool. */
  connections?: number
  /** Stands between Prisma and its driver adapter. */
  adapt?: (adapter: PrismaPg) => PrismaPg
}

/** A client that tells `onQuery` each statement that it has sent. */
function connected(
  { PrismaClient, PrismaPg }: PrismaVersion,
  url: string,
  { schema, connections = 10, adapt = (adapter) => adapter }: ConnectOptions,
  onQuery: (sql: string) => void,
) {
  const adapter = new PrismaPg({ connectionString: url, max: connections }, schema === undefined ? undefined : { schema })
  const client = new PrismaClient({ adapter: adapt(adapter), log: [{ emit: 'event', level: 'query' }] })
  client.$on('query', ({ query }) => onQuery(query))
  return client
}

type Client = ReturnType<typeof connected>

const extended = (client: Client) => client.$extends(outbox({ wake: false }))

/** The database of a shop, the clients of one version of Prisma, and what tests ask of them. Hooks make and clear it. */
export class Shop {
  readonly #load: () => Promise<PrismaVersion>
  #version!: PrismaVersion
  /** There from the first test on, as the clients are. */
  db!: TestDatabase
  /** Without the extension. */
  base!: Client
  /** With it. */
  prisma!: ReturnType<typeof extended>
  /** What clients have sent since the test began. */
  readonly statements: string[] = []

  constructor(load: () => Promise<PrismaVersion>) {
    this.#load = load
    beforeAll(() => this.#open())
    beforeEach(() => void this.statements.splice(0))
    afterEach(() => this.db.query('TRUNCATE "outbox", "orders" RESTART IDENTITY'))
    afterAll(() => this.#close())
  }

  /** Another client, without the extension; the caller disconnects it. */
  readonly connect = (url = this.db.url, options: ConnectOptions = {}): Client =>
    connected(this.#version, url, options, (sql) => void this.statements.push(sql))

  /** Topics of the messages that wait, in their order. */
  readonly topics = async (table = '"outbox"'): Promise<string[]> =>
    (await this.db.query<{ topic: string }>(`SELECT topic FROM ${table} ORDER BY id`)).map((row) => row.topic)

  /** Customers of the orders, in their order. */
  readonly customers = async (): Promise<string[]> =>
    (await this.db.query<{ customer: string }>('SELECT customer FROM orders ORDER BY id')).map((row) => row.customer)

  async #open(): Promise<void> {
    this.#version = await this.#load()
    this.db = await createDatabase(shopSql)
    this.base = this.connect()
    this.prisma = extended(this.base)
  }

  async #close(): Promise<void> {
    await this.base.$disconnect()
    await this.db.drop()
  }
}

/** Code and cause of the error that a promise rejects with; one that is not ours is thrown. */
export async function rejection(promise: Promise<unknown>): Promise<{ code: string; cause: unknown }> {
  const error = await promise.then(
    () => Promise.reject(new Error('It did not reject.')),
    (error: unknown) => error,
  )
  if (!isOutboxError(error)) throw error
  return { code: error.code, cause: error.cause }
}
