import { types } from 'node:util'

/** Native errors that say that a program is wrong. Not SyntaxError: what somebody else wrote can be malformed. */
const names = new Set(['TypeError', 'ReferenceError', 'RangeError'])

/**
 * Whether the error is a bug of a program, and no answer or failure of a server: trying again cannot help. By its name, since a test
 * runner's realm has classes of its own.
 */
export const isProgrammingError = (error: unknown): error is Error => types.isNativeError(error) && names.has(error.name)

/** Throws a bug of a program again: what catches every other error must not take it for trouble of a server. */
export function throwBug(error: unknown): void {
  if (isProgrammingError(error)) throw error
}
