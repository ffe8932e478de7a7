import { types } from 'node:util'
import type { Catalog, PayloadOf } from '../events/catalog.ts'
import { type EventExtras, type EventMessage, encodeEvent } from '../events/event-message.ts'
import { OutboxError } from '../message/errors.ts'
import { encodeMessage, type Message, type MessageRow } from '../message/message.ts'
import { oneForAll } from '../message/one-copy.ts'
import { traceHeaders } from '../message/trace.ts'
import type { SqlRunner } from '../prisma/statement.ts'
import { insertRows, type OutboxTable } from './insert.ts'
import { Scope } from './scope.ts'

/**
 * What the outbox model of an extended client can do beside Prisma's own methods; with a catalog it takes the catalog's events. It asks for
 * undefined first: without `strictNullChecks` undefined extends every type.
 */
export type OutboxMethods<C extends Catalog | undefined = undefined> = C extends undefined
  ? MessageMethods
  : C extends Catalog
    ? EventMethods<C>
    : never

/** Without a catalog: any message. */
export interface MessageMethods {
  /**
   * Writes a message in the caller's transaction and gives its id. Refusals are thrown at the call, not in the promise. Also without
   * `await` it is written before its transaction ends, or fails it.
   */
  enqueue(message: Message): Promise<string>
  /** As `enqueue`, for several messages in one INSERT; ids and order are those of the array. */
  enqueueMany(messages: readonly Message[]): Promise<string[]>
}

/**
 * With a catalog: its events, and nothing else. Neither an interface nor {@link EventMessage} as the parameter: an editor would show the
 * whole catalog as its type argument, instead of the fields of the message.
 */
export type EventMethods<C extends Catalog> = {
  /**
   * Validates an event and writes it in the caller's transaction; gives the id of the message. Refusals are thrown at the call, those of a
   * schema that validates asynchronously come in the promise. Also without `await` it is written before its transaction ends, or fails it.
   */
  enqueue<const T extends keyof C['events']>(
    message: {
      /** Name of the event: the Kafka header `type`. */
      type: T
      /** What the newest schema of the event takes. */
      payload: PayloadOf<C['events'][T]>
    } & EventExtras,
  ): Promise<string>
  /** As `enqueue`, for several events in one INSERT; ids and order are those of the array. */
  enqueueMany(
    messages: readonly ({ [T in keyof C['events']]: { type: T; payload: PayloadOf<C['events'][T]> } }[keyof C['events']] &
      EventExtras)[],
  ): Promise<string[]>
}

/** Where an enqueue goes. */
export interface Destination {
  db: SqlRunner
  table: OutboxTable
  maxBytes: number
  /** Whose events the messages must be; undefined: any message. */
  events: Catalog | undefined
  /** The transaction it belongs to; undefined if none is known. */
  scope: Scope | undefined
  /** Stands for the database's transaction, in which alone the rows may be written; undefined: there is none. */
  transaction: object | undefined
  /** Called when the rows are written; not for a transaction, where they are written only with its commit. */
  written?: (() => void) | undefined
}

const scopes = oneForAll('scopes-of-enqueues', () => new WeakMap<object, Scope>())

/** Writes one message and gives its id. */
export function enqueueOne(to: Destination, message: unknown): Promise<string> {
  return write(
    to,
    () => [encode(to, message, '', traceHeaders())],
    (ids) => ids[0]!,
  )
}

/** Writes messages with one statement and gives their ids. */
export function enqueueAll(to: Destination, messages: unknown): Promise<string[]> {
  const rows = () => {
    const trace = traceHeaders()
    return checkArray(messages).map((message, i) => encode(to, message, `messages[${i}].`, trace))
  }
  return write(to, rows, (ids) => ids)
}

function encode(
  to: Destination,
  message: unknown,
  path: string,
  trace: Record<string, string>,
): MessageRow | Promise<MessageRow> {
  const { events, maxBytes } = to
  if (!events) return encodeMessage(message as Message, { maxBytes, path, trace })
  const row = encodeEvent(message as EventMessage<Catalog['events']>, events, { maxBytes, path, trace })
  if (types.isPromise(row)) heardLater(row)
  return row
}

/** A promise that may reject before its turn in the chain comes, where it is awaited: until then nobody else need handle it. */
function heardLater<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {})
  return promise
}

function write<T>(to: Destination, encode: () => (MessageRow | Promise<MessageRow>)[], answer: (ids: string[]) => T): Promise<T> {
  // Without a transaction that we know, the chain is the statement's own.
  const { table, maxBytes, events } = to
  const scope = to.scope ?? new Scope({ table, maxBytes, events, owner: undefined })
  try {
    scope.check()
    const encoded = encode()
    const ready = encoded.some(types.isPromise) ? heardLater(Promise.all(encoded)) : (encoded as MessageRow[])
    const appended = scope.append(async () => {
      const rows = await ready
      await insertRows(to.db, to.table, rows, to.transaction)
      to.written?.()
      return answer(rows.map((row) => row.messageId))
    })
    // A transaction that we know answers for its enqueues: one that nobody awaits fails it, and not the process. Every other failure
    // must be heard, so its promise is one that the chain has not handled.
    const result = to.scope ? appended : appended.then((value) => value)
    scopes.set(result, scope)
    return result
  } catch (error) {
    scope.doom(error)
    throw error
  }
}

function checkArray(messages: unknown): unknown[] {
  if (Array.isArray(messages)) return Array.from(messages)
  const remedy = 'enqueueMany takes an array of messages; for a single one there is enqueue.'
  throw new OutboxError('INVALID_MESSAGE', 'messages is not an array.', { field: 'messages', remedy })
}

/** Throws ARRAY_FORM if one of the operations is an enqueue; its statement is not sent, or its transaction rolls back. */
export function refuseInArray(operations: unknown): void {
  if (!Array.isArray(operations)) return
  const found = operations.filter((operation) => scopes.has(operation))
  if (found.length === 0) return
  const error = new OutboxError('ARRAY_FORM', 'enqueue cannot be part of the array form of $transaction.', {
    remedy: 'Use the callback form: $transaction(async (tx) => { … }).',
  })
  // The caller hears of it here: the promises in the array, which now reject, are nobody's to handle.
  for (const enqueued of found) scopes.get(heardLater(enqueued))!.doom(error)
  throw error
}
