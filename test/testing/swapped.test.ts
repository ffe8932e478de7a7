import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { outbox } from '../../src/index.ts'
import { enqueued, expectEnqueued } from '../../src/testing/index.ts'
import { loadPrisma6, type PrismaVersion, prisma7, shopSql } from '../enqueue/clients.ts'
import { createDatabase, type TestDatabase } from '../support/database.ts'

/**
 * The client that jest-prisma 1.8 gives to tests, by its shape: that of a transaction, except that it throws for what only the outer client
 * has, and that callbacks of `$transaction` get the test's own transaction where Prisma has no savepoints.
 */
function swapped<C extends object>(tx: C, outer: C): C {
  const known = tx as Record<PropertyKey, unknown>
  const proxy = new Proxy(tx, {
    get(_, name) {
      if (known[name]) return known[name]
      if (name === '$transaction') return (run: (tx: C) => unknown) => run(tx)
      if ((outer as Record<PropertyKey, unknown>)[name]) throw new Error(`Unsupported property: ${String(name)}`)
      return undefined
    },
  })
  return new Proxy({} as C, { get: (_, name) => (proxy as Record<PropertyKey, unknown>)[name] })
}

const versions: PrismaVersion[] = [prisma7, await loadPrisma6()]

describe.each(versions)('a client that a test library swapped, $name', ({ PrismaClient, PrismaPg, nested }) => {
  let db: TestDatabase
  let outer: ReturnType<typeof connect>
  const connect = () => new PrismaClient({ adapter: new PrismaPg({ connectionString: db.url }) }).$extends(outbox())
  beforeAll(async () => {
    db = await createDatabase(shopSql)
    outer = connect()
  })
  afterAll(async () => {
    await outer.$disconnect()
    await db.drop()
  })

  /** Runs a test in a transaction that is rolled back. */
  async function rolledBack(run: (prisma: typeof outer) => Promise<void>): Promise<void> {
    const undo = new Error('undo')
    const tried = outer.$transaction(
      async (tx) => {
        await run(swapped(tx as unknown as typeof outer, outer))
        throw undo
      },
      { timeout: 30_000 },
    )
    await expect(tried).rejects.toBe(undo)
    expect(await enqueued(outer)).toEqual([])
  }

  test('enqueues in the transaction of the test, inside of $transaction and outside', () =>
    rolledBack(async (prisma) => {
      await prisma.$transaction(async (tx) => {
        await tx.order.create({ data: { customer: 'ada' } })
        await tx.outbox.enqueue({ topic: 't', payload: 1 })
      })
      await prisma.outbox.enqueue({ topic: 't', payload: 2 })
      await expectEnqueued(prisma, { topic: 't', payload: 1 })
      expect((await enqueued(prisma)).map(({ payload }) => payload)).toEqual([1, 2])
    }))

  test(`after a refused enqueue ${nested ? 'another one is written' : 'the test can enqueue nothing more'}`, () =>
    rolledBack(async (prisma) => {
      const enqueue = (topic: string) => prisma.$transaction(async (tx) => tx.outbox.enqueue({ topic, payload: 1 }))
      await expect(enqueue('')).rejects.toMatchObject({ code: 'OUTBOX_INVALID_TOPIC' })
      if (nested) await enqueue('t')
      else await expect(enqueue('t')).rejects.toMatchObject({ code: 'OUTBOX_TRANSACTION_DOOMED' })
    }))

  test(`while $transaction runs, an enqueue past it ${nested ? 'is refused: it would land in its savepoint' : 'is in the same'}`, () =>
    rolledBack(async (prisma) => {
      const past = prisma.$transaction(async () => prisma.outbox.enqueue({ topic: 't', payload: 1 }))
      if (nested) await expect(past).rejects.toMatchObject({ code: 'OUTBOX_OUTER_CLIENT' })
      else await past
    }))
})
