import type { OutboxMethods } from './enqueue.ts'
import type { SqlRunner } from './insert.ts'

/** A client inside of a transaction, of any version and with any extensions. A client that can `$connect` is not in one. */
export interface TransactionClient extends SqlRunner {
  $connect?: never
  $extends?: never
}

/** A client whose schema has the model: compared with the user's, so that a wrong name is an error where the extension is applied. */
type RequiresModel<M extends string> = {
  [K in M]: { fields: { topic: unknown; key: unknown; value: unknown; headers: unknown } }
}

type Nothing = Record<never, never>

/** What `$extends` infers from. Methods stand behind a function: Prisma's own convention. An interface would lack its index signatures. */
type ExtensionArgs<M extends string> = {
  result: Nothing
  query: Nothing
  client: Nothing
  model: { [K in M]: { [P in keyof OutboxMethods]: () => OutboxMethods[P] } }
}

/** What `outbox()` returns, for `$extends`. NoInfer: else the client would widen M to all its models. */
export type OutboxExtension<M extends string> = (client: RequiresModel<NoInfer<M>>) => {
  $extends: { extArgs: ExtensionArgs<NoInfer<M>> }
}

/** The two overloads of a client's `$transaction`, taken apart. */
type Transactions<C> = C extends {
  $transaction: {
    (operations: infer Operations, options?: infer ArrayOptions): unknown
    (callback: (tx: infer Tx) => infer _, options?: infer Options): unknown
  }
}
  ? { operations: Operations extends unknown[] ? Operations : never; arrayOptions: ArrayOptions; tx: Tx; options: Options }
  : never

/** A transaction's client with the outbox; its own `$transaction` (a savepoint, Prisma 7.5 and newer) gives the same. */
export type WithOutboxMethods<Tx, M extends string> = Omit<Tx, '$transaction'> & { [K in M]: OutboxMethods } & (Tx extends {
    $transaction: unknown
  }
    ? TransactionMethod<Tx, M>
    : unknown)

interface TransactionMethod<C, M extends string> {
  // The array form first: TypeScript and Prisma's own helper types look at the last overload.
  $transaction<P extends Transactions<C>['operations']>(
    operations: [...P],
    options?: Transactions<C>['arrayOptions'],
  ): Promise<{ [K in keyof P]: Awaited<P[K]> }>
  $transaction<R>(
    callback: (tx: WithOutboxMethods<Transactions<C>['tx'], M>) => Promise<R>,
    options?: Transactions<C>['options'],
  ): Promise<R>
}

/** The client as it was, with the outbox on the client of each transaction. */
export type WithOutbox<C, M extends string> = M extends keyof C ? Omit<C, '$transaction'> & TransactionMethod<C, M> : never
