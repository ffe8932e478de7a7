import pg from 'pg'
import type { Backlog } from '../backlog.ts'

/** Reads and deletes a thousand rows a round in the order of their ids: what PostgreSQL costs alone. Writes the rate at the end. */
const { DATABASE_URL, BENCH_BACKLOG } = process.env as Record<string, string>
const { messages } = JSON.parse(BENCH_BACKLOG!) as Backlog
const client = new pg.Client({ connectionString: DATABASE_URL })
await client.connect()
console.log('begin')
const began = performance.now()
for (let left = messages; left > 0; ) {
  await client.query('BEGIN')
  const { rows } = await client.query(
    'SELECT id, topic, key, payload::text AS value FROM outbox ORDER BY id LIMIT 1000 FOR UPDATE',
  )
  await client.query('DELETE FROM outbox WHERE id = ANY($1)', [rows.map((row) => row.id)])
  await client.query('COMMIT')
  left -= rows.length
}
console.log(JSON.stringify({ perSecond: messages / ((performance.now() - began) / 1_000) }))
// Its memory and CPU are read while it is there.
setInterval(() => {}, 60_000)
process.on('SIGTERM', () => process.exit(0))
