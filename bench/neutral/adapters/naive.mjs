// The loop of the blog articles: one transaction takes the oldest rows FOR UPDATE, sends them, deletes them.
//   default: limit 100, one awaited send per message, one second of sleep when the table is empty
//   tuned:   limit 1000, one sendBatch per round, 20 ms of sleep when the table is empty
import { fileURLToPath } from 'node:url'

const tuned = (v) => v === 'tuned'

const adapter = {
  async setup(_ctx, client) {
    await client.query(
      'CREATE TABLE outbox (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, topic text NOT NULL, key text NOT NULL, payload jsonb NOT NULL, created_at timestamptz NOT NULL DEFAULT now())',
    )
  },
  async preload(ctx, client, source) {
    await client.query(
      `INSERT INTO outbox (topic, key, payload) SELECT '${ctx.topic}', key, payload::jsonb FROM (${source}) s ORDER BY id`,
    )
  },
  insert: (ctx, m) => ({
    name: 'ins',
    text: 'INSERT INTO outbox (topic, key, payload) VALUES ($1, $2, $3)',
    values: [ctx.topic, m.key, m.payload],
  }),
  relay: (_ctx) => ({ cmd: process.execPath, args: [fileURLToPath(import.meta.url), 'relay'] }),
  pending: () => 'SELECT count(*) AS n FROM outbox',
}

// The benchmark loads an adapter by its default export.
export { adapter as default }

if (process.argv[2] === 'relay') {
  const { default: pg } = await import('pg')
  const { Kafka, logLevel } = await import('kafkajs')
  const many = tuned(process.env.VARIANT)
  const client = new pg.Client({ connectionString: process.env.DATABASE_URL })
  const producer = new Kafka({ brokers: process.env.KAFKA_BROKERS.split(','), logLevel: logLevel.ERROR }).producer({
    allowAutoTopicCreation: false,
  })
  await Promise.all([client.connect(), producer.connect()])
  for (;;) {
    await client.query('BEGIN')
    const { rows } = await client.query(
      `SELECT id, topic, key, payload::text AS value FROM outbox ORDER BY id LIMIT ${many ? 1000 : 100} FOR UPDATE`,
    )
    if (many) {
      const topics = new Map()
      for (const r of rows) topics.set(r.topic, [...(topics.get(r.topic) ?? []), r])
      if (rows.length)
        await producer.sendBatch({ acks: -1, topicMessages: [...topics].map(([topic, messages]) => ({ topic, messages })) })
    } else {
      for (const { topic, key, value } of rows) await producer.send({ topic, acks: -1, messages: [{ key, value }] })
    }
    if (rows.length) await client.query('DELETE FROM outbox WHERE id = ANY($1)', [rows.map((r) => r.id)])
    await client.query('COMMIT')
    if (!rows.length) await new Promise((r) => setTimeout(r, many ? 20 : 1000))
  }
}
