import { OutboxError } from '../message/errors.ts'
import { encodeMessage, type Message } from '../message/message.ts'
import { insertRows, type OutboxTable, type SqlRunner } from './insert.ts'
import { Scope } from './scope.ts'

/** What the outbox model of an extended client can do beside Prisma's own methods. */
export interface OutboxMethods {
  /**
   * Writes a message in the caller's transaction and gives its id. Refusals are thrown at the call, not in the promise. Also without
   * `await` it is written before its transaction ends, or fails it.
   */
  enqueue(message: Message): Promise<string>
  /** As `enqueue`, for several messages in one INSERT; ids and order are those of the array. */
  enqueueMany(messages: readonly Message[]): Promise<string[]>
}

/** Where an enqueue goes. */
export interface Destination {
  db: SqlRunner
  table: OutboxTable
  maxBytes: number
  /** The transaction it belongs to; undefined if none is known. */
  scope: Scope | undefined
  /** Called when the rows are written; not for a transaction, where they are written only with its commit. */
  written?: (() => void) | undefined
}

const scopes = new WeakMap<object, Scope>()

/** Writes one message and gives its id. */
export function enqueueOne(to: Destination, message: Message): Promise<string> {
  return write(
    to,
    () => [encodeMessage(message, to)],
    (ids) => ids[0]!,
  )
}

/** Writes messages with one statement and gives their ids. */
export function enqueueAll(to: Destination, messages: readonly Message[]): Promise<string[]> {
  const encode = () =>
    checkArray(messages).map((message, i) => encodeMessage(message, { maxBytes: to.maxBytes, path: `messages[${i}].` }))
  return write(to, encode, (ids) => ids)
}

function write<T>(to: Destination, encode: () => ReturnType<typeof encodeMessage>[], answer: (ids: string[]) => T): Promise<T> {
  // Without a transaction that we know, the chain is the statement's own.
  const scope = to.scope ?? new Scope({ table: to.table, maxBytes: to.maxBytes, owner: undefined })
  try {
    scope.check()
    const rows = encode()
    const appended = scope.append(async () => {
      await insertRows(to.db, to.table, rows)
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

function checkArray(messages: unknown): Message[] {
  if (Array.isArray(messages)) return Array.from(messages)
  const remedy = 'enqueueMany takes an array of messages; for a single one there is enqueue.'
  throw new OutboxError('INVALID_MESSAGE', 'messages is not an array.', { field: 'messages', remedy })
}

/** Throws ARRAY_FORM if one of the operations is an enqueue; its statement is not sent, or its transaction rolls back. */
export function refuseInArray(operations: unknown): void {
  if (!Array.isArray(operations)) return
  const found = operations.flatMap((operation) => scopes.get(operation) ?? [])
  if (found.length === 0) return
  const error = new OutboxError('ARRAY_FORM', 'enqueue cannot be part of the array form of $transaction.', {
    remedy: 'Use the callback form: $transaction(async (tx) => { … }).',
  })
  for (const scope of found) scope.doom(error)
  throw error
}
