import type { Catalog } from '../events/catalog.ts'
import type { AnyEventMessage, EventMessage } from '../events/event-message.ts'
import { OutboxError } from '../message/errors.ts'
import type { Message } from '../message/message.ts'
import { tableNames } from '../message/tables.ts'
import { wakeChannel } from '../message/wake.ts'
import { OpenStatements } from '../prisma/open-statements.ts'
import {
  isPrisma8Client,
  outsideOf,
  type Prisma8Client,
  type Prisma8Executor,
  runnerOf,
  unknownClient,
} from '../prisma/prisma8.ts'
import { statement } from '../prisma/statement.ts'
import { refuseOutside, runTransaction, type Spelling } from './client.ts'
import { type Destination, enqueueAll, enqueueOne } from './enqueue.ts'
import type { OutboxTable } from './insert.ts'
import { type ResolvedOptions, resolveOptions } from './options.ts'
import { destinationOf, register } from './prisma8-destinations.ts'
import type { EnqueueOptions, OutboxOptions, WithOutbox } from './prisma8-types.ts'
import { type Home, Scope } from './scope.ts'
import { WakeUp } from './wake-up.ts'

// What an application of Prisma 8 wraps its client with: Prisma 8 has no `$extends`. Everything below the wrapper is that of Prisma 6 and 7.

const spelling: Spelling = { method: 'transaction', hint: '' }

/**
 * The same client with `tx.outbox.enqueue()` in every transaction; with `events` it takes the events of that catalog only. A transaction
 * waits for all its statements, those of `tx.orm` among them, before it commits or rolls back.
 *
 * @param client What `postgres()` of `@prisma/orm-postgres` 8 returns, or a role-bound client of its Supabase extension.
 * @throws {OutboxError} OUTBOX_INVALID_OPTION
 * @example
 * ```ts
 * export const db = withOutbox(postgres<Contract>({ contractJson, url }))
 * await db.transaction(async (tx) => {
 *   const order = await tx.orm.public.Order.create({ total: 1990 })
 *   await tx.outbox.enqueue({ topic: 'order_placed', key: order.id, payload: order })
 * })
 * ```
 */
export function withOutbox<Client extends Prisma8Client, C extends Catalog | undefined = undefined>(
  client: Client,
  options: OutboxOptions<C> = {},
): WithOutbox<Client, C> {
  if (!isPrisma8Client(client)) throw unknownClient('The client has no transaction() and raw.sql of Prisma 8.')
  return wrap(client, resolve(options)) as never
}

/**
 * Enqueues in the transaction of `tx`, for helpers that Prisma's own type of it is passed to. The transaction must be one of a client that
 * {@link withOutbox} returned; `options` default to that client's, its catalog among them.
 *
 * @param tx What the callback of `transaction` received, or an object that inherits from it.
 * @throws {OutboxError} OUTBOX_OUTSIDE_TRANSACTION
 * @example
 * ```ts
 * await enqueue(tx, { topic: 'order_placed', key: order.id, payload: order })
 * ```
 */
export function enqueue<C extends Catalog, const T extends keyof C['events']>(
  tx: object,
  message: EventMessage<C['events'], T>,
  options: EnqueueOptions<C> & { events: C },
): Promise<string>
export function enqueue(tx: object, message: Message, options?: EnqueueOptions<undefined>): Promise<string>
export function enqueue(tx: object, message: unknown, options?: EnqueueOptions): Promise<string> {
  return enqueueOne(functionDestination(tx, options), message)
}

/**
 * As {@link enqueue}, for several messages in one INSERT; ids and order are those of the array.
 *
 * @throws {OutboxError} OUTBOX_OUTSIDE_TRANSACTION
 * @example
 * ```ts
 * await enqueueMany(tx, lines.map((line) => ({ topic: 'line_added', key: line.orderId, payload: line })))
 * ```
 */
export function enqueueMany<C extends Catalog>(
  tx: object,
  messages: readonly AnyEventMessage<C['events']>[],
  options: EnqueueOptions<C> & { events: C },
): Promise<string[]>
export function enqueueMany(tx: object, messages: readonly Message[], options?: EnqueueOptions<undefined>): Promise<string[]>
export function enqueueMany(tx: object, messages: unknown, options?: EnqueueOptions): Promise<string[]> {
  return enqueueAll(functionDestination(tx, options), messages)
}

