import { withinLimit } from './failure.ts'
import type { ReceivedEvent } from './handlers.ts'
import type { ResolvedInbox } from './options.ts'
import { clean, type InboxRecord } from './record.ts'
import type { InboxStatements, SqlClient } from './statements.ts'

/** A record that can be read. */
export interface Readable {
  record: InboxRecord
  event: ReceivedEvent
}

/** What became of messages. */
export interface Applied {
  /** Those whose handler ran. */
  messages: number
  /** Those that went behind a parked message of their key. */
  behind: number
}

/** Milliseconds to wait for a connection of Prisma's pool: two seconds, its default, are little where handlers are slow. */
const maxWaitMs = 5_000

/** Characters of a failure that inbox_parked keeps. */
const errorLength = 2_000

/** The transactions of a consumer: row of the inbox and effects of the handler commit together, or not at all. */
export class Applier {
  readonly #options: ResolvedInbox
  readonly #statements: InboxStatements

  constructor(options: ResolvedInbox, statements: InboxStatements) {
    this.#options = options
    this.#statements = statements
  }

  /**
   * Applies messages of one partition, in their order, in one transaction; those that were applied before are passed over, and those whose
   * key is parked are put behind. `begin` is called before the first handler.
   */
  apply(messages: readonly Readable[], begin: () => void): Promise<Applied> {
    return this.transaction(async (tx) => {
      const claims = await this.#claim(tx, messages)
      const fresh: Readable[] = []
      let behind = 0
      for (const message of messages) {
        const held = claims.get(message.event.id)
        if (held === undefined) continue
        // A second copy in the same batch.
        claims.delete(message.event.id)
        if (held) {
          behind++
          await this.park(tx, message.record, null)
        } else fresh.push(message)
      }
      if (fresh.length > 0) {
        begin()
        await this.handle(
          fresh.map(({ event }) => event),
          tx,
        )
        await tx.$executeRaw(this.#statements.alive)
      }
      return { messages: fresh.length, behind }
    })
  }

  /** A transaction that ends in time, also where its callback does not. */
  transaction<R>(callback: (tx: SqlClient) => Promise<R>): Promise<R> {
    const { prisma, handlerTimeoutMs: timeout } = this.#options
    return withinLimit(prisma.$transaction(callback, { timeout, maxWait: maxWaitMs }), timeout + maxWaitMs)
  }

  /** Calls the handlers; in batches each gets the events of its type that stand together, so that the order is kept. */
  async handle(events: readonly ReceivedEvent[], tx: SqlClient): Promise<void> {
    const { handlers, batch } = this.#options
    for (let i = 0; i < events.length; ) {
      const { type } = events[i]!
      if (batch === undefined) {
        await handlers[type]!(events[i]!, tx)
        i++
        continue
      }
      const end = events.findIndex((event, at) => at > i && event.type !== type)
      const together = events.slice(i, end < 0 ? undefined : end)
      await handlers[type]!(together, tx)
      i += together.length
    }
  }

  /** Puts a record aside, in a transaction of its own; false where a copy of it was applied or parked before. */
  parkAlone(record: InboxRecord, why: { reason: string; error: string; attempts: number }): Promise<boolean> {
    return this.transaction(async (tx) => {
      const { consumer } = this.#options
      if (record.id !== null && (await tx.$executeRaw(this.#statements.claim, consumer, record.id)) === 0) return false
      return this.park(tx, record, why)
    })
  }

  /** Puts a record aside; without a reason behind another of its key. False where it is parked already. */
  async park(
    tx: SqlClient,
    record: InboxRecord,
    why: { reason: string; error: string; attempts: number } | null,
  ): Promise<boolean> {
    const { topic, partition, offset, id, type, key, value, headers } = record
    const error = why === null ? null : clean(why.error).slice(0, errorLength)
    const place = [this.#options.consumer, topic, partition, offset]
    const content = [id, type, key, value, JSON.stringify(headers)]
    return (
      (await tx.$executeRaw(this.#statements.park, ...place, ...content, why?.reason ?? null, error, why?.attempts ?? 0)) === 1
    )
  }

  /** Ids that are claimed now, each with whether its key is parked. */
  async #claim(tx: SqlClient, messages: readonly Readable[]): Promise<Map<string, boolean>> {
    const { consumer } = this.#options
    const { topic, key } = messages[0]!.record
    const ids = messages.map(({ event }) => event.id)
    if (ids.length === 1) {
      type Rows = { held: true | null }[]
      const rows = await tx.$queryRaw<Rows>(this.#statements.claimOne, consumer, ids[0], consumer, topic, key)
      return new Map(rows.map(({ held }) => [ids[0]!, held === true]))
    }
    // Prisma takes the type of an array from its first item, and would mangle bytea[].
    const keys = messages.map(({ record }) => (record.key === null ? null : Buffer.from(record.key).toString('base64')))
    type Rows = { id: string; held: boolean }[]
    const rows = await tx.$queryRaw<Rows>(this.#statements.claimMany, ids, keys, consumer, consumer, topic)
    return new Map(rows.map(({ id, held }) => [id, held]))
  }
}
