import { setTimeout as wait } from 'node:timers/promises'
import type { Admin } from 'kafkajs'
import { inject, vi } from 'vitest'
import { createRelay } from '../../src/embed.ts'
import { connect } from '../inbox/stage.ts'
import { createDatabase, type TestDatabase } from '../support/database.ts'
import { inboxSql } from '../support/migrations.ts'
import { createTopic, testKafka } from '../support/topics.ts'
import { type Change, type Code, consumer } from './changes.ts'
import type { Deployment } from './deployments.ts'

/** The ledger of the order service, and what the shipping service has done; `code` is the deployment that did it. */
const ledgerSql = `
CREATE TABLE placed (id serial PRIMARY KEY, customer text NOT NULL, cents int NOT NULL, code text NOT NULL);
CREATE TABLE shipped (seq bigserial PRIMARY KEY, order_id int NOT NULL, customer text NOT NULL, cents int NOT NULL, code text NOT NULL);`

/** Instances of each service. */
const slots = [0, 1] as const

/** Milliseconds between two orders of an instance: a load that consumers of a small machine can follow. */
const pauseMs = 10

/** Something of the old or the new code that runs. */
interface Instance {
  stop(): Promise<void>
}

/** The shop of a change: its servers, a relay, and two instances of each service, which are replaced one by one while orders come in. */
export class Rollout implements AsyncDisposable {
  readonly database: TestDatabase
  readonly topic: string
  readonly #admin: Admin
  readonly #relay: Instance
  readonly #running = new Map<string, Instance>()
  #placed = 0

  private constructor(database: TestDatabase, topic: string, admin: Admin, relay: Instance) {
    this.database = database
    this.topic = topic
    this.#admin = admin
    this.#relay = relay
  }

  /** The shop as it is before the change. */
  static async open({ before }: Change): Promise<Rollout> {
    const [database, topic] = await Promise.all([createDatabase(inboxSql + ledgerSql), createTopic('rollout', 4)])
    const admin = testKafka().admin()
    await admin.connect()
    const relay = createRelay({ databaseUrl: database.url, kafka: { brokers: inject('brokers').split(',') } })
    await relay.start()
    const rollout = new Rollout(database, topic, admin, relay)
    for (const slot of slots) await rollout.#replaceConsumer(slot, before(topic))
    for (const slot of slots) await rollout.#replaceProducer(slot, before(topic))
    return rollout
  }

