import { readFileSync } from 'node:fs'
import { connectShop, type Shop } from '../../examples/orders/shop.ts'
import { createDatabase, type TestDatabase } from '../support/database.ts'

/** A file of the example. */
export const example = (path: string) => readFileSync(new URL(`../../examples/orders/${path}`, import.meta.url), 'utf8')

/** The SQL of one of its migrations. */
export const migration = (name: string) => example(`prisma/migrations/${name}/migration.sql`)

const shopSql = ['20261101000000_shop', '20261125000000_inbox', '20261125100000_consumers', '20261126000000_channel']
  .map(migration)
  .join('\n')

/** A database with all tables of the shop, and the shop's client for it. */
export async function openShop(): Promise<{ database: TestDatabase; shop: Shop; close(): Promise<void> }> {
  const database = await createDatabase(shopSql)
  const shop = connectShop(database.url)
  const close = async () => {
    await shop.$disconnect()
    await database.drop()
  }
  return { database, shop, close }
}
