import { OutboxError } from '../message/errors.ts'
import { currentScope, type Scope } from './scope.ts'

// What is the same for every client that begins transactions, whatever its version of Prisma. Used by extension.ts (6 and 7) and prisma8.ts.

/** How a version of Prisma spells its transactions: for the remedies of errors. */
export interface Spelling {
  method: string
  /** What its users may have tried beside the callback, for the end of the sentence. */
  hint: string
}

/** How a transaction is run. */
export interface TransactionSteps<Tx> {
  /** Begins it with the callback that it is given. */
  start: (callback: (tx: Tx) => Promise<unknown>) => Promise<unknown>
  /** Makes its scope. */
  scopeFor: (tx: Tx) => Scope
  /** The scope of the transaction that it is nested in. */
  parent?: Scope | undefined
  /** Called after a commit that wrote messages. */
  committed: () => void
}

/** Runs the callback in a transaction with a scope of its own, and gives its result. */
export async function runTransaction<Tx>(
  { start, scopeFor, parent, committed }: TransactionSteps<Tx>,
  callback: (tx: Tx, scope: Scope) => PromiseLike<unknown>,
): Promise<unknown> {
  let scope: Scope | undefined
  const run = () =>
    start((tx) => {
      const opened = scopeFor(tx)
      scope = opened
      return opened.run(() => callback(tx, opened))
    })
  if (parent) return parent.nest(run)
  const result = await run()
  if (scope?.wrote) committed()
  return result
}

/** Refuses an enqueue on a client outside of transactions. Throws OUTER_CLIENT, and OUTSIDE_TRANSACTION if it must be in one. */
export function refuseOutside(owner: unknown, requireTransaction: boolean, { method, hint }: Spelling): void {
  const around = currentScope()
  if (around?.isOpen && around.home.owner === owner) {
    const error = new OutboxError('OUTER_CLIENT', 'enqueue was called on the outer client inside a transaction.', {
      remedy: `Call it on the client that the callback receives: ${method}(async (tx) => { await tx.outbox.enqueue(…) }).`,
    })
    around.doom(error)
    throw error
  }
  if (!requireTransaction) return
  throw new OutboxError('OUTSIDE_TRANSACTION', 'enqueue was called outside of a transaction.', {
    remedy: `Use ${method}(async (tx) => { await tx.outbox.enqueue(…) })${hint}.`,
  })
}
