import { afterEach, describe, expect, test } from 'vitest'
import { enqueue, outbox } from '../../../src/index.ts'
import { isOutboxError } from '../../../src/message/errors.ts'
import { LateStatements, signal } from '../../support/late-statements.ts'
import { hasPgbouncer, startPgbouncer } from '../../support/pgbouncer.ts'
import { type ConnectOptions, message, type Shop } from './shop.ts'

const isInsert = (sql: string) => sql.startsWith('INSERT INTO "public"."outbox"')
const isQuestion = (sql: string) => sql.includes('pg_current_xact_id') && !isInsert(sql)

/** Milliseconds until a transaction times out: enough to reach the statement on a busy machine. It is held up until after the rollback. */
const timeout = 1_500

const codeOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => 'committed',
    (error: unknown) => (error as { code?: unknown }).code,
  )

/** Statements that arrive after the end of their transaction (prisma/orm#29762): no message without its business rows. */
export function describeLate(shop: Shop): void {
  const { customers, topics } = shop
  const clients: { $disconnect(): Promise<void> }[] = []
  afterEach(async () => {
    for (const client of clients.splice(0)) await client.$disconnect()
  })

  const connect = (late: LateStatements, options: ConnectOptions & { url?: string } = {}) => {
    const base = shop.connect(options.url, { ...options, adapt: late.adapt })
    clients.push(base)
    return { base, prisma: base.$extends(outbox({ wake: false })) }
  }

  // Prisma 8 has no timeout that would end a transaction: its late statements are in test/prisma8/late.test.ts.
  describe.runIf(shop.has('settings'))('a statement that arrives when its transaction is over', () => {
    test.each([
      ['one message', 'extension', false],
      ['several messages', 'extension', true],
      ['one message', 'function form', false],
    ] as const)('writes nothing: %s, %s', async (_, form, many) => {
      const late = new LateStatements(isInsert)
      const { base, prisma } = connect(late)
      let enqueued: Promise<unknown> | undefined
      const place = async (tx: Parameters<Parameters<typeof prisma.$transaction>[0]>[0]) => {
        await tx.order.create({ data: { customer: 'Ada' } })
        enqueued = many ? tx.outbox.enqueueMany([message('a'), message('b')]) : tx.outbox.enqueue(message('a'))
        await enqueued
      }
      const transaction =
        form === 'extension'
          ? prisma.$transaction(place, { timeout })
          : base.$transaction(
              async (tx) => {
                await tx.order.create({ data: { customer: 'Ada' } })
                enqueued = enqueue(tx, message('a'))
                await enqueued
              },
              { timeout },
            )
      expect(await codeOf(transaction)).not.toBe('committed')
      await late.arrived
      const refusal = await enqueued!.catch((error: unknown) => error)
      expect(isOutboxError(refusal, 'OUTBOX_TRANSACTION_OVER')).toBe(true)
      expect(refusal).toMatchObject({ remedy: expect.stringContaining('Nothing was written') })
      expect([await customers(), await topics()]).toEqual([[], []])
    })

    test('writes nothing although the transaction had enqueued before', async () => {
      const late = new LateStatements((sql) => isInsert(sql) && shop.statements.some(isInsert))
      const { prisma } = connect(late)
      const place = prisma.$transaction(
        async (tx) => {
          await tx.outbox.enqueue(message('a'))
          await tx.outbox.enqueue(message('b'))
        },
        { timeout },
      )
      expect(await codeOf(place)).not.toBe('committed')
      await late.arrived
      expect(await topics()).toEqual([])
    })

    test('writes nothing in the transaction that has its connection now', async () => {
      const next = signal()
      const late = new LateStatements(isInsert, () => next.promise)
      const { prisma } = connect(late, { connections: 1 })
      const first = codeOf(prisma.$transaction((tx) => tx.outbox.enqueue(message('first')), { timeout }))
      await late.over
      await prisma.$transaction(async (tx) => {
        await tx.order.create({ data: { customer: 'Bob' } })
        await tx.outbox.enqueue(message('second'))
        next.resolve()
        await late.arrived
        await tx.outbox.enqueue(message('third'))
      })
      expect(await first).not.toBe('committed')
      expect([await customers(), await topics()]).toEqual([['Bob'], ['second', 'third']])
    })

    test.each([
      ['before the next one has enqueued', false],
      ['after the next one has enqueued', true],
    ])('harms nobody where it is the question for the id of the transaction, %s', async (_, after) => {
      const next = signal()
      const late = new LateStatements(isQuestion, () => next.promise)
      const { prisma } = connect(late, { connections: 1 })
      const first = codeOf(prisma.$transaction((tx) => tx.outbox.enqueue(message('first')), { timeout }))
      await late.over
      await prisma.$transaction(async (tx) => {
        await tx.order.create({ data: { customer: 'Bob' } })
        if (after) await tx.outbox.enqueue(message('second'))
        next.resolve()
        await late.arrived
        await tx.outbox.enqueue(message('third'))
      })
      expect(await first).not.toBe('committed')
      expect([await customers(), await topics()]).toEqual([['Bob'], after ? ['second', 'third'] : ['third']])
    })

    if (!hasPgbouncer) console.log('Skipped: PgBouncer is not installed (apt-get install pgbouncer).')
    test.skipIf(!hasPgbouncer)(
      'writes nothing behind PgBouncer in transaction mode, where it may meet any connection',
      async () => {
        const pooler = await startPgbouncer(shop.db.directUrl, 1)
        try {
          const late = new LateStatements(isInsert)
          const { prisma } = connect(late, { url: pooler.url })
          const place = (customer: string, limitMs: number) =>
            prisma.$transaction(
              async (tx) => {
                await tx.order.create({ data: { customer } })
                await tx.outbox.enqueue(message(customer))
                await tx.outbox.enqueue(message(customer))
              },
              { timeout: limitMs },
            )
          expect(await codeOf(place('Ada', timeout))).not.toBe('committed')
          await late.arrived
          expect(await topics()).toEqual([])
          await place('Bob', 20_000)
          expect([await customers(), await topics()]).toEqual([['Bob'], ['Bob', 'Bob']])
        } finally {
          await clients.pop()?.$disconnect()
          await pooler.stop()
        }
      },
    )
  })

  describe.runIf(shop.has('nested'))('the id of a transaction is that of its savepoints', () => {
    test.each([
      ['rolls back', true],
      ['is released', false],
    ])('after the first enqueue was in a savepoint that %s', async (_, fails) => {
      await shop.prisma.$transaction(async (tx) => {
        await tx
          .$transaction(async (inner) => {
            await inner.outbox.enqueue(message('inner'))
            await enqueue(inner, message('inner-2'))
            if (fails) throw new Error('inner')
          })
          .catch(() => {})
        await tx.outbox.enqueue(message('outer'))
        await enqueue(tx, message('outer-2'))
      })
      expect(await topics()).toEqual([...(fails ? [] : ['inner', 'inner-2']), 'outer', 'outer-2'])
      expect(shop.statements.filter(isQuestion)).toHaveLength(1)
    })

    test('also without the extension', async () => {
      await shop.base.$transaction(async (tx) => {
        await tx.$transaction((inner) => enqueue(inner, message('inner')))
        await enqueue(tx, message('outer'))
      })
      expect(await topics()).toEqual(['inner', 'outer'])
    })

    test('and a savepoint whose transaction times out writes nothing', async () => {
      const late = new LateStatements(isInsert)
      const { prisma } = connect(late)
      const place = prisma.$transaction(
        async (tx) => {
          await tx.order.create({ data: { customer: 'Ada' } })
          await tx.$transaction((inner) => inner.outbox.enqueue(message('inner')))
        },
        { timeout },
      )
      expect(await codeOf(place)).not.toBe('committed')
      await late.arrived
      expect([await customers(), await topics()]).toEqual([[], []])
    })
  })
}
