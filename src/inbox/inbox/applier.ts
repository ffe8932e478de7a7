import { continueTrace } from '../../message/trace.ts'
import { sqlState } from '../../prisma/statement.ts'
import { within } from '../../running/within.ts'
import { blameOf, Conflict, handlerTimeout, lost } from '../failure.ts'
import type { ReceivedEvent } from '../handlers.ts'
import { clean, type NewRecord } from '../record.ts'
import type { InboxStatements, SqlClient } from '../statements.ts'
import { answersIn, idOf, inTransactionFor, over, ownStatements, writeIn } from '../transaction.ts'
import type { ResolvedInbox } from './options.ts'

// Keeps rules 24 and 25 of docs/protocol-application.md.

/** A record to take care of: with its event, or, without, to be put behind a dead-lettered one of its key. */
export interface Pending {
  record: NewRecord
  event: ReceivedEvent | undefined
}

/** The inbox's knowledge of a message before it is handled. */
export interface Seen {
  /** It was applied or dead-lettered before. */
  known: boolean
  /** A message of its key is dead-lettered. */
  blocked: boolean
}

/** Characters of a failure that inbox_dead_letter keeps. */
const errorLength = 2_000

/** The transactions of a consumer: row of the inbox and effects of the handler commit together, or not at all. */
export class Applier {
  readonly #options: ResolvedInbox
  readonly #statements: InboxStatements

  constructor(options: ResolvedInbox, statements: InboxStatements) {
    this.#options = options
    this.#statements = statements
  }

  /** Asks the inbox about messages of one topic; one answer for each. */
  async query(records: readonly NewRecord[]): Promise<Seen[]> {
    if (records.length === 0) return []
    const { prisma, consumer, handlerTimeoutMs } = this.#options
    const { topic } = records[0]!
    const asked = prisma.$queryRaw<Seen[]>(this.#statements.seen, consumer, topic, ...identitiesAndKeys(records))
    return within(asked, handlerTimeoutMs, handlerTimeout)
  }

  /** Whether the database answers on another connection than that of a transaction that has failed. Never rejects. */
  async answers(): Promise<boolean> {
    const { prisma, handlerTimeoutMs } = this.#options
    try {
      await within(prisma.$queryRaw(this.#statements.ready), handlerTimeoutMs, handlerTimeout)
      return true
    } catch {
      return false
    }
  }

  /**
   * Takes care of messages of one partition, in their order, in one transaction; `handling` is called before the first handler. Throws Conflict,
   * and TRANSACTION_OVER.
   *
   * The claim comes after the handlers: as the last statement it also fails if an earlier one did and the handler caught its error.
   * PostgreSQL then turns the COMMIT into a ROLLBACK, and Prisma tells nobody. A statement more would cost more than the whole inbox.
   */
  apply(pending: readonly Pending[], handling: () => void): Promise<void> {
    return this.transaction(async (tx) => {
      const fresh = pending.filter(({ event }) => event !== undefined)
      if (fresh.length > 0) {
        handling()
        // The claim needs it; asked now, the question is under way while the handler begins.
        idOf(tx).catch(() => {})
        const events = fresh.map(({ event }) => event!)
        await this.handle(events, tx)
      }
      await ownStatements(async () => {
        if (fresh.length > 0) await this.#claim(tx, fresh)
        for (const { record, event } of pending) if (event === undefined) await this.#block(tx, record)
      })
    })
  }

  /** A transaction with the time that a handler has. */
  transaction<R>(callback: (tx: SqlClient) => Promise<R>): Promise<R> {
    const { prisma, handlerTimeoutMs } = this.#options
    return inTransactionFor(prisma, handlerTimeoutMs, callback)
  }

  /**
   * Calls the handlers, each in the trace that enqueued its event; in batches each gets the events of its type that stand together, so that
   * the order is kept. If an error does not tell whether it is the handler's or the connection's, the connection is asked.
   */
  async handle(events: readonly ReceivedEvent[], tx: SqlClient): Promise<void> {
    try {
      await this.#call(events, tx)
    } catch (error) {
      throw blameOf(error) === 'unknown' && !(await answersIn(tx)) ? lost(error) : error
    }
  }

  async #call(events: readonly ReceivedEvent[], tx: SqlClient): Promise<void> {
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

  /** Puts a record aside, in a transaction of its own; false if a copy of it was applied or dead-lettered before. */
  deadLetter(record: NewRecord, why: { reason: string; error: string; attempts: number }): Promise<boolean> {
    return this.transaction(async (tx) => {
      if ((await writeIn(tx, this.#statements.claim, this.#options.consumer, record.identity)) === 0) return false
      return this.#put(tx, record, why)
    })
  }

  /** Throws Conflict if nothing of its key is dead-lettered any more, or it is a copy. */
  async #block(tx: SqlClient, record: NewRecord): Promise<void> {
    const { consumer } = this.#options
    const { identity, topic, key } = record
    if ((await writeIn(tx, this.#statements.claimBlocked, consumer, topic, key, consumer, identity)) !== 1) throw new Conflict()
    await this.#put(tx, record, null)
  }

  /** False if it is dead-lettered already: somebody has deleted its row in the inbox by hand. */
  async #put(
    tx: SqlClient,
    record: NewRecord,
    why: { reason: string; error: string; attempts: number } | null,
  ): Promise<boolean> {
    const { identity, topic, partition, offset, id, type, key, value, headers } = record
    const error = why === null ? null : clean(why.error).slice(0, errorLength)
    const origin = [this.#options.consumer, identity, topic, partition, offset]
    const content = [id, type, key, value, JSON.stringify(headers)]
    return (
      (await writeIn(tx, this.#statements.deadLetter, ...origin, ...content, why?.reason ?? null, error, why?.attempts ?? 0)) ===
      1
    )
  }

  /** Throws Conflict if not all are claimed now. */
  async #claim(tx: SqlClient, fresh: readonly Pending[]): Promise<void> {
    const { consumer } = this.#options
    const ids = fresh.map(({ record }) => record.identity)
    if (ids.length > 1) {
      if ((await writeIn(tx, this.#statements.claimAll, consumer, ids)) !== ids.length) throw new Conflict()
      return
    }
    try {
      // It has no ON CONFLICT: without a row the transaction was over.
      if ((await tx.$executeRaw(this.#statements.claimLast, consumer, ids[0], await idOf(tx))) !== 1) throw over()
    } catch (error) {
      throw sqlState(error) === uniqueViolation ? new Conflict() : error
    }
  }
}

const uniqueViolation = '23505'

/** Two lists for unnest. Prisma takes the type of an array from its first item, and would mangle bytea[]. */
const identitiesAndKeys = (records: readonly NewRecord[]): [identities: string[], keys: (string | null)[]] => [
  records.map(({ identity }) => identity),
  records.map(({ key }) => (key === null ? null : Buffer.from(key).toString('base64'))),
]
