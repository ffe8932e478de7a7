import { oneForAll } from '../message/one-copy.ts'
import { isPrisma8Client, outsideOf, runnerOf } from '../prisma/prisma8.ts'
import type { SqlRunner } from '../prisma/statement.ts'
import type { Destination } from './enqueue.ts'

// The clients of Prisma 8 that have the outbox, and their transactions. A transaction of Prisma 8 cannot make a statement, only its client
// can: so code that is given a transaction asks here how to run one. Written by enqueue/prisma8.ts, read by it, the inbox and testing.

const destinations = oneForAll('prisma-8-destinations', () => new WeakMap<object, Destination>())

/** Notes how statements run on a wrapped client, or on what a callback of its transactions receives. */
export const register = (on: object, to: Destination): void => void destinations.set(on, to)

/** Where a wrapped client or one of its transactions enqueues; also of an object that an application derived from it. */
export function destinationOf(on: unknown): Destination | undefined {
  for (let one = on; typeof one === 'object' && one !== null; one = Object.getPrototypeOf(one)) {
    const found = destinations.get(one)
    if (found) return found
  }
  return undefined
}

/**
 * Runs our statements on a client of any version, or on one of its transactions; undefined: nothing is known of it. Of Prisma 8 a transaction
 * must be one of a wrapped client.
 */
export function runnerFor(on: object): SqlRunner | undefined {
  if (typeof (on as Partial<SqlRunner>).$queryRaw === 'function') return on as SqlRunner
  return destinationOf(on)?.db ?? (isPrisma8Client(on) ? runnerOf(on, () => outsideOf(on)) : undefined)
}
