// open-outbox/relay (Go, kafka-go). OPEN_OUTBOX_RELAY = its binary, OPEN_OUTBOX_SCHEMA = its open-outbox.sql.
//   default   its defaults: batch 100, poll 500 ms, Kafka batch 1, acks all, snappy
//   best      its benchmark's advice: BATCH_SIZE=1000, REAP_BATCH_SIZE=500; poll 50 ms, no compression
// KAFKA_CONNECTION_TIMEOUT is raised from the default of 10 ms to 10 s in both (its own docs say 10 s).
import fs from 'node:fs'

const adapter = {
  async setup(_ctx, client) {
    await client.query(fs.readFileSync(process.env.OPEN_OUTBOX_SCHEMA, 'utf8'))
  },
  async preload(ctx, client, source) {
    // one transaction: created_at must rise row by row, as it would with one insert a transaction
    await client.query(`INSERT INTO openoutbox_events (event_id, event_type, partition_key, payload, available_at, created_at)
      SELECT gen_random_uuid(), '${ctx.topic}', key, convert_to(payload, 'UTF8'), t, t FROM (SELECT *, now() + row_number() OVER (ORDER BY id) * interval '1 microsecond' - interval '1 second' AS t FROM (${source}) a) s ORDER BY id`)
  },
  insert: (ctx, m) => ({
    name: 'ins',
    text: 'INSERT INTO openoutbox_events (event_id, event_type, partition_key, payload) VALUES (gen_random_uuid(), $1, $2, $3)',
    values: [ctx.topic, m.key, Buffer.from(m.payload)],
  }),
  relay: (ctx) => ({
    cmd: process.env.OPEN_OUTBOX_RELAY,
    cwd: ctx.folder,
    env: {
      STORAGE_TYPE: 'postgres',
      STORAGE_URL: `${ctx.databaseUrl}?sslmode=disable`,
      PUBLISHER_TYPE: 'kafka',
      PUBLISHER_URL: ctx.brokers,
      KAFKA_CONNECTION_TIMEOUT: '10s',
      SERVER_PORT: process.env.OPEN_OUTBOX_PORT || '127.0.0.1:31190',
      OTEL_TRACES_EXPORTER: 'none',
      OTEL_METRICS_EXPORTER: 'none',
      OTEL_LOGS_EXPORTER: 'none',
      ...(ctx.variant === 'best' && {
        BATCH_SIZE: '1000',
        REAP_BATCH_SIZE: '500',
        POLL_INTERVAL: '50ms',
        KAFKA_COMPRESSION: 'none',
      }),
    },
  }),
  pending: () => "SELECT count(*) AS n FROM openoutbox_events WHERE status <> 'DELIVERED'",
}

// The benchmark loads an adapter by its default export.
export { adapter as default }
