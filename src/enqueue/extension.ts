import { OutboxError } from '../message/errors.ts'
import type { Message } from '../message/message.ts'
import { wakeChannel } from '../message/wake.ts'
import { type Destination, enqueueAll, enqueueOne, refuseInArray } from './enqueue.ts'
import type { AnyEventMessage, EventMessage } from './event-message.ts'
import type { Catalogue } from './events.ts'
import type { OutboxTable } from './insert.ts'
import { type EnqueueOptions, type OutboxOptions, type ResolvedOptions, resolveOptions } from './options.ts'
import { currentScope, type Home, Scope, scopeOf } from './scope.ts'
import type { OutboxExtension, TransactionClient, WithOutbox } from './types.ts'
import { WakeUp } from './wake-up.ts'

// The only file that knows Prisma's inside. Everything it reads there is named in this file, with what happens where it is missing.

/**
 * The extension: `new PrismaClient({ adapter }).$extends(outbox())` gives `tx.outbox.enqueue()` in every transaction; with `events` it
 * takes the events of that catalogue only. Throws INVALID_OPTION, and MODEL_MISSING if the Prisma schema has no outbox model.
 *
 * @example
 * ```ts
 * const prisma = new PrismaClient({ adapter }).$extends(outbox())
 * await prisma.$transaction(async (tx) => {
 *   const order = await tx.order.create({ data })
 *   await tx.outbox.enqueue({ topic: 'order_placed', key: order.id, payload: order })
 * })
 * ```
 */
export function outbox<const M extends string = 'outbox', C extends Catalogue | undefined = undefined>(
  options: OutboxOptions<M, C> = {},
): OutboxExtension<M, C> {
  const resolved = resolveOptions(options)
  return ((client: any) => extend(client, resolved)) as never
}

/**
 * The same at run time as `client.$extends(outbox(options))`, typed otherwise: functions that take a `Prisma.TransactionClient` keep
 * compiling, and `enqueue` is there on `tx` only. Apply it last: a later `$extends` knows nothing of it.
 *
 * @example
 * ```ts
 * const prisma = withOutbox(new PrismaClient({ adapter }))
 * ```
 */
export function withOutbox<Client extends object, const M extends string = 'outbox', C extends Catalogue | undefined = undefined>(
  client: Client,
  options: OutboxOptions<M, C> = {},
): WithOutbox<Client, M, C> {
  return extend(client, resolveOptions(options)) as never
}

/**
 * Enqueues without an extension, in the transaction of `tx`; the compiler refuses the outer client. Await it: without the extension
 * nobody else does. With the extension it takes part in the order and the fate of the transaction's other enqueues, and `options`
 * default to the extension's own, its catalogue among them.
 *
 * @example
 * ```ts
 * await prisma.$transaction((tx) => enqueue(tx, { topic: 'order_placed', key: order.id, payload: order }))
 * ```
 */
export function enqueue<C extends Catalogue, const T extends keyof C['events']>(
  tx: TransactionClient,
  message: EventMessage<C['events'], T>,
  options: EnqueueOptions<string, C> & { events: C },
): Promise<string>
export function enqueue(tx: TransactionClient, message: Message, options?: EnqueueOptions<string, undefined>): Promise<string>
export function enqueue(tx: TransactionClient, message: unknown, options?: EnqueueOptions): Promise<string> {
  return enqueueOne(functionDestination(tx, options), message)
}

/**
 * As {@link enqueue}, for several messages in one INSERT; ids and order are those of the array.
 *
 * @example
 * ```ts
 * await enqueueMany(tx, lines.map((line) => ({ topic: 'line_added', key: line.orderId, payload: line })))
 * ```
 */
export function enqueueMany<C extends Catalogue>(
  tx: TransactionClient,
  messages: readonly AnyEventMessage<C['events']>[],
  options: EnqueueOptions<string, C> & { events: C },
): Promise<string[]>
export function enqueueMany(
  tx: TransactionClient,
  messages: readonly Message[],
  options?: EnqueueOptions<string, undefined>,
): Promise<string[]>
export function enqueueMany(tx: TransactionClient, messages: unknown, options?: EnqueueOptions): Promise<string[]> {
  return enqueueAll(functionDestination(tx, options), messages)
}

