import { sqlState } from '../enqueue/insert.ts'
import { continueTrace } from '../message/trace.ts'
import { within } from '../running/within.ts'
import { handlerTimeout } from './failure.ts'
import type { ReceivedEvent } from './handlers.ts'
import type { ResolvedInbox } from './options.ts'
import { clean, type InboxRecord } from './record.ts'
import type { InboxStatements, SqlClient } from './statements.ts'
import { inTransactionFor } from './transaction.ts'

/** A record to take care of: with its event, or, without, to be put behind a parked one of its key. */
export interface Pending {
  record: InboxRecord & { id: string }
  event: ReceivedEvent | undefined
}

/** What is known of a message before it is handled. */
export interface Outlook {
  /** It was applied or parked before. */
  known: boolean
  /** A message of its key is parked. */
  held: boolean
}

/** The course of a transaction that takes care of messages. */
export interface Course {
  /** Runs it. */
  transaction(work: (tx: SqlClient) => Promise<void>): Promise<void>
  /** The first handler is about to be called. */
  handles(): void
  /** All is written; the commit is what is left. */
  commits(): void
}

/** Characters of a failure that inbox_parked keeps. */
const errorLength = 2_000

/** What was known of a message is no longer so: nothing was done. Look again. */
export class Stale extends Error {
  override readonly name = 'Stale'
}

/** The transactions of a consumer: row of the inbox and effects of the handler commit together, or not at all. */
export class Applier {
  readonly #options: ResolvedInbox
  readonly #statements: InboxStatements

  constructor(options: ResolvedInbox, statements: InboxStatements) {
    this.#options = options
    this.#statements = statements
  }

  /** What is known of messages of one topic, one answer for each. */
  async look(records: readonly (InboxRecord & { id: string })[]): Promise<Outlook[]> {
    if (records.length === 0) return []
    const { prisma, consumer, handlerTimeoutMs } = this.#options
    const { topic } = records[0]!
    const asked = prisma.$queryRaw<Outlook[]>(this.#statements.look, consumer, topic, ...idsAndKeys(records))
    return within(asked, handlerTimeoutMs, handlerTimeout)
  }

  /**
   * Takes care of messages of one partition, in their order, in one transaction. Throws Stale.
   *
   * The claim comes after the handlers: as the last statement it also fails where an earlier one did and the handler caught its error.
   * PostgreSQL then turns the COMMIT into a ROLLBACK, and Prisma tells nobody. A statement more would cost more than the whole inbox.
   */
  apply(pending: readonly Pending[], { transaction, handles, commits }: Course): Promise<void> {
    return transaction(async (tx) => {
      const fresh = pending.filter(({ event }) => event !== undefined)
      if (fresh.length > 0) {
        handles()
        const events = fresh.map(({ event }) => event!)
        await this.handle(events, tx)
        await this.#claim(tx, fresh)
      }
      for (const { record, event } of pending) if (event === undefined) await this.#putBehind(tx, record)
      commits()
    })
  }

  /** A transaction with the time that a handler has. */
  transaction<R>(callback: (tx: SqlClient) => Promise<R>): Promise<R> {
    const { prisma, handlerTimeoutMs } = this.#options
    return inTransactionFor(prisma, handlerTimeoutMs, callback)
  }

  /**
   * Calls the handlers, each in the trace that enqueued its event; in batches each gets the events of its type that stand together, so that
   * the order is kept.
   */
  async handle(events: readonly ReceivedEvent[], tx: SqlClient): Promise<void> {
    const { handlers, batch } = this.#options
    for (let i = 0; i < events.length; ) {
      const { type } = events[i]!
      if (batch === undefined) {
        const event = events[i]!
        // Of several events at once there is no one trace to go on with.
        await continueTrace(event.headers, () => handlers[type]!(event, tx))
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
  park(record: InboxRecord, why: { reason: string; error: string; attempts: number }): Promise<boolean> {
    return this.transaction(async (tx) => {
      const { consumer } = this.#options
      if (record.id !== null && (await tx.$executeRaw(this.#statements.claim, consumer, record.id)) === 0) return false
      return this.#put(tx, record, why)
    })
  }

  async #putBehind(tx: SqlClient, record: InboxRecord & { id: string }): Promise<void> {
    const { consumer } = this.#options
    const { id, topic, key } = record
    if ((await tx.$executeRaw(this.#statements.claimBehind, consumer, topic, key, consumer, id)) !== 1) throw new Stale()
    await this.#put(tx, record, null)
  }

  /** False where it is parked already. */
  async #put(
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

  /** Throws Stale where not all are claimed now. */
  async #claim(tx: SqlClient, fresh: readonly Pending[]): Promise<void> {
    const { consumer } = this.#options
    const ids = fresh.map(({ record }) => record.id)
    if (ids.length > 1) {
      if ((await tx.$executeRaw(this.#statements.claimAll, consumer, ids)) !== ids.length) throw new Stale()
      return
    }
    try {
      await tx.$executeRaw(this.#statements.claimLast, consumer, ids[0])
    } catch (error) {
      throw sqlState(error) === uniqueViolation ? new Stale() : error
    }
  }
}

const uniqueViolation = '23505'

/** Two lists for unnest. Prisma takes the type of an array from its first item, and would mangle bytea[]. */
const idsAndKeys = (records: readonly InboxRecord[]): [ids: (string | null)[], keys: (string | null)[]] => [
  records.map(({ id }) => id),
  records.map(({ key }) => (key === null ? null : Buffer.from(key).toString('base64'))),
]
