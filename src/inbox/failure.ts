import { sqlState } from '../enqueue/insert.ts'
import { OutboxError } from '../message/errors.ts'

/**
 * What heals by itself and says nothing about a message. PostgreSQL: serialization_failure, deadlock_detected, lock_not_available, and the
 * ends of a server or of a connection. Prisma: connection lost or refused, no connection free in time, conflict of two transactions.
 */
const passing = new Set(
  '40001 40P01 55P03 57P01 57P02 57P03 08000 08001 08003 08006 53300 P1001 P1002 P1008 P1017 P2024 P2034'.split(' '),
)

/** A short name of what failed: a code of PostgreSQL, of Prisma or of the error, else its name. Never its message: it may hold values. */
export function codeOf(error: unknown): string {
  const { code, name } = (error ?? {}) as { code?: unknown; name?: unknown }
  for (const found of [sqlState(error), code, name]) if (typeof found === 'string' && found !== '') return found
  return 'UNKNOWN'
}

/** Whether a failure speaks against the message; `begun`: its handler was called. Troubles of the database never do. */
export const speaksAgainst = (error: unknown, begun: boolean): boolean => begun && !passing.has(codeOf(error))

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
