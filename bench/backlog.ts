import type pg from 'pg'
import { bucketOf } from '../src/message/key.ts'
import type { Ground } from './ground.ts'
import { stride, valueBytes } from './programs/message.ts'

/**
 * Waiting messages: `messages` of them, of `keys` keys in turn, numbered from `from`. `traced`: each is enqueued in a trace of its own.
 * `overMs`: they are enqueued evenly over that time until now. `orders`: they have the values of a shop in place of one letter, which any
 * codec shrinks to nothing.
 */
export interface Backlog {
  messages: number
  keys: number
  from?: number
  traced?: boolean
  overMs?: number
  orders?: boolean
}

/** Values and keys as `payloadOf` and `keyOf` make them, in SQL, for a column `n`. */
const sqlValue = `('{"n":' || n || ',"p":"' || repeat('x', ${valueBytes - 9} - length('{"n":' || n)) || '"}')`
/** An order of about 300 bytes: an id and prices that no other has, and the names and words that orders share. */
const sqlOrder = `('{"n":' || n || ',"orderId":"' || md5(n::text) || '","customer":{"id":' || n * ${stride} % 5000 || ',"country":"' ||
  (ARRAY['DE','FR','US','BR','JP'])[1 + n % 5] || '"},"lines":[{"sku":"A-' || n * 31 % 977 || '","quantity":' || 1 + n % 4 || ',"price":' ||
  n * 37 % 9999 || '},{"sku":"B-' || n * 17 % 499 || '","quantity":1,"price":' || n * 53 % 9999 || '}],"total":' || n * 71 % 99999 ||
  ',"currency":"EUR","placedAt":"' || to_char(timestamp '2026-11-01' + n * interval '1.7 seconds', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') ||
  '","channel":"web"}')`
const sqlKey = `('key-' || n * ${stride} % $2)`
const sqlTrace = `jsonb_build_object('traceparent', '00-' || md5(n::text) || '-' || left(md5('span' || n), 16) || '-01')`
const sqlNumbers = 'generate_series($3::bigint, $3 + $4 - 1) AS n'

/** Most rows of one statement: the backlog of ten million needs no transaction of ten million. */
const atOnce = 1_000_000

/** Puts a backlog into the table of the outbox; by a client of the pool it is a part of that one's transaction. */
export async function preloadOutbox(
  { pool, topic }: { pool: pg.Pool | pg.PoolClient; topic: string },
  { messages, keys, from = 0, traced = false, overMs, orders = false }: Backlog,
): Promise<void> {
  const buckets = Array.from({ length: keys }, (_, index) => bucketOf(topic, Buffer.from(`key-${index}`)))
  const createdAt =
    overMs === undefined ? '' : `, now() - (${from + messages} - n) * interval '${overMs / messages} milliseconds'`
  for (const [first, count] of portions(from, messages)) {
    await pool.query(
      `INSERT INTO outbox (bucket, message_id, topic, key, value, headers${createdAt && ', created_at'})
       SELECT ($5::int[])[1 + n * ${stride} % $2], gen_random_uuid(), $1, convert_to(${sqlKey}, 'UTF8'),
         convert_to(${orders ? sqlOrder : sqlValue}, 'UTF8'),
         ${traced ? sqlTrace : 'NULL'}${createdAt}
       FROM ${sqlNumbers} ORDER BY n`,
      [topic, keys, first, count, buckets],
    )
  }
}

/** The table that articles show. */
export const plainTable = `CREATE TABLE outbox (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, topic text NOT NULL,
  key text NOT NULL, payload jsonb NOT NULL, created_at timestamptz NOT NULL DEFAULT now())`

/** Puts a backlog into {@link plainTable}. */
export async function preloadPlain({ pool, topic }: Ground, { messages, keys, from = 0 }: Backlog): Promise<void> {
  for (const [first, count] of portions(from, messages)) {
    await pool.query(
      `INSERT INTO outbox (topic, key, payload) SELECT $1, ${sqlKey}, ${sqlValue}::jsonb FROM ${sqlNumbers} ORDER BY n`,
      [topic, keys, first, count],
    )
  }
}

/** Puts a backlog into eventferry's table. */
export async function preloadEventferry({ pool, topic }: Ground, { messages, keys, from = 0 }: Backlog): Promise<void> {
  for (const [first, count] of portions(from, messages)) {
    await pool.query(
      `INSERT INTO outbox (aggregate_type, aggregate_id, topic, "key", payload)
       SELECT 'bench', ${sqlKey}, $1, ${sqlKey}, ${sqlValue}::jsonb FROM ${sqlNumbers} ORDER BY n`,
      [topic, keys, first, count],
    )
  }
}

function portions(from: number, messages: number): [first: number, count: number][] {
  return Array.from({ length: Math.ceil(messages / atOnce) }, (_, index) => [
    from + index * atOnce,
    Math.min(atOnce, messages - index * atOnce),
  ])
}
