import pg from 'pg'
import { OutboxError } from '../../message/errors.ts'
import { codeOf } from './line.ts'

// What an error of PostgreSQL means to a person. Used by the store, by operators, the doctor and proofs.

/** Turns errors of a connection that can never work into an {@link OutboxError}; every other error is returned unchanged. */
export function refusal(error: unknown): unknown {
  const code = behindPooler(error) ?? codeOf(error)
  if (code === '28P01' || code === '28000' || isLoginFault(error)) {
    return new OutboxError('DATABASE_REFUSED', 'The database refused the login.', {
      remedy: 'Check user, password and pg_hba.conf for DATABASE_URL.',
      cause: error,
    })
  }
  if (code === '3D000') {
    return new OutboxError('DATABASE_REFUSED', 'The database named by DATABASE_URL does not exist.', {
      remedy: 'Create it, or correct the name.',
      cause: error,
    })
  }
  return error
}

/**
 * What PgBouncer (1.18) hands on from the server it pools, or says itself, comes with 08P01 whatever the cause; the text alone tells a
 * wrong name, which no waiting fixes, from a server that is restarting ("server login has been failing").
 */
function behindPooler(error: unknown): string | undefined {
  if (codeOf(error) !== '08P01' || !(error instanceof Error)) return undefined
  if (/^no such database|^database ".*" does not exist$/.test(error.message)) return '3D000'
  return error.message.startsWith('password authentication failed') ? '28P01' : undefined
}

/** What `pg` itself finds wrong with a login, for example that the URL has no password: without a code. */
const isLoginFault = (error: unknown): boolean => error instanceof Error && error.message.startsWith('SASL: ')

/** Turns an error that a person can do something about into an {@link OutboxError}; every other error is returned unchanged. */
export function explained(error: unknown): unknown {
  const code = codeOf(error)
  const refused = refusal(error)
  if (refused instanceof OutboxError) return refused
  if (code === '42501') {
    return new OutboxError('MISSING_RIGHTS', 'The database role may not do this.', {
      remedy: 'Grant what ops/grants.sql lists for the operator.',
      cause: error,
    })
  }
  if (code === '25006') {
    return new OutboxError('READ_ONLY_DATABASE', 'DATABASE_URL leads to a read-only database.', {
      remedy: 'Point it at the primary.',
      cause: error,
    })
  }
  return isOutOfReach(error) ? unreachable(error, code) : error
}

/** A failure of the network, or of a server that starts, stops or is full. `pg` gives some of them without a code. */
function isOutOfReach(error: unknown): boolean {
  if (error instanceof pg.DatabaseError) return /^(08|57P|53)/.test(error.code ?? '')
  return codeOf(error) !== undefined || Object.getPrototypeOf(error) === Error.prototype
}

function unreachable(error: unknown, code: string | undefined): OutboxError {
  const why = code ?? (error as Error).message
  return new OutboxError('DATABASE_UNREACHABLE', `The database cannot be reached (${why}).`, {
    remedy: 'See whether it runs, and whether host and port of DATABASE_URL are right.',
    cause: error,
  })
}
