import type { PrismaPg } from '@prisma/adapter-pg'
import { afterAll, afterEach, beforeAll, beforeEach } from 'vitest'
import type { Message, OutboxOptions } from '../../../src/index.ts'
import { isOutboxError } from '../../../src/message/errors.ts'
import { createDatabase, type TestDatabase } from '../../support/database.ts'
import { type Feature, has } from '../../support/prisma-majors.ts'
import { shopSql } from '../clients.ts'
import type { Boxed, Client, Clients, Version } from '../versions.ts'

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

/** The database of a shop, the clients of one version of Prisma, and what tests ask of them. Hooks make and clear it. */
export class Shop {
  readonly #version: Version
  #clients!: Clients
  /** There from the first test on, as the clients are. */
  db!: TestDatabase
  /** Without the extension. */
  base!: Client
  /** With it. */
  prisma!: Boxed
  /** What clients have sent since the test began. */
  readonly statements: string[] = []

  constructor(version: Version) {
    this.#version = version
    beforeAll(() => this.#open())
    beforeEach(() => void this.statements.splice(0))
    afterEach(() => this.db.query('TRUNCATE "outbox", "orders" RESTART IDENTITY'))
    afterAll(() => this.#close())
  }

  /** Another client, without the extension; the caller disconnects it. */
  readonly connect = (url = this.db.url, options: ConnectOptions = {}): Client =>
    this.#clients.connect(url, options, (sql) => void this.statements.push(sql))

  /** A client with the outbox, without wake-ups unless the options say otherwise. */
  readonly boxed = (options: OutboxOptions = {}, client = this.base): Boxed =>
    this.#clients.boxed(client, { wake: false, ...options })

  /** The functions of this version. */
  readonly enqueue: Clients['enqueue'] = (...given) => this.#clients.enqueue(...given)
  readonly enqueueMany: Clients['enqueueMany'] = (...given) => this.#clients.enqueueMany(...given)
  readonly rendered: Clients['rendered'] = (...given) => this.#clients.rendered(...given)

  /** Whether this version of Prisma has the feature: the tests of those that it lacks are left out, and behaviour.ts says so. */
  readonly has = (feature: Feature): boolean => has(this.#version.major, feature)

  /** Topics of the messages that wait, in their order. */
  readonly topics = async (table = '"outbox"'): Promise<string[]> =>
    (await this.db.query<{ topic: string }>(`SELECT topic FROM ${table} ORDER BY id`)).map((row) => row.topic)

  /** Customers of the orders, in their order. */
  readonly customers = async (): Promise<string[]> =>
    (await this.db.query<{ customer: string }>('SELECT customer FROM orders ORDER BY id')).map((row) => row.customer)

  async #open(): Promise<void> {
    this.#clients = await this.#version.load()
    this.db = await createDatabase(shopSql)
    this.base = this.connect()
    this.prisma = this.boxed()
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
