// Floors: what the parts cost alone.
//   pg-only:         Claim and delete 1,000 rows a round in id order, no Kafka (records: 0; read perSec from `floor`).
//   kafkajs:         N payloads made in memory, sendBatch of 1,000, awaited, acks -1.
//   platformatic:    The same with @platformatic/kafka 1.35.0.
// The process prints {"floor":…} as its last line; mode drain shows it as `floor`.
import { fileURLToPath } from 'node:url'

const adapter = {
  async setup(_ctx, client) {
    await client.query(
      'CREATE TABLE outbox (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, topic text NOT NULL, key text NOT NULL, payload jsonb NOT NULL, created_at timestamptz NOT NULL DEFAULT now())',
    )
    await client.query('CREATE TABLE want (n int, keys int, done boolean DEFAULT false)')
  },
  async preload(ctx, client, source, { n, keys }) {
    await client.query(`INSERT INTO want VALUES (${n}, ${keys})`)
    if (ctx.variant === 'pg-only')
      await client.query(
        `INSERT INTO outbox (topic, key, payload) SELECT '${ctx.topic}', key, payload::jsonb FROM (${source}) s ORDER BY id`,
      )
  },
  relay: () => ({ cmd: process.execPath, args: [fileURLToPath(import.meta.url), 'relay'] }),
  noRecords: (ctx) => ctx.variant === 'pg-only',
  pending: () => 'SELECT count(*) AS n FROM want WHERE NOT done',
}

// The benchmark loads an adapter by its default export.
export { adapter as default }

if (process.argv[2] === 'relay') {
  const { default: pg } = await import('pg')
  const { DATABASE_URL, KAFKA_BROKERS, TOPIC, VARIANT } = process.env
  const client = new pg.Client({ connectionString: DATABASE_URL })
  await client.connect()
  const { n, keys } = (await client.query('SELECT sum(n)::int AS n, max(keys) AS keys FROM want')).rows[0]
  const report = (t0) => console.log(JSON.stringify({ floor: Math.round(n / ((performance.now() - t0) / 1000)) }))
  if (VARIANT === 'pg-only') {
    const t0 = performance.now()
    for (;;) {
      await client.query('BEGIN')
      const { rows } = await client.query(
        'SELECT id, topic, key, payload::text AS value FROM outbox ORDER BY id LIMIT 1000 FOR UPDATE',
      )
      if (rows.length) await client.query('DELETE FROM outbox WHERE id = ANY($1)', [rows.map((r) => r.id)])
      await client.query('COMMIT')
      if (!rows.length) break
    }
    report(t0)
  } else {
    const seq = {}
    const messages = Array.from({ length: n }, (_, i) => {
      const key = `key-${(i * 7919) % keys}`
      seq[key] = (seq[key] ?? -1) + 1
      const head = `{"i":${i},"k":"${key}","s":${seq[key]},"p":"`
      return { topic: TOPIC, key, value: `${head + 'x'.repeat(298 - head.length)}"}` }
    })
    let send
    if (VARIANT === 'platformatic') {
      const { Producer, stringSerializers } = await import('@platformatic/kafka')
      const p = new Producer({
        clientId: 'floor',
        bootstrapBrokers: KAFKA_BROKERS.split(','),
        serializers: stringSerializers,
        acks: -1,
      })
      send = (m) => p.send({ messages: m, acks: -1 })
    } else {
      const { Kafka, logLevel } = (await import('kafkajs')).default
      const p = new Kafka({ brokers: KAFKA_BROKERS.split(','), logLevel: logLevel.ERROR }).producer({
        allowAutoTopicCreation: false,
      })
      await p.connect()
      send = (m) => p.sendBatch({ acks: -1, topicMessages: [{ topic: TOPIC, messages: m }] })
    }
    const t0 = performance.now()
    for (let i = 0; i < n; i += 1000) await send(messages.slice(i, i + 1000))
    report(t0)
  }
  await client.query('UPDATE want SET done = true')
  setInterval(() => {}, 1e6)
  process.on('SIGTERM', () => process.exit(0))
}
