import type { PrismaPg } from '@prisma/adapter-pg'

/** A promise, and what resolves it. */
export function signal(): { promise: Promise<void>; resolve: () => void } {
  let resolve = () => {}
  const promise = new Promise<void>((done) => {
    resolve = done
  })
  return { promise, resolve }
}

type Query = { sql: string }
type Run = (query: Query) => Promise<unknown>
type DriverTransaction = { queryRaw: Run; executeRaw: Run; commit(): Promise<void>; rollback(): Promise<void> }
type Driver = { startTransaction(...settings: unknown[]): Promise<DriverTransaction> }

/**
 * Stands between Prisma and its driver adapter, as middleware for tracing or metrics does, and holds statements of transactions up: what
 * prisma/orm#29762 needs to be seen. Prisma has found the transaction open before a statement gets here.
 */
export class LateStatements {
  readonly #which: (sql: string) => boolean
  readonly #until: () => Promise<void>
  readonly #heldBack = signal()
  readonly #over = signal()
  readonly #arrived = signal()
  #held = false

  /** Holds up the first statement that `which` picks, until its transaction is over and, after that, `until` resolves. */
  constructor(which: (sql: string) => boolean, until: () => Promise<void> = async () => {}) {
    this.#which = which
    this.#until = until
  }

  /** Resolves when the statement is held up. */
  get held(): Promise<void> {
    return this.#heldBack.promise
  }

  /** Resolves when the transaction of the held statement is over, on the connection and for Prisma. */
  get over(): Promise<void> {
    return this.#over.promise
  }

  /** Resolves when the statement has been answered by the database at last. */
  get arrived(): Promise<void> {
    return this.#arrived.promise
  }

  /** The adapter with this in front. */
  readonly adapt = (adapter: PrismaPg): PrismaPg =>
    changed(adapter, {
      connect: async () => {
        const driver = (await adapter.connect()) as unknown as Driver
        return changed(driver, {
          startTransaction: async (...settings: unknown[]) => this.#transaction(await driver.startTransaction(...settings)),
        })
      },
    })

  #transaction(tx: DriverTransaction): DriverTransaction {
    let isBlocked = false
    const run = (way: Run) => async (query: Query) => {
      if (this.#held || !this.#which(query.sql)) return way(query)
      this.#held = true
      isBlocked = true
      this.#heldBack.resolve()
      await this.#over.promise
      await this.#until()
      try {
        return await way(query)
      } finally {
        this.#arrived.resolve()
      }
    }
    const end = (way: () => Promise<void>) => async () => {
      await way()
      if (isBlocked) this.#over.resolve()
    }
    return changed(tx, {
      queryRaw: run((query) => tx.queryRaw(query)),
      executeRaw: run((query) => tx.executeRaw(query)),
      commit: end(() => tx.commit()),
      rollback: end(() => tx.rollback()),
    })
  }
}

/** The object with other methods. */
function changed<T extends object>(object: T, methods: Record<string, unknown>): T {
  return new Proxy(object, {
    get(target, name) {
      if (typeof name === 'string' && Object.hasOwn(methods, name)) return methods[name]
      const value: unknown = Reflect.get(target, name, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}
