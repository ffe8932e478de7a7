import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { inbox } from '../../src/inbox/index.ts'
import { isOutboxError } from '../../src/message/errors.ts'
import { shopSql } from '../enqueue/clients.ts'
import { createDatabase, type TestDatabase } from '../support/database.ts'
import { inboxSql } from '../support/migrations.ts'
import { type Client, versionsFor } from './versions.ts'

describe.each(versionsFor('once'))('$name', (version) => {
  let db: TestDatabase
  let prisma: Client
  beforeAll(async () => {
    db = await createDatabase(inboxSql + shopSql)
    prisma = version.connect(db.url, { max: 30 })
  })
  beforeEach(() => db.query('TRUNCATE inbox, inbox_dead_letter, orders'))
  afterAll(async () => {
    await prisma.$disconnect()
    await db.drop()
  })

  /** Handles a copy as a consumer would: an order is its effect. */
  const handle = (id: string, consumer = 'mail', after = () => {}) =>
    version.transaction(prisma, (tx) =>
      inbox.once(tx, { consumer, id }, async () => {
        const { customer } = await version.order(tx, consumer)
        after()
        return customer
      }),
    )

  const orders = async () => (await db.query<{ n: number }>('SELECT count(*)::int AS n FROM orders'))[0]!.n

  describe('inbox.once', () => {
    test('applies the first copy and says what came of it; the second has no effect and says so', async () => {
      const id = randomUUID()
      expect(await handle(id)).toEqual({ first: true, result: 'mail' })
      expect(await handle(id.toUpperCase())).toEqual({ first: false })
      expect(await orders()).toBe(1)
    })

    test('applies one of twenty copies that come at once', async () => {
      const id = randomUUID()
      const all = await Promise.all(Array.from({ length: 20 }, () => handle(id)))
      expect(all.filter(({ first }) => first)).toHaveLength(1)
      expect(await orders()).toBe(1)
    })

    test('applies the copy that waited, when the first one fails: nothing is lost', async () => {
      const id = randomUUID()
      let waits: Promise<unknown> | undefined
      const fails = handle(id, 'mail', () => {
        waits = handle(id)
        throw new Error('full')
      })
      await expect(fails).rejects.toThrow('full')
      expect(await waits).toEqual({ first: true, result: 'mail' })
      expect(await orders()).toBe(1)
    })

    test('leaves no row behind where the transaction rolls back after it', async () => {
      const id = randomUUID()
      const later = version.transaction(prisma, async (tx) => {
        await inbox.once(tx, { consumer: 'mail', id }, () => version.order(tx, 'x'))
        throw new Error('later')
      })
      await expect(later).rejects.toThrow('later')
      expect(await handle(id)).toMatchObject({ first: true })
      expect(await orders()).toBe(1)
    })

    test('applies a message once for each consumer', async () => {
      const id = randomUUID()
      expect(await handle(id, 'mail')).toMatchObject({ first: true })
      expect(await handle(id, 'stock')).toMatchObject({ first: true })
      expect(await orders()).toBe(2)
    })

    test('finds the table in the PostgreSQL schema of the client', async () => {
      await db.query('CREATE SCHEMA shop; CREATE TABLE shop.inbox (LIKE public.inbox INCLUDING ALL)')
      const shop = version.connect(db.url, { schema: 'shop' })
      const id = randomUUID()
      await version.transaction(shop, (tx) => inbox.once(tx, { consumer: 'mail', id }, () => {}))
      await shop.$disconnect()
      expect(await db.query('SELECT message_id FROM shop.inbox')).toEqual([{ message_id: id }])
      expect(await db.query('SELECT message_id FROM inbox')).toEqual([])
    })

    test('is refused on a client that is in no transaction, where row and effect would not belong together', async () => {
      const outside = inbox.once(prisma as never, { consumer: 'mail', id: randomUUID() }, () => {})
      await expect(outside).rejects.toSatisfy((error) => isOutboxError(error, 'OUTBOX_OUTSIDE_TRANSACTION'))
    })

    test.each([
      ['an id that is no UUID', { consumer: 'mail', id: '42' }, 'OUTBOX_INVALID_ID'],
      ['a consumer without a name', { consumer: '', id: randomUUID() }, 'OUTBOX_INVALID_OPTION'],
      ['a schema without the tables', { consumer: 'mail', id: randomUUID(), schema: 'nowhere' }, 'OUTBOX_TABLES_MISSING'],
    ] as const)('refuses %s', async (_, options, code) => {
      const refused = version.transaction(prisma, (tx) => inbox.once(tx, options, () => expect.unreachable()))
      await expect(refused).rejects.toSatisfy((error) => isOutboxError(error, code))
    })
  })

  describe('inbox.prune', () => {
    const row = (consumer: string, days: number, id: string = randomUUID()) =>
      db.query(`INSERT INTO inbox VALUES ($1, $2, clock_timestamp() - $3 * interval '1 day')`, [consumer, id, days])

    test('deletes what is older than two weeks, of that consumer, and never what is still dead-lettered', async () => {
      const deadLettered = randomUUID()
      await row('mail', 13)
      await row('mail', 15)
      await row('mail', 16, deadLettered)
      await row('stock', 15)
      await db.query(`INSERT INTO inbox_dead_letter (consumer, identity, topic, "partition", "offset", message_id, headers)
        VALUES ('mail', '${deadLettered}', 't', 0, 0, '${deadLettered}', '{}')`)
      expect(await inbox.prune(prisma, { consumer: 'mail' })).toBe(1)
      const left = await db.query(
        'SELECT consumer, round(extract(epoch FROM now() - processed_at) / 86400)::int AS days FROM inbox',
      )
      expect(left.sort((a, b) => a.days - b.days)).toEqual([
        { consumer: 'mail', days: 13 },
        { consumer: 'stock', days: 15 },
        { consumer: 'mail', days: 16 },
      ])
      expect(await inbox.prune(prisma, { consumer: 'mail', retentionDays: 10 })).toBe(1)
    })

    test('deletes portion by portion', async () => {
      await db.query(`INSERT INTO inbox SELECT 'mail', gen_random_uuid(), '2020-01-01' FROM generate_series(1, 12000)`)
      expect(await inbox.prune(prisma, { consumer: 'mail' })).toBe(12_000)
      expect(await db.query('SELECT FROM inbox')).toHaveLength(0)
    })
  })
})