function functionDestination(tx: any, options: EnqueueOptions | undefined): Destination {
  const scope = enter(tx, true)
  const to = { db: tx, scope, transaction: transactionOf(tx) }
  if (scope && options === undefined) return { ...to, ...scope.home }
  const resolved = resolveOptions(options ?? {})
  return { ...to, table: locate(tx, resolved), maxBytes: resolved.maxBytes, events: resolved.events }
}

function extend(client: any, options: ResolvedOptions): any {
  if (typeof client?.$extends !== 'function') {
    const remedy = 'Run "npm install @prisma/client@7" and "prisma generate", and pass the PrismaClient that was generated.'
    throw new OutboxError('INVALID_OPTION', 'The outbox needs a PrismaClient of @prisma/client 6.16 to 7.', {
      field: 'client',
      remedy,
    })
  }
  const { maxBytes, events } = options
  const home: Home = { table: locate(client, options), maxBytes, events, owner: ownerOf(client) }
  const wakeUp = new WakeUp(() => client.$executeRawUnsafe(`NOTIFY "${wakeChannel}"`))
  const wake = () => void (options.wake && wakeUp.request())
  // Captured, not looked up later: several extensions that override the same method stack this way in either order.
  const { $transaction, $disconnect } = client

  const destination = ({ $parent: db }: any): Destination => {
    const scope = enter(db, options.requireTransaction)
    // In a transaction its commit does it.
    return { db, scope, transaction: transactionOf(db), ...home, written: scope ? undefined : wake }
  }

  return client.$extends({
    name: 'prisma-extension-outbox',
    model: {
      [options.model]: {
        enqueue(this: any, message: unknown) {
          return enqueueOne(destination(this), message)
        },
        enqueueMany(this: any, messages: unknown) {
          return enqueueAll(destination(this), messages)
        },
      },
    },
    client: {
      $transaction(this: any, input: any, settings: any) {
        refuseInArray(input)
        if (typeof input !== 'function') return $transaction.call(this, input, settings)
        return runTransaction(this, (callback) => $transaction.call(this, callback, settings), input, home, wake)
      },
      // No wake-up may connect a client again that was told to disconnect.
      async $disconnect(this: any) {
        await wakeUp.quiet()
        return $disconnect.call(this)
      },
    },
  })
}

/** Runs a transaction with a scope of its own, inside the scope of the transaction that it is nested in; wakes the relays after a commit. */
function runTransaction(
  client: any,
  start: (callback: (tx: any) => any) => Promise<any>,
  callback: (tx: any) => any,
  home: Home,
  wake: () => void,
): Promise<any> {
  const parent = isTransaction(client) ? scopeOf(transactionId(client)) : undefined
  let scope: Scope | undefined
  const run = () =>
    start((tx) => {
      scope = new Scope(home, transactionId(tx), parent)
      return scope.run(() => callback(tx))
    })
  if (parent) return parent.nest(run)
  return run().then((result) => {
    if (scope?.wrote) wake()
    return result
  })
}

/** The scope of a client inside a transaction. Throws OUTER_CLIENT or OUTSIDE_TRANSACTION for one that is not. */
function enter(client: any, requireTransaction: boolean): Scope | undefined {
  if (isTransaction(client)) return scopeOf(transactionId(client))
  const around = currentScope()
  if (around?.isOpen && around.home.owner === ownerOf(client)) {
    const error = new OutboxError('OUTER_CLIENT', 'enqueue was called on the outer client inside a transaction.', {
      remedy: 'Call it on the client that the callback receives: $transaction(async (tx) => { await tx.outbox.enqueue(…) }).',
    })
    around.doom(error)
    throw error
  }
  if (!requireTransaction) return undefined
  throw new OutboxError('OUTSIDE_TRANSACTION', 'enqueue was called outside of a transaction.', {
    remedy:
      'Use $transaction(async (tx) => { await tx.outbox.enqueue(…) }); the array form $transaction([…]) cannot hold an enqueue.',
  })
}

/** `$connect` is on Prisma's public list of what a transaction's client lacks; `$transaction` no longer is, since 7.5. */
function isTransaction(client: any): boolean {
  try {
    return typeof client.$connect !== 'function'
  } catch {
    // The client that jest-prisma puts around a test's transaction throws for what a transaction's client lacks.
    return true
  }
}

