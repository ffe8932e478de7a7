import { types } from 'node:util'
import { OutboxError } from '../message/errors.ts'
import { unknownClient } from './prisma8.ts'

type Method = (...args: unknown[]) => unknown
type Rows = AsyncIterable<unknown>

/**
 * The statements of a Prisma 8 transaction that are not over. Prisma 8 sends COMMIT or ROLLBACK as soon as the callback ends, and after it
 * the statements that were called but not awaited: each commits alone, or in the next transaction on that connection. This makes the wrapper
 * wait for them, and refuses those that are called later. It covers all that runs through the transaction: `tx.orm`, `tx.execute`, `tx.query` and
 * prepared statements.
 * Keeps rule 17 of docs/protocol-application.md.
 */
export class OpenStatements {
  readonly #running = new Set<Promise<unknown>>()
  #closed = false

  /** Puts itself in front of the transaction's methods; `tx` is what Prisma gave to the callback. Throws INVALID_OPTION. */
  constructor(tx: object) {
    const context = ownerOfMethods(tx)
    for (const name of Reflect.ownKeys(context)) {
      const { value } = Object.getOwnPropertyDescriptor(context, name)!
      if (typeof value === 'function') Object.assign(context, { [name]: this.#counted(context, value) })
    }
  }

  /** Resolves when no statement runs and none has begun for one turn of the event loop. */
  async quiet(): Promise<void> {
    do {
      await Promise.all(this.#running)
      // A statement begins some microtasks after its call; so does one that follows another.
      await new Promise((resolve) => setImmediate(resolve))
    } while (this.#running.size > 0)
  }

  /** Resolves when the transaction is quiet; from then on every statement is refused. */
  async close(): Promise<void> {
    await this.quiet()
    this.#closed = true
  }

  #counted(context: object, method: Method): Method {
    return (...args) => {
      this.#check()
      const result = method.apply(context, args)
      return types.isPromise(result) ? this.#track(result) : this.#countedRows(result as Rows)
    }
  }

  /** A query starts when its first row is asked for, and all its rows are there with the first: reading on holds up nobody. */
  #countedRows(result: Rows): unknown {
    const first = (rows: AsyncIterator<unknown>) => {
      this.#check()
      return this.#track(rows.next())
    }
    async function* counted() {
      const rows = result[Symbol.asyncIterator]()
      const { done, value } = await first(rows)
      if (done) return
      yield value
      yield* { [Symbol.asyncIterator]: () => rows }
    }
    const Result = result.constructor as new (rows: AsyncGenerator<unknown>) => unknown
    return new Result(counted())
  }

  #track<T>(statement: Promise<T>): Promise<T> {
    const over = statement.then(
      () => void this.#running.delete(over),
      () => void this.#running.delete(over),
    )
    this.#running.add(over)
    return statement
  }

  #check(): void {
    if (!this.#closed) return
    throw new OutboxError('TRANSACTION_OVER', 'A statement was called when its transaction was over.', {
      remedy: 'Nothing was written. Await every statement before the callback of transaction() returns.',
    })
  }
}

/** The object, among those that a transaction inherits from, whose methods send statements. */
function ownerOfMethods(tx: object): object {
  for (let one: object | null = tx; one; one = Object.getPrototypeOf(one)) {
    if (Object.hasOwn(one, 'execute') && Object.hasOwn(one, 'query')) return one
  }
  throw unknownClient('The statements of its transactions cannot be counted.')
}
