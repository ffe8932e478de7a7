import type { Catalog } from '../events/catalog.ts'
import type { SqlRunner } from '../prisma/statement.ts'
import type { OutboxMethods } from './enqueue.ts'

/** A client inside of a transaction, of any version and with any extensions. A client that can `$connect` is not in one. */
export interface TransactionClient extends SqlRunner {
  /** No client has such a value: the type is the compiler's answer to one that is not in a transaction. */
  $connect?: 'Pass the tx of prisma.$transaction(async (tx) => …), not the client itself.'
  $extends?: 'Pass the tx of prisma.$transaction(async (tx) => …), not the client itself.'
}

/** A client whose schema has the model: compared with the user's, so that a wrong name is an error where the extension is applied. */
export type RequiresModel<M extends string> = {
  [K in M]: { fields: { topic: unknown; key: unknown; value: unknown; headers: unknown } }
}

/** What `$extends` infers from. Methods stand behind a function: Prisma's own convention. An interface would lack its index signatures. */
export type ExtensionArgs<M extends string, C extends Catalog | undefined> = {
  result: Record<never, never>
  query: Record<never, never>
  client: Record<never, never>
  model: { [K in M]: { [P in keyof OutboxMethods<C>]: () => OutboxMethods<C>[P] } }
}

/** What `outbox()` returns, for `$extends`. NoInfer: else the client would widen M to all its models. */
export type OutboxExtension<M extends string, C extends Catalog | undefined = undefined> = (
  client: RequiresModel<NoInfer<M>>,
) => {
  $extends: { extArgs: ExtensionArgs<NoInfer<M>, NoInfer<C>> }
}

/** The callback form of a client's `$transaction`, taken apart: the last of its overloads. */
export type CallbackForm<Client> = Client extends {
  $transaction: (callback: (tx: infer Tx) => infer _, options?: infer Options) => unknown
}
  ? { tx: Tx; options: Options }
  : never

/**
 * The client of a transaction, as the callback of the client's `$transaction` gets it, with all its extensions: the type of helpers, whether
 * the client was made by `$extends(outbox())` or by `withOutbox()`.
 *
 * @example
 * ```ts
 * type Tx = TransactionOf<typeof prisma>
 * const announce = (tx: Tx, id: number) => tx.outbox.enqueue({ topic: 'order_placed', key: id, payload: { id } })
 * ```
 */
export type TransactionOf<Client> = CallbackForm<Client>['tx']

export interface OutboxTransactionMethod<Client, M extends string, C extends Catalog | undefined> {
  $transaction<R>(
    callback: (tx: OutboxTransaction<CallbackForm<Client>['tx'], M, C>) => Promise<R>,
    options?: CallbackForm<Client>['options'],
  ): Promise<R>
}

/**
 * The last overload of the client's `$transaction`. No call gets there, but it is the one that `infer` and `Parameters` read: without it
 * the handlers of an inbox, and an application's own `Parameters<typeof prisma.$transaction>`, would be given Prisma's `tx`.
 */
export interface OutboxTransactionInferred<Client, M extends string, C extends Catalog | undefined> {
  $transaction(
    callback: (tx: OutboxTransaction<CallbackForm<Client>['tx'], M, C>) => Promise<unknown>,
    options?: CallbackForm<Client>['options'],
  ): Promise<unknown>
}

/**
 * A transaction's client with the outbox, as `withOutbox()` gives it; helpers take {@link TransactionOf}, which fits both forms.
 * Its own `$transaction` (a savepoint, Prisma 7.5 and newer) gives the same. With a catalog the third argument is its type.
 */
export type OutboxTransaction<Tx, M extends string = 'outbox', C extends Catalog | undefined = undefined> = (Tx extends {
  $transaction: unknown
}
  ? OutboxTransactionMethod<Tx, M, C>
  : unknown) & { [K in M]: OutboxMethods<C> } & Tx

/**
 * The client as it was, with the outbox on the client of each transaction. An intersection, our overload first for those who call, and
 * last for those who infer: what takes the original client takes this one.
 */
export type WithOutbox<Client, M extends string = 'outbox', C extends Catalog | undefined = undefined> = M extends keyof Client
  ? OutboxTransactionMethod<Client, M, C> & Client & OutboxTransactionInferred<Client, M, C>
  : never
