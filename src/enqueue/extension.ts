import type { Catalog } from '../events/catalog.ts'
import type { AnyEventMessage, EventMessage } from '../events/event-message.ts'
import { OutboxError } from '../message/errors.ts'
import type { Message } from '../message/message.ts'
import { prefixOf, tableNames } from '../message/tables.ts'
import { wakeChannel } from '../message/wake.ts'
import { inTransaction, modelsOf, ownerOf, type PrismaModel, schemaOf, transactionId } from '../prisma/client-internals.ts'
import { isPrisma8Client } from '../prisma/prisma8.ts'
import { refuseOutside, runTransaction, type Spelling } from './client.ts'
import { type Destination, enqueueAll, enqueueOne, refuseInArray } from './enqueue.ts'
import type { OutboxTable } from './insert.ts'
import { type EnqueueOptions, type OutboxOptions, type ResolvedOptions, resolveOptions } from './options.ts'
import { type Home, Scope, scopeOf, transactionOf } from './scope.ts'
import type { OutboxExtension, TransactionClient, WithOutbox } from './types.ts'
import { WakeUp } from './wake-up.ts'

// What an application extends its Prisma client with. Uses Prisma's public words only; its inside is read in prisma/client-internals.ts.

/**
 * The extension: `new PrismaClient({ adapter }).$extends(outbox())` gives `tx.outbox.enqueue()` in every transaction; with `events` it
 * takes the events of that catalog only. Throws INVALID_OPTION, and MODEL_MISSING if the Prisma schema has no outbox model.
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
export function outbox<const M extends string = 'outbox', C extends Catalog | undefined = undefined>(
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
export function withOutbox<Client extends object, const M extends string = 'outbox', C extends Catalog | undefined = undefined>(
  client: Client,
  options: OutboxOptions<M, C> = {},
): WithOutbox<Client, M, C> {
  return extend(client, resolveOptions(options)) as never
}

/**
 * Enqueues without an extension, in the transaction of `tx`; the compiler refuses the outer client. Await it: without the extension
 * nobody else does. With the extension it takes part in the order and the fate of the transaction's other enqueues, and `options`
 * default to the extension's own, its catalog among them.
 *
 * @example
 * ```ts
 * await prisma.$transaction((tx) => enqueue(tx, { topic: 'order_placed', key: order.id, payload: order }))
 * ```
 */
export function enqueue<C extends Catalog, const T extends keyof C['events']>(
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
export function enqueueMany<C extends Catalog>(
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
    const remedy = isPrisma8Client(client)
      ? 'This is a client of Prisma 8: import withOutbox from "prisma-extension-outbox/prisma8".'
      : 'Run "npm install @prisma/client@7" and "prisma generate", and pass the PrismaClient that was generated.'
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
        return transact(this, (callback) => $transaction.call(this, callback, settings), input, home, wake)
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
function transact(
  client: any,
  start: (callback: (tx: any) => any) => Promise<any>,
  callback: (tx: any) => any,
  home: Home,
  wake: () => void,
): Promise<any> {
  const parent = inTransaction(client) ? scopeOf(transactionId(client)) : undefined
  const scopeFor = (tx: any) => new Scope(home, transactionId(tx), parent)
  return runTransaction({ start, scopeFor, parent, committed: wake }, callback)
}

const spelling: Spelling = { method: '$transaction', hint: '; the array form $transaction([…]) cannot hold an enqueue' }

/** The scope of a client inside a transaction. Throws OUTER_CLIENT or OUTSIDE_TRANSACTION for one that is not. */
function enter(client: any, requireTransaction: boolean): Scope | undefined {
  if (inTransaction(client)) return scopeOf(transactionId(client))
  refuseOutside(ownerOf(client), requireTransaction, spelling)
  return undefined
}

const columns = ['bucket', 'id', 'message_id', 'topic', 'type', 'key', 'value', 'headers', 'created_at']

/**
 * The outbox table as the Prisma schema names it, with `@@map` and `@@schema`. A model on any other table is refused: no relay would read
 * what is written there. Throws MODEL_MISSING.
 */
function locate(client: object, { model: name, schema, tablePrefix }: ResolvedOptions): OutboxTable {
  const models = modelsOf(client)
  const placed = (own: string | undefined, prefix: string) => ({
    schema: schema ?? own ?? schemaOf(client) ?? 'public',
    table: prefix + tableNames.outbox,
  })
  if (!models) return placed(undefined, tablePrefix ?? '')
  const model = models.find((one) => one.property === name)
  const remedy = 'Run "npx prisma-extension-outbox init", then "prisma generate", or name your model by the option model.'
  if (!model) throw new OutboxError('MODEL_MISSING', `The Prisma schema has no model for ${name}.`, { field: 'model', remedy })
  const missing = columns.filter((column) => !Object.hasOwn(model.fields, column))
  if (missing.length > 0) {
    const what = `The model ${model.name} has no field for ${missing.join(', ')}: it is not an outbox.`
    throw new OutboxError('MODEL_MISSING', what, { field: 'model', remedy })
  }
  const prefix = prefixOf(model.table, tableNames.outbox)
  if (prefix === undefined) throw mappedElsewhere(model)
  return placed(model.schema, tablePrefix ?? prefix)
}

function mappedElsewhere({ name, table }: PrismaModel): OutboxError {
  const remedy =
    'Map it to "outbox", or to a prefix and "outbox", as "npx prisma-extension-outbox init --table-prefix p_" does: @@map("p_outbox").'
  return new OutboxError('MODEL_MISSING', `The model ${name} has the table "${table}", which no relay reads.`, {
    field: 'model',
    remedy,
  })
}

/** The outbox table of a client, extended or not. Throws INVALID_OPTION and MODEL_MISSING. */
export const outboxTable = (client: object, options: EnqueueOptions): OutboxTable => locate(client, resolveOptions(options))
