import { expect, test } from 'vitest'
import { type Blame, blameOf, codeOf, lost } from '../../src/inbox/failure.ts'
import { OutboxError } from '../../src/message/errors.ts'

/** As Prisma 7 throws what a driver adapter says, of a raw statement or, with another code, of a model's. */
const prisma = (cause: object, code = 'P2010') =>
  Object.assign(new Error('Raw query failed.'), {
    name: 'PrismaClientKnownRequestError',
    code,
    meta: { driverAdapterError: Object.assign(new Error(), { name: 'DriverAdapterError', cause }) },
  })
const state = (originalCode: string) => prisma({ kind: 'postgres', code: originalCode, originalCode })
const atCommit = (cause: object) => Object.assign(new Error('x'), { name: 'DriverAdapterError', cause })
const prisma6 = (code: string) => Object.assign(new Error(), { code: 'P2010', meta: { code, message: 'x' } })
const named = (code: string) => Object.assign(new Error(), { code })
const by = (cause: unknown) => new Error('Could not write the letter.', { cause })

const examples: [string, unknown, Blame][] = [
  ...'08000 08006 08P01 40001 40003 40P01 53000 53100 53200 53300 53400 57P01 57P02 57P03 57P05 58000 58030 58P01 25006 55P03'
    .split(' ')
    .map((code): [string, unknown, Blame] => [code, state(code), 'database']),
  ...'57014 XX000 XX001 25P03 25P04 28P01 28000 3D000'
    .split(' ')
    .map((code): [string, unknown, Blame] => [code, state(code), 'either']),
  ...'23505 23503 22003 22P02 42P01 42501 25P02 P0001 55000 57000 25001'
    .split(' ')
    .map((code): [string, unknown, Blame] => [code, state(code), 'message']),
  ...'DatabaseNotReachable ConnectionClosed SocketTimeout TooManyConnections TransactionWriteConflict TlsConnectionError'
    .split(' ')
    .map((kind): [string, unknown, Blame] => [kind, prisma({ kind }), 'database']),
  ...'AuthenticationFailed DatabaseAccessDenied DatabaseDoesNotExist TransactionAlreadyClosed'
    .split(' ')
    .map((kind): [string, unknown, Blame] => [kind, prisma({ kind }), 'either']),
  ...'P1001 P1002 P1008 P1011 P1017 P2024 P2034 P2037'
    .split(' ')
    .map((code): [string, unknown, Blame] => [code, named(code), 'database']),
  ...'P1000 P1003 P1010 P1018 P2028 HANDLER_TIMEOUT CONNECTION_LOST'
    .split(' ')
    .map((code): [string, unknown, Blame] => [code, named(code), 'either']),
  ...'P2002 P2003 P2025'.split(' ').map((code): [string, unknown, Blame] => [code, named(code), 'message']),
  ['a serialization failure at COMMIT', atCommit({ kind: 'TransactionWriteConflict', originalCode: '40001' }), 'database'],
  ['a connection that is closed at COMMIT', atCommit({ kind: 'ConnectionClosed' }), 'database'],
  ['Prisma 6: 57P01', prisma6('57P01'), 'database'],
  ['Prisma 6: 23505', prisma6('23505'), 'message'],
  [
    'a client that cannot begin',
    Object.assign(new Error(), { name: 'PrismaClientInitializationError', errorCode: 'P1001' }),
    'database',
  ],
  ['pg itself: 53300', Object.assign(new Error(), { code: '53300', severity: 'FATAL' }), 'database'],
  ['pg itself: 23505', Object.assign(new Error(), { code: '23505', severity: 'ERROR' }), 'message'],
  ['a transaction that was over', new OutboxError('TRANSACTION_OVER', 'x', { remedy: 'x' }), 'database'],
  ['a refused message', new OutboxError('INVALID_PAYLOAD', 'x', { remedy: 'x' }), 'message'],
  ['a doomed transaction', new OutboxError('TRANSACTION_DOOMED', 'x', { remedy: 'x', cause: state('57P01') }), 'database'],
  ['a handler’s error about one', by(by(prisma({ kind: 'SocketTimeout' }))), 'database'],
  ['a handler’s error about a refused row', by(state('23505')), 'message'],
  ['a plain error', new Error('cannot be done'), 'unknown'],
  ['a plain error of pg', new Error('Client has encountered a connection error and is not queryable'), 'unknown'],
  ['a socket of somebody else’s', named('ECONNREFUSED'), 'unknown'],
  ['a code of five letters', named('57P01'), 'unknown'],
  ['an adapter that says nothing', prisma({ kind: 'GenericJs', id: 1 }, 'P2036'), 'unknown'],
  ['a text', 'boom', 'unknown'],
  ['nothing', undefined, 'unknown'],
  [
    'an error that is its own cause',
    Object.assign(new Error(), {
      name: 'x',
      get cause() {
        return this
      },
    }),
    'unknown',
  ],
]

test.each(examples)('%s', (_, error, expected) => {
  expect(blameOf(error)).toBe(expected)
})

test.each([
  [state('57014'), '57014'],
  [prisma({ kind: 'ConnectionClosed' }), 'ConnectionClosed'],
  [prisma({ kind: 'TransactionWriteConflict', originalCode: '40P01' }, 'P2034'), '40P01'],
  [named('P2028'), 'P2028'],
  [new TypeError('x'), 'TypeError'],
  [lost(new Error('x')), 'CONNECTION_LOST'],
  [null, 'UNKNOWN'],
])('its name %#', (error, code) => {
  expect(codeOf(error)).toBe(code)
})

test('an error that tells is kept as it is, also by a lost connection', () => {
  const error = state('57P01')
  expect(lost(error)).toBe(error)
  expect(lost(new Error('why'))).toMatchObject({ message: 'why' })
})

test.each([new TypeError('x'), new ReferenceError('x'), new RangeError('x')])('a bug is no lost connection: %s', (bug) => {
  expect(lost(bug)).toBe(bug)
  expect(codeOf(lost(bug))).toBe(bug.name)
})
