import { enqueue } from '../../enqueue/prisma8.ts'
import { type TableSet, tablesOf } from '../../message/tables.ts'
import { type Prisma8Client, runnerOf } from '../../prisma/prisma8.ts'
import { statement } from '../../prisma/statement.ts'
import type { TriedClient } from './try-rollback.ts'

/** A wrapped client of Prisma 8. Its own way is a statement that nobody awaits: without the wrapper it would commit after the rollback. */
export function tried8(client: Prisma8Client & { close?(): Promise<unknown> }): TriedClient {
  const on = (tx: object) => runnerOf(client, () => tx as never)
  return {
    way: 'a statement',
    transaction: (callback) => client.transaction(callback),
    async place(tx, sql) {
      const rows = await on(tx).$queryRaw<{ place: string }[]>(statement(sql, { place: 'text' }))
      return rows[0]?.place
    },
    enqueue: (tx, message, { schema, prefix }) => enqueue(tx, message, { schema, tablePrefix: prefix }),
    async write(tx, { bucket, message_id, topic, value }, set) {
      const written = on(tx).$executeRaw(insert(set), bucket, message_id, topic, value)
      Promise.resolve(written).catch(() => {})
    },
    close: async () => client.close?.(),
  }
}

const insert = ({ schema, prefix }: TableSet): TemplateStringsArray =>
  statement(`INSERT INTO ${tablesOf(schema, prefix).outbox} ("bucket", "message_id", "topic", "value")
    VALUES (?::pg_catalog.int2, ?::pg_catalog.uuid, ?::pg_catalog.text, ?::pg_catalog.bytea)`)
