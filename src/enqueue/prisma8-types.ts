import type { Catalog } from '../events/catalog.ts'
import type { OutboxMethods } from './enqueue.ts'
import type { EnqueueOptions as AnyEnqueueOptions, OutboxOptions as AnyOutboxOptions } from './options.ts'

/** Where the messages go, and how large they may be. There is no model: the tables are no part of the client's contract. */
export type EnqueueOptions<C extends Catalog | undefined = Catalog | undefined> = Omit<AnyEnqueueOptions<string, C>, 'model'>

/** Options of `withOutbox()`. */
export type OutboxOptions<C extends Catalog | undefined = Catalog | undefined> = Omit<AnyOutboxOptions<string, C>, 'model'>

/** What the callback of a client's `transaction` receives; of a client with the outbox, with it: the type of helpers. */
export type TransactionOf<Client> = Client extends { transaction(callback: (tx: infer Tx) => any): any } ? Tx : never

/** What every transaction of Prisma 8 has, and no client: functions that are given one ask for it. */
export interface AnyTransaction {
  readonly invalidated: boolean
  query(plan: any): PromiseLike<unknown[]>
}

/** A transaction with the outbox. */
export type OutboxTransaction<Tx, C extends Catalog | undefined = undefined> = Tx & { readonly outbox: OutboxMethods<C> }

/**
 * The client as it was, with the outbox on the transaction of each callback. Our overload is first for those who call, and last for those
 * who infer: what takes the original client takes this one.
 */
export type WithOutbox<Client, C extends Catalog | undefined = undefined> = {
  transaction<R>(callback: (tx: OutboxTransaction<TransactionOf<Client>, C>) => PromiseLike<R>): Promise<R>
} & Client & {
    transaction(callback: (tx: OutboxTransaction<TransactionOf<Client>, C>) => PromiseLike<unknown>): Promise<unknown>
  }