/** Prisma's id of a transaction (6.x to 7.4) or of its savepoint (7.5 and newer); undefined where it has neither. */
function transactionId(tx: any): unknown {
  return tx[Symbol.for('prisma.client.transaction.scope_context')]?.scopeId ?? tx[Symbol.for('prisma.client.transaction.id')]
}

/** What stands for the database's transaction in which the client is, the same in its savepoints where they are known; undefined: none. */
export const transactionOf = (client: any): object | undefined =>
  isTransaction(client) ? (scopeOf(transactionId(client))?.root ?? client) : undefined

/** The same object for all extended clients of one PrismaClient. */
const ownerOf = (client: any): unknown => client._engineConfig

const columns = ['bucket', 'id', 'message_id', 'topic', 'type', 'key', 'value', 'headers', 'created_at']

/** A model's name as the client spells it. */
const spelled = (model: string): string => model[0]!.toLowerCase() + model.slice(1)

/** The outbox table as the Prisma schema names it, with `@@map` and `@@schema`. Throws MODEL_MISSING. */
function locate(client: any, { model: name, schema }: ResolvedOptions): OutboxTable {
  const models: Record<string, any> | undefined = client._runtimeDataModel?.models
  if (!models) return { schema: schema ?? schemaOf(client) ?? 'public', table: 'outbox' }
  const modelName = Object.keys(models).find((key) => spelled(key) === name)
  const remedy = 'Run "npx prisma-extension-outbox init", then "prisma generate", or name your model by the option model.'
  if (modelName === undefined) {
    throw new OutboxError('MODEL_MISSING', `The Prisma schema has no model for ${name}.`, { field: 'model', remedy })
  }
  const model = models[modelName]
  const present = new Set(model.fields.map((field: any) => field.dbName ?? field.name))
  const missing = columns.filter((column) => !present.has(column))
  if (missing.length > 0) {
    const what = `The model ${modelName} has no field for ${missing.join(', ')}: it is not an outbox.`
    throw new OutboxError('MODEL_MISSING', what, { field: 'model', remedy })
  }
  return { schema: schema ?? model.schema ?? schemaOf(client) ?? 'public', table: model.dbName ?? modelName }
}

/** The model that is a table: its name as the client spells it, and its fields by their columns. Undefined: the schema has none. */
export function modelOfTable(client: any, table: string): { name: string; fields: Record<string, string> } | undefined {
  const models: [string, any][] = Object.entries(client._runtimeDataModel?.models ?? {})
  const [name, model] = models.find(([key, { dbName }]) => (dbName ?? key) === table) ?? []
  if (name === undefined) return undefined
  const fields = Object.fromEntries(model.fields.map((field: any) => [field.dbName ?? field.name, field.name]))
  return { name: spelled(name), fields }
}

/** The PostgreSQL schema of a table: of the model that has it, else of the client, else public. */
export function schemaOfTable(client: any, table: string): string {
  const models: any[] = Object.values(client._runtimeDataModel?.models ?? {})
  return models.find((model) => model.dbName === table)?.schema ?? schemaOf(client) ?? 'public'
}

/** The outbox table of a client, extended or not. Throws INVALID_OPTION and MODEL_MISSING. */
export const outboxTable = (client: object, options: EnqueueOptions): OutboxTable => locate(client, resolveOptions(options))

/** Whether the client is that of a transaction. */
export const inTransaction = (client: object): boolean => isTransaction(client)

/** The PostgreSQL schema that the client works in, if its driver adapter or its URL names one. */
function schemaOf(client: any): string | undefined {
  const { adapter, inlineDatasources, overrideDatasources, env } = client._engineConfig ?? {}
  if (adapter?.options?.schema) return adapter.options.schema
  const [name] = Object.keys(inlineDatasources ?? {})
  const { value, fromEnvVar } = inlineDatasources?.[name!]?.url ?? {}
  const url = overrideDatasources?.[name!]?.url ?? value ?? env?.[fromEnvVar] ?? process.env[fromEnvVar]
  return schemaInUrl(adapter ? adapter.config?.connectionString : url)
}

function schemaInUrl(url: unknown): string | undefined {
  if (typeof url !== 'string' || !URL.canParse(url)) return undefined
  return new URL(url).searchParams.get('schema') || undefined
}