function resolve(options: OutboxOptions): ResolvedOptions {
  if (!Object.hasOwn(options, 'model')) return resolveOptions(options)
  const remedy = 'Leave it out: with Prisma 8 the outbox needs no model. Name other tables by schema and tablePrefix.'
  throw new OutboxError('INVALID_OPTION', 'There is no option model for Prisma 8.', { field: 'model', remedy })
}

const locate = ({ schema = 'public', tablePrefix = '' }: ResolvedOptions): OutboxTable => ({
  schema,
  table: tablePrefix + tableNames.outbox,
})

/** The outbox of a client or a transaction: where it enqueues, unless the options name another. Throws INVALID_OPTION. */
export function outboxTable(on: object, options: EnqueueOptions): OutboxTable {
  const { schema, tablePrefix } = resolve(options)
  const own = destinationOf(on)?.table ?? locate(resolve({}))
  return { schema: schema ?? own.schema, table: tablePrefix === undefined ? own.table : tablePrefix + tableNames.outbox }
}

function functionDestination(tx: object, options: EnqueueOptions | undefined): Destination {
  const destination = destinationOf(tx)
  if (!destination?.transaction) throw noTransaction('enqueue')
  if (options === undefined) return destination
  const resolved = resolve(options)
  return { ...destination, table: locate(resolved), maxBytes: resolved.maxBytes, events: resolved.events }
}

/** The refusal of a function of ours that was not given a transaction. */
export const noTransaction = (name: string): OutboxError =>
  new OutboxError(
    'OUTSIDE_TRANSACTION',
    `${name} was called with an object that is no transaction of a client with the outbox.`,
    {
      remedy:
        'Pass the tx of withOutbox(db).transaction(async (tx) => …). Prisma 8 runs no statement of ours on the tx of another client.',
    },
  )

function wrap(client: Prisma8Client, options: ResolvedOptions): Prisma8Client {
  const { maxBytes, events } = options
  const home: Home = { table: locate(options), maxBytes, events, owner: client }
  const outside = runnerOf(client, () => outsideOf(client))
  const wakeUp = new WakeUp(() => outside.$executeRaw(statement(`NOTIFY "${wakeChannel}"`)))
  const wake = () => void (options.wake && wakeUp.request())
  const alone: Destination = { db: outside, scope: undefined, transaction: undefined, ...home, written: wake }

  const wrapped = Object.create(client, {
    transaction: { value: (callback: (tx: object) => PromiseLike<unknown>) => transact(client, home, wake, callback) },
    // Not in its type: there it is refused, unless the option requireTransaction is off.
    outbox: {
      value: methods(() => {
        refuseOutside(client, options.requireTransaction, spelling)
        return alone
      }),
    },
    // No wake-up may connect a client again that was closed.
    close: { value: () => wakeUp.quiet().then(() => (client as { close?: () => unknown }).close?.()) },
    [Symbol.asyncDispose]: { value: () => wrapped.close() },
  })
  register(wrapped, alone)
  return wrapped
}

function transact(client: Prisma8Client, home: Home, committed: () => void, callback: (tx: object) => PromiseLike<unknown>) {
  type Transaction = { tx: Prisma8Executor; statements: OpenStatements }
  const start = (run: (transaction: Transaction) => Promise<unknown>) =>
    client.transaction(async (tx: Prisma8Executor) => {
      const statements = new OpenStatements(tx)
      try {
        return await run({ tx, statements })
      } finally {
        await statements.close()
      }
    })
  const scopeFor = ({ tx, statements }: Transaction) => new Scope(home, tx, undefined, () => statements.quiet())
  return runTransaction({ start, scopeFor, committed }, ({ tx }, scope) => {
    const to: Destination = { db: runnerOf(client, () => tx), scope, transaction: scope, ...home }
    const given = Object.create(tx, { outbox: { value: methods(() => to) } })
    register(given, to)
    return callback(given)
  })
}

const methods = (destination: () => Destination) => ({
  enqueue: (message: unknown) => enqueueOne(destination(), message),
  enqueueMany: (messages: unknown) => enqueueAll(destination(), messages),
})
