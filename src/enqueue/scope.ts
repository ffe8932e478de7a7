import { AsyncLocalStorage } from 'node:async_hooks'
import type { Catalog } from '../events/catalog.ts'
import { OutboxError } from '../message/errors.ts'
import { oneForAll } from '../message/one-copy.ts'
import { inTransaction, transactionId } from '../prisma/client-internals.ts'
import type { OutboxTable } from './insert.ts'

/** What belongs to a client and is the same for all its transactions. */
export interface Home {
  table: OutboxTable
  maxBytes: number
  /** Whose events may be enqueued; undefined: any message. */
  events: Catalog | undefined
  /** Identity of the client, whatever it was extended with. */
  owner: unknown
}

// A transaction may be begun by one copy of the package and enqueued in by another. They use each other's scopes by public members alone.
const current = oneForAll('current-scope', () => new AsyncLocalStorage<Scope>())
const open = oneForAll('open-scopes', () => new Map<unknown, Scope>())

/** The scope in whose callback the present code runs. It may be over: code can outlive the callback. */
export const currentScope = (): Scope | undefined => current.getStore()

/**
 * The scope of a transaction or savepoint by Prisma's id of it: exact, whatever code calls. Asynchronous context is not: a loader or an emitter
 * runs callbacks in a context of its own. It is the second choice, for a Prisma that has no such id.
 */
export function scopeOf(id: unknown): Scope | undefined {
  const here = current.getStore()
  return id === undefined || here?.id === id ? here : open.get(id)
}

/** What stands for the database's transaction in which the client is, the same in its savepoints where they are known; undefined: none. */
export const transactionOf = (client: object): object | undefined =>
  inTransaction(client) ? (scopeOf(transactionId(client))?.root ?? client) : undefined

/**
 * A transaction or savepoint as the outbox sees it: the chain of its INSERTs, and whether it may commit. Enqueues run one after another,
 * so ids follow the order of the calls; the scope waits for all of them before it ends; one that fails dooms it.
 * Keeps rules 17 and 18 of docs/protocol-application.md.
 */
export class Scope {
  readonly home: Home
  readonly id: unknown
  /** Whether something was enqueued in this scope, or in one inside it that committed. */
  wrote = false
  readonly #parent: Scope | undefined
  #tail: Promise<void> = Promise.resolve()
  #queued = 0
  /** Nested transactions that were asked for and are not over. */
  #nested = 0
  #state: 'open' | 'done' | 'failed' = 'open'
  #failure: { cause: unknown } | undefined
  readonly #quiet: (() => Promise<void>) | undefined

  /** @param quiet Resolves when no other statement of the transaction runs; undefined: Prisma itself waits for them, or refuses them. */
  constructor(home: Home, id?: unknown, parent?: Scope, quiet?: () => Promise<void>) {
    this.home = home
    this.id = id
    this.#parent = parent
    this.#quiet = quiet
  }

  /** The scope of the outermost transaction: savepoints share its id in the database. */
  get root(): Scope {
    return this.#parent?.root ?? this
  }

  get isOpen(): boolean {
    return this.#state === 'open'
  }

  /** Throws if nothing may be enqueued here: OUTSIDE_TRANSACTION, OUTER_CLIENT or TRANSACTION_DOOMED. */
  check(): void {
    if (!this.isOpen) throw over()
    // The INSERT would land inside the savepoint, and vanish with it while this transaction commits.
    if (this.#nested > 0) {
      throw new OutboxError('OUTER_CLIENT', 'enqueue was called on a transaction while one nested in it is open.', {
        remedy: 'Use the client that the nested callback receives, or enqueue after the nested transaction.',
      })
    }
    if (this.#failure) throw doomed(this.#failure.cause)
  }

  /** Puts the work at the end of the chain, starts it as soon as its turn comes, awaited or not, and gives its outcome. */
  append<T>(work: () => Promise<T>): Promise<T> {
    this.#queued++
    const link = this.#tail.then(() => {
      if (this.#failure) throw doomed(this.#failure.cause)
      return work()
    })
    this.#tail = link.then(
      () => {
        this.#queued--
        this.wrote = true
      },
      (error) => {
        this.#queued--
        this.doom(error)
      },
    )
    return link
  }

  /** The scope may not commit any more. A refusal that comes after a savepoint was released falls to the transaction around it. */
  doom(cause: unknown): void {
    if (this.#state === 'open') this.#failure ??= { cause }
    else if (this.#state === 'done') this.#parent?.doom(cause)
  }

  /** Runs a transaction's callback in this scope. Whatever happens, nothing of the scope is in flight when it returns. */
  async run<T>(callback: () => PromiseLike<T>): Promise<T> {
    open.set(this.id, this)
    try {
      const result = await current.run(this, async () => callback())
      await this.#settled()
      if (this.#failure) throw doomed(this.#failure.cause)
      this.#state = 'done'
      if (this.wrote && this.#parent) this.#parent.wrote = true
      return result
    } catch (error) {
      // Nothing may come late: sent after ROLLBACK TO SAVEPOINT it would stand in the transaction around it.
      this.#state = 'failed'
      await this.#settled()
      throw error
    } finally {
      open.delete(this.id)
    }
  }

  /** Starts a nested transaction: its savepoint must come after the INSERTs that were called before it. */
  async nest<T>(start: () => PromiseLike<T>): Promise<T> {
    this.#nested++
    try {
      if (this.#queued > 0) await this.#settled()
      if (this.#failure) throw doomed(this.#failure.cause)
      return await start()
    } finally {
      this.#nested--
    }
  }

  /** Resolves when the chain is empty, also of what was appended meanwhile, and the transaction is quiet: a statement may enqueue when it ends. */
  async #settled(): Promise<void> {
    for (let tail: Promise<void> | undefined; tail !== this.#tail; ) {
      tail = this.#tail
      await tail
      await this.#quiet?.()
    }
  }
}

const over = () =>
  new OutboxError('OUTSIDE_TRANSACTION', 'enqueue was called when its transaction was over already.', {
    remedy: 'Await everything that enqueues before the callback of the transaction returns.',
  })

const doomed = (cause: unknown) =>
  new OutboxError('TRANSACTION_DOOMED', 'An enqueue of this transaction failed, so the transaction cannot commit.', {
    remedy: 'See the cause. If the message may be lost, enqueue it in a nested transaction of its own.',
    cause,
  })
