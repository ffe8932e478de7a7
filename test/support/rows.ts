import { randomUUID } from 'node:crypto'
import type pg from 'pg'
import { bucketOf } from '../../src/message/key.ts'

/** A row to put into the outbox by plain SQL, as an application without Prisma would. */
export interface NewRow {
  topic: string
  key?: string | null
  value?: string | Uint8Array | null
  headers?: Record<string, string> | null
  type?: string | null
  messageId?: string
}

/** So many of something, which tell by their number, from 0 on. */
export const times = <T>(count: number, make: (n: number) => T): T[] => Array.from({ length: count }, (_, n) => make(n))

/** Makes the tables as they are where they were made without the CHECKs of the migration, by `prisma db push` for example. */
export async function withoutChecks(client: pg.Pool | pg.ClientBase): Promise<void> {
  const drop = ['id', 'created_at', 'topic'].map((column) => `DROP CONSTRAINT IF EXISTS "outbox_${column}_check"`)
  await client.query(`ALTER TABLE "outbox" ${drop.join(', ')};
    ALTER TABLE "outbox_lease" DROP CONSTRAINT IF EXISTS "outbox_lease_lease_ms_check";
    ALTER TABLE "outbox_relay" DROP CONSTRAINT IF EXISTS "outbox_relay_times_check"`)
}

/** Inserts rows in the given order, in one statement each, and returns their ids. */
export async function insertRows(
  client: pg.Pool | pg.ClientBase,
  rows: readonly NewRow[],
  schema = 'public',
  prefix = '',
): Promise<number[]> {
  const ids: number[] = []
  for (const row of rows) {
    const key = row.key === undefined || row.key === null ? null : Buffer.from(row.key)
    const value = row.value === undefined ? Buffer.from('{}') : row.value === null ? null : Buffer.from(row.value)
    const result = await client.query<{ id: string }>(
      `INSERT INTO "${schema}"."${prefix}outbox" (bucket, message_id, topic, type, key, value, headers) VALUES ($1,$2,$3,$4,$5,$6,$7) RETURNING id`,
      [bucketOf(row.topic, key), row.messageId ?? randomUUID(), row.topic, row.type ?? null, key, value, row.headers ?? null],
    )
    ids.push(Number(result.rows[0]!.id))
  }
  return ids
}

/** Inserts `count` rows of `keys` keys in one statement; values are `{"n":1}`, `{"n":2}`, … in the order of the ids. */
export async function insertMany(client: pg.Pool | pg.ClientBase, topic: string, count: number, keys: number): Promise<void> {
  const list = Array.from({ length: keys }, (_, index) => `key-${index}`)
  const buckets = list.map((key) => bucketOf(topic, Buffer.from(key)))
  await client.query(
    `INSERT INTO "outbox" (bucket, message_id, topic, key, value)
     SELECT ($3::int[])[1 + n % $2], gen_random_uuid(), $1, convert_to(($4::text[])[1 + n % $2], 'UTF8'), convert_to('{"n":' || n || '}', 'UTF8')
     FROM generate_series(1, $5::int) AS n ORDER BY n`,
    [topic, keys, buckets, list, count],
  )
}

/** Moves all rows of the outbox to the dead letters. `head`: the message that was refused, with the others behind it; without, all were. */
export const moveToDead = (client: pg.Pool | pg.ClientBase, head?: string): Promise<unknown> =>
  client.query(
    `WITH gone AS (DELETE FROM outbox RETURNING *)
     INSERT INTO outbox_dead_letter (bucket, id, message_id, topic, key, value, created_at, reason, error, relay)
     SELECT bucket, id, message_id, topic, key, value, created_at, CASE WHEN message_id = coalesce($1::uuid, message_id) THEN 'INVALID_RECORD' END, 'e', 'r' FROM gone`,
    [head],
  )
