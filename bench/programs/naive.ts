import pg from 'pg'
import { type PlainRecord, plainProducer, plainRecord } from './producer.ts'

/** The loop of the articles, tuned: one transaction takes the thousand oldest rows, publishes them, and deletes them. */
const { DATABASE_URL, KAFKA_BROKERS, OUTBOX_TRANSPORT } = process.env as Record<string, string>
process.on('SIGTERM', () => process.exit(0))
const client = new pg.Client({ connectionString: DATABASE_URL })
const [send] = await Promise.all([plainProducer(OUTBOX_TRANSPORT!, KAFKA_BROKERS!), client.connect()])
console.log('begin')
for (;;) {
  await client.query('BEGIN')
  const { rows } = await client.query<{ id: string; topic: string; key: string; value: string }>(
    'SELECT id, topic, key, payload::text AS value FROM outbox ORDER BY id LIMIT 1000 FOR UPDATE',
  )
  const topics = new Map<string, PlainRecord[]>()
  for (const { topic, key, value } of rows) {
    const records = topics.get(topic) ?? []
    records.push(plainRecord(key, value))
    topics.set(topic, records)
  }
  for (const [topic, records] of topics) await send(topic, records)
  if (rows.length > 0) await client.query('DELETE FROM outbox WHERE id = ANY($1)', [rows.map((row) => row.id)])
  await client.query('COMMIT')
  if (rows.length === 0) await new Promise((resolve) => setTimeout(resolve, 20))
}
