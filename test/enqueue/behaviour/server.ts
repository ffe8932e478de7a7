import { randomUUID } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import pg from 'pg'
import { expect, test } from 'vitest'
import { message, rejection, type Shop } from './shop.ts'

/** Settings and rights of the database. */
export function describeServer(shop: Shop): void {
  const { connect, topics } = shop
  test.runIf(shop.has('settings'))('settings of a transaction reach Prisma, and its answer comes back', async () => {
    const level = await shop.prisma.$transaction(
      async (tx) => {
        await tx.outbox.enqueue(message('a'))
        return tx.$queryRaw<{ level: string }[]>`SELECT current_setting('transaction_isolation') AS level`
      },
      { isolationLevel: 'Serializable', timeout: 4000 },
    )
    expect(level).toEqual([{ level: 'serializable' }])
    expect(await shop.prisma.$transaction([shop.prisma.order.count(), shop.prisma.order.count()])).toEqual([0, 0])
  })

  test('a role that has the application grants of ops/grants.sql, and nothing else, can enqueue', async () => {
    await shop.db.query(await readFile(new URL('../../../ops/grants.sql', import.meta.url), 'utf8'))
    const role = `app_${randomUUID().slice(0, 8)}`
    await shop.db.query(`CREATE ROLE "${role}" LOGIN PASSWORD 'app' IN ROLE outbox_app`)
    const url = new URL(shop.db.url)
    Object.assign(url, { username: role, password: 'app' })
    const client = connect(url.href)
    const pool = new pg.Pool({ connectionString: url.href })
    try {
      const app = shop.boxed({ wake: true }, client)
      await app.$transaction(async (tx) => {
        await tx.outbox.enqueue(message('a'))
        await tx.outbox.enqueueMany([message('b'), message('c')])
      })
      await expect(pool.query('SELECT 1 FROM "outbox"')).rejects.toMatchObject({ code: '42501' })
      await shop.db.query('REVOKE INSERT ON "outbox" FROM outbox_app')
      expect((await rejection(app.$transaction((tx) => tx.outbox.enqueue(message('d'))))).code).toBe('OUTBOX_MISSING_RIGHTS')
    } finally {
      await Promise.all([client.$disconnect(), pool.end()])
      await shop.db.query(`DROP OWNED BY "${role}"; DROP ROLE "${role}"`)
    }
    expect(await topics()).toEqual(['a', 'b', 'c'])
  })
}
