import { isOutboxError, OutboxError } from '../message/errors.ts'
import type { TableSet } from '../message/tables.ts'
import { explain, sqlState } from '../prisma/statement.ts'
import { isProgrammingError } from '../running/programming-error.ts'
import { blamesTopic, trouble as kafkaTrouble } from '../transport/kafkajs/errors.ts'

// What a failure says about a message: whether it counts towards dead-lettering. Pure; used by the reader and the redriver.
// Keeps rule 25 of docs/protocol-application.md.

/**
 * Whom a failure speaks against.
 * `message`: the handler or a statement of it was refused; it counts at once.
 * `database`: it heals by waiting; it never counts.
 * `either`: it counts if the database answers, and the same message fails so again.
 * `unknown`: nothing in it tells; the transaction's connection does, as long as there is one.
 */
export type Blame = 'message' | 'database' | 'either' | 'unknown'

/**
 * SQLSTATE classes and codes of trouble: connection, transaction rollback (serialization, deadlock), resources, operator intervention, system;
 * read-only transaction, lock not available.
 */
const troubleStates = /^(08...|40...|53...|57P..|58...|25006|55P03)$/

/** Both ways: query canceled, internal error, transaction timed out, login and database refused. */
const ambiguousStates = /^(57014|XX...|25P0[34]|28...|3D000)$/

/** Kinds of the driver adapter's errors, and the codes that Prisma makes of them. */
const trouble = new Set(
  [
    'DatabaseNotReachable ConnectionClosed SocketTimeout TooManyConnections TransactionWriteConflict TlsConnectionError',
    'P1001 P1002 P1008 P1011 P1017 P2024 P2034 P2037',
    'OUTBOX_TRANSACTION_OVER',
  ].flatMap((names) => names.split(' ')),
)
const ambiguous = new Set(
  [
    'AuthenticationFailed DatabaseAccessDenied DatabaseDoesNotExist TransactionAlreadyClosed P1000 P1003 P1010 P1018',
    // A transaction that timed out: of a slow handler, or of a database that did not answer it.
    'P2028 HANDLER_TIMEOUT CONNECTION_LOST',
  ].flatMap((names) => names.split(' ')),
)

/** Errors in errors: more are nobody's. */
const deepest = 8

/** Judges an error by its SQLSTATE, the adapter's kind or Prisma's code, its own or those of its causes. */
export function blameOf(error: unknown): Blame {
  let found: Blame = 'unknown'
  let at = error
  for (let depth = 0; depth < deepest && at !== null && typeof at === 'object'; depth++) {
    const blame = blameOfOne(at)
    // A refusal by the database says more than the trouble that may have followed it; both say more than nothing.
    if (blame === 'database' || blame === 'either') return blame
    if (blame === 'message') found = 'message'
    at = (at as { cause?: unknown }).cause
  }
  return found
}

function blameOfOne(error: object): Blame {
  const state = stateOf(error)
  if (state !== undefined) {
    if (troubleStates.test(state)) return 'database'
    return ambiguousStates.test(state) ? 'either' : 'message'
  }
  const { code, errorCode } = error as { code?: unknown; errorCode?: unknown }
  const names = [adapterCause(error)?.kind, code, errorCode].filter((name) => typeof name === 'string')
  if (names.some((name) => trouble.has(name))) return 'database'
  if (names.some((name) => ambiguous.has(name))) return 'either'
  // Raw query failed, and error of an adapter, tell nothing.
  if (typeof code === 'string' && prismaCode.test(code) && code !== 'P2010' && code !== 'P2036') return 'message'
  return isOutboxError(error) && error.cause === undefined ? 'message' : 'unknown'
}

/** P0001 is a code of PostgreSQL. */
const prismaCode = /^P[1-9]\d{3}$/

