import { types } from 'node:util'

/** Native errors that say that a program is wrong. Not SyntaxError: what somebody else wrote can be malformed. */
const names = new Set(['TypeError', 'ReferenceError', 'RangeError'])

/**
 * Whether the error is a bug of a program, and no answer or failure of a server: trying again cannot help. By its name, since a test
 * runner's realm has classes of its own.
 */
export const isProgrammingError = (error: unknown): error is Error => types.isNativeError(error) && names.has(error.name)

/** Where an error was thrown; of its message only the kind of error, since the rest may hold data. */
export const stackOf = (error: unknown): string =>
  error instanceof Error
    ? [
        error.name,
        ...(error.stack ?? '')
          .split('\n')
          .filter((line) => /^\s+at /.test(line))
          .slice(0, 5),
      ].join('\n')
    : 'not an error'