  /** Both services of the change, instance by instance; each mixture takes care of so many orders. */
  async deploy({ after }: Change, first: Deployment, orders: number): Promise<void> {
    const code = after(this.topic)
    const producers = slots.map((slot) => () => this.#replaceProducer(slot, code))
    const consumers = slots.map((slot) => () => this.#replaceConsumer(slot, code))
    await this.#takeCareOf(orders)
    for (const replace of first === 'producers first' ? [...producers, ...consumers] : [...consumers, ...producers]) {
      await replace()
      await this.#takeCareOf(orders)
    }
  }

  /** No more orders; resolves when the consumers have nothing left to read. */
  async close(): Promise<void> {
    for (const slot of slots) await this.#running.get(`producer ${slot}`)!.stop()
    await this.#caughtUp()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#running.values()].map((instance) => instance.stop()))
    await this.#relay.stop()
    await this.#admin.disconnect()
    await this.database.drop()
  }

  /** Customers belong to a slot: the orders of each are committed one after the other, by the old code and then by the new. */
  async #replaceProducer(slot: number, code: Code): Promise<void> {
    const name = `producer ${slot}`
    await this.#running.get(name)?.stop()
    const prisma = connect(this.database.url, 2)
    const stopped = new AbortController()
    const place = async (n: number) => {
      const [customer, cents] = [`customer-${slot}-${n % 10}`, 100 + (n % 900)]
      await prisma.$transaction(async (tx) => {
        const [order] = await tx.$queryRaw<{ id: number }[]>`
          INSERT INTO placed (customer, cents, code) VALUES (${customer}, ${cents}, ${code.name}) RETURNING id`
        await code.announce(tx, { id: order!.id, customer, cents })
      })
      this.#placed++
    }
    const running = (async () => {
      for (let n = 0; !stopped.signal.aborted; n++) {
        await place(n)
        await wait(pauseMs)
      }
    })()
    // It shows where the instance is stopped.
    running.catch(() => {})
    this.#running.set(name, {
      async stop() {
        stopped.abort()
        await running.finally(() => prisma.$disconnect())
      },
    })
  }

  /** The new member has joined before the old one leaves: for a while both have partitions of the group. */
  async #replaceConsumer(slot: number, code: Code): Promise<void> {
    const name = `consumer ${slot}`
    const prisma = connect(this.database.url, 2)
    const inbox = code.ship(prisma)
    const assigned = new Promise<void>((resolve) => {
      inbox.on('partitions_assigned', () => resolve())
    })
    const config = { groupId: this.topic, heartbeatInterval: 300, maxWaitTimeInMs: 100 }
    const running = inbox.run(testKafka().consumer(inbox.consumerConfig(config)))
    await Promise.race([assigned, running])
    await this.#running.get(name)?.stop()
    this.#running.set(name, {
      async stop() {
        await inbox.stop()
        await running.finally(() => prisma.$disconnect())
      },
    })
  }

  async #takeCareOf(orders: number): Promise<void> {
    const enough = this.#placed + orders
    await vi.waitUntil(() => this.#placed >= enough, { timeout: 120_000, interval: 50 })
    await this.#caughtUp()
  }

  /** Resolves when the group has passed everything that was placed until now. */
  async #caughtUp(): Promise<void> {
    const { database, topic } = this
    const patience = { timeout: 120_000, interval: 100 }
    const [last] = await database.query<{ id: string }>('SELECT coalesce(max(id), 0) AS id FROM outbox')
    const published = async () => (await database.query('SELECT 1 FROM outbox WHERE id <= $1 LIMIT 1', [last!.id])).length === 0
    await vi.waitUntil(published, patience)
    const ends = await this.#admin.fetchTopicOffsets(topic)
    await vi.waitUntil(async () => {
      const [group] = await this.#admin.fetchOffsets({ groupId: topic, topics: [topic] })
      const at = new Map(group!.partitions.map(({ partition, offset }) => [partition, Number(offset)]))
      return ends.every(({ partition, high }) => at.get(partition)! >= Number(high))
    }, patience)
  }
}

/** What became of the orders. */
export interface Verdict {
  placed: number
  shipped: number
  /** Not in the topic, nor waiting in the outbox. */
  lost: number
  /** In the topic, passed by the group, and neither shipped nor dead-lettered. */
  skipped: number
  deadLettered: number
  /** Shipped more than once. */
  repeated: number
  /** Shipped for another sum than was asked for. */
  wrong: number
  /** Shipped before an earlier order of the same customer. */
  overtaking: number
  /** By whom orders were written and by whom they were shipped: `before, after`. */
  met: string[]
}

/** Compares the ledger with what was shipped and dead-lettered, and with the ids of the orders that the topic has. */
export async function judge({ database }: Rollout, inTopic: ReadonlySet<number>): Promise<Verdict> {
  type Row = { id: number; customer: string; cents: number; code: string }
  const placed = await database.query<Row>('SELECT id, customer, cents, code FROM placed')
  const shipped = await database.query<Row>('SELECT order_id AS id, customer, cents, code FROM shipped ORDER BY seq')
  const deadLettered = await database.query<{ id: number }>(
    `SELECT (convert_from(value, 'UTF8')::json->>'id')::int AS id FROM inbox_dead_letter WHERE consumer = '${consumer}'`,
  )
  const orders = new Map(placed.map((order) => [order.id, order]))
  const done = new Set([...shipped, ...deadLettered].map(({ id }) => id))
  const newest = new Map<string, number>()
  let overtaken = 0
  for (const { id, customer } of shipped) {
    if (id < (newest.get(customer) ?? 0)) overtaken++
    newest.set(customer, Math.max(id, newest.get(customer) ?? 0))
  }
  return {
    placed: placed.length,
    shipped: shipped.length,
    lost: placed.filter(({ id }) => !inTopic.has(id)).length,
    skipped: placed.filter(({ id }) => inTopic.has(id) && !done.has(id)).length,
    deadLettered: deadLettered.length,
    repeated: shipped.length - new Set(shipped.map(({ id }) => id)).size,
    wrong: shipped.filter(({ id, cents }) => orders.get(id)?.cents !== cents).length,
    overtaking: overtaken,
    met: [...new Set(shipped.map(({ id, code }) => `${orders.get(id)?.code}, ${code}`))].sort(),
  }
}
