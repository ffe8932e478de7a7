import { setImmediate } from 'node:timers/promises'
import { transactionOf } from '../enqueue/scope.ts'
import { seesLaterCommits } from '../prisma/transaction-id.ts'
import type { SqlClient } from './statements.ts'
import { inTransactionFor, type PrismaLike } from './transaction.ts'
import type { Chunk, Window } from './window.ts'

/** What is done in a transaction. */
type Work<R> = (tx: SqlClient) => Promise<R>

/** A transaction that has begun cannot be used: what it sees is older than the commit that was waited for. */
class OldSnapshot extends Error {
  override readonly name = 'OldSnapshot'
}

/** A transaction that has begun, and waits for its work. */
interface Begun {
  since: number
  give<R>(work: Work<R>): Promise<R>
}

/** What is made ready ahead, and with what. */
export interface AheadPorts {
  window: Window
  prisma: PrismaLike
  /** Milliseconds that a transaction has. */
  timeoutMs: number
  now: () => number
}

/**
 * Makes the next chunk of a batch ready, and begins its transaction, while the one before commits: the database writes to its disk then,
 * and this process would wait for it. That pays for the statement that the inbox adds.
 *
 * Nothing of what is promised changes: the next handler is called after that commit. A transaction that has only begun has no snapshot
 * and no lock; it is asked for its id, which the claim needs, and used only if its next statement sees that commit (READ COMMITTED). Until
 * the commit is over it takes a connection of the pool beside it; if none is free it waits for that one.
 */
export class Ahead {
  readonly #ports: AheadPorts
  #chunk: Promise<Chunk> | undefined
  #begun: Begun | undefined
  /** Transactions keep the snapshot of their first statement: none is begun ahead any more. */
  #keepsSnapshots = false

  constructor(ports: AheadPorts) {
    this.#ports = ports
  }

  /** Makes ready what begins at that record. Call it when the transaction before has nothing left to do but to commit. */
  prepare(from: number): void {
    this.#chunk = this.#prepare(from)
    this.#chunk.catch(() => {})
  }

  /** The chunk that begins at that record: the one that was made ready, if there is one. */
  next(from: number): Promise<Chunk> {
    const chunk = this.#chunk ?? this.#ports.window.next(from)
    this.#chunk = undefined
    return chunk
  }

  /** Does work in the transaction that has begun, if there is one, else in another. */
  async transaction<R>(work: Work<R>): Promise<R> {
    const { timeoutMs, prisma, now } = this.#ports
    const begun = this.#begun
    // Its time runs already: after a commit that took long too little might be left.
    if (begun && now() - begun.since > timeoutMs / 100) await this.drop()
    else if (begun) {
      this.#begun = undefined
      try {
        return await begun.give(work)
      } catch (error) {
        if (!(error instanceof OldSnapshot)) throw error
        this.#keepsSnapshots = true
      }
    }
    return inTransactionFor(prisma, timeoutMs, work)
  }

  /** Forgets what was made ready, and ends the transaction that has begun. Never rejects. */
  async drop(): Promise<void> {
    await this.#chunk?.catch(() => {})
    this.#chunk = undefined
    await this.#begun?.give(() => Promise.reject(new Error('Not needed.'))).catch(() => {})
    this.#begun = undefined
  }

  async #prepare(from: number): Promise<Chunk> {
    // The COMMIT is sent first.
    await setImmediate()
    const chunk = await this.#ports.window.next(from)
    // What comes in between may need the connection, where the pool has but one.
    if (chunk.do === 'apply' && chunk.pending.length > 0 && !this.#keepsSnapshots) this.#begin()
    return chunk
  }

  #begin(): void {
    const { prisma, timeoutMs, now } = this.#ports
    let give = (_: Work<unknown>) => {}
    const given = new Promise<Work<unknown>>((resolve) => {
      give = resolve
    })
    const ended = inTransactionFor(prisma, timeoutMs, async (tx) => {
      const fresh = seesLaterCommits(tx, transactionOf(tx))
      // Awaited when there is work.
      fresh.catch(() => {})
      const work = await given
      if (!(await fresh)) throw new OldSnapshot()
      return work(tx)
    })
    ended.catch(() => {})
    this.#begun = {
      since: now(),
      give(work) {
        give(work)
        return ended as Promise<never>
      },
    }
  }
}
