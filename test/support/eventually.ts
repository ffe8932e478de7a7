import { setTimeout as sleep } from 'node:timers/promises'
import type pg from 'pg'

/** Resolves when the query gives a row; the database has no other signal. */
export async function eventually(client: pg.Pool | pg.ClientBase, sql: string, values: readonly unknown[] = []): Promise<void> {
  while ((await client.query(sql, [...values])).rowCount === 0) await sleep(20)
}

/** Resolves when every message has left the outbox. */
export const emptied = (client: pg.Pool | pg.ClientBase): Promise<void> =>
  eventually(client, 'SELECT WHERE NOT EXISTS (SELECT FROM outbox)')