/** SQLSTATE of one error. Of an error of pg itself, which has a severity, it is the code. */
function stateOf(error: object): string | undefined {
  const { code, severity } = error as { code?: unknown; severity?: unknown }
  const found = sqlState(error) ?? adapterCause(error)?.originalCode ?? (severity === undefined ? undefined : code)
  return typeof found === 'string' && /^[0-9A-Z]{5}$/.test(found) && !prismaCode.test(found) ? found : undefined
}

/** What the driver adapter says: inside of Prisma's error, or, at BEGIN and COMMIT, on its own. */
function adapterCause(error: object): { kind?: unknown; originalCode?: unknown } | undefined {
  const { name, cause, meta } = error as {
    name?: unknown
    cause?: object
    meta?: { driverAdapterError?: { cause?: object } }
  }
  return meta?.driverAdapterError?.cause ?? (name === 'DriverAdapterError' ? cause : undefined)
}

/** Whether the database has answered a statement with this error: then its connection is sound. */
export function isAnswer(error: unknown): boolean {
  const state = typeof error === 'object' && error !== null ? stateOf(error) : undefined
  return state !== undefined && !troubleStates.test(state)
}

/** The connection of a transaction did not answer any more, and its error says nothing. */
class ConnectionLost extends Error {
  override readonly name = 'ConnectionLost'
  readonly code = 'CONNECTION_LOST'
}

/** What was known of a message is no longer so: nothing was done. Query it again. */
export class Conflict extends Error {
  override readonly name = 'Conflict'
}

/**
 * An error that can only come from the connection, or is ours: one that tells nothing gets a code. A bug stays what it is, for the log to name
 * it: no connection throws one.
 */
export const lost = (error: unknown): unknown =>
  blameOf(error) === 'unknown' && !(error instanceof Conflict) && !isProgrammingError(error)
    ? new ConnectionLost(error instanceof Error ? error.message : String(error), { cause: error })
    : error

/**
 * A short name of a failure: a code of Kafka, of PostgreSQL, of the adapter, of Prisma or of the error, else its name. Never its message: it
 * may hold values.
 */
export function codeOf(error: unknown): string {
  // By name: an application may hold two copies of kafkajs.
  if (error instanceof Error && error.name.startsWith('KafkaJS')) return kafkaTrouble(error).code
  const { code, name } = (error ?? {}) as { code?: unknown; name?: unknown }
  const { kind } = (typeof error === 'object' && error !== null && adapterCause(error)) || {}
  const state = typeof error === 'object' && error !== null ? stateOf(error) : undefined
  for (const found of [state, kind, code, name]) if (typeof found === 'string' && found !== '') return found
  return 'UNKNOWN'
}

/** The topic that was asked about, if Kafka blames it: missing, forbidden, or without a leader. */
export const blamedTopic = (error: unknown, topic: string | null): string | null =>
  blamesTopic(kafkaTrouble(error)) ? topic : null

/** A handler, a codec or the database took longer than it may; the transaction is rolled back. */
export const handlerTimeout = (limitMs: number): Error => new HandlerTimeout(limitMs)

class HandlerTimeout extends Error {
  override readonly name = 'HandlerTimeout'
  readonly code = 'HANDLER_TIMEOUT'

  constructor(limitMs: number) {
    super(`It took longer than ${limitMs} ms.`)
  }
}

/** The refusal of an option. */
export const wrongOption = (field: string, range: string): OutboxError =>
  new OutboxError('INVALID_OPTION', `The option ${field} is wrong.`, { field, remedy: `It must be ${range}.` })

/** Two failures of the inbox tables have a remedy that Prisma's message does not tell. */
export const explainInbox = (error: unknown, { schema, prefix }: TableSet): unknown =>
  explain(error, {
    where: `${schema}.${prefix}inbox`,
    migration: 'inbox',
    grant: 'Grant SELECT, INSERT, UPDATE and DELETE on the inbox tables, and USAGE on the sequence of inbox_dead_letter.',
  })
