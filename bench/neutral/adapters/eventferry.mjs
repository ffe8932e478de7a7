// eventferry (core 3.4.0, postgres 3.3.2, kafka 3.5.0).
//   default:   The README's quick start: polling relay, batch 100, poll 200 ms, kafkajs, idempotent.
//   best:      The same with batch 1000 and the LISTEN/NOTIFY waker (poll 5 s as the README says).
//   batchN:    Best with batch N.
//   confluent: Best with the Confluent driver.
//   streaming: PostgresStreamingRelay (WAL), kafkajs; its order per key is best effort by its own README.
import { fileURLToPath } from 'node:url'
import { rival } from '../rivals.mjs'

let store
const adapter = {
  pgSettings: (v) => (v === 'streaming' ? { wal_level: 'logical' } : {}),
  async setup(ctx, client) {
    const { createMigrationSql, createNotifyTriggerSql, createPublicationSql } = await rival('@eventferry/postgres')
    await client.query(createMigrationSql('outbox'))
    if (!['default', 'streaming'].includes(ctx.variant)) await client.query(createNotifyTriggerSql('outbox', 'outbox'))
    if (ctx.variant === 'streaming') {
      await client.query(createPublicationSql('outbox', 'outbox_pub'))
      await client.query(`SELECT pg_create_logical_replication_slot('slot_${ctx.id}', 'pgoutput')`)
    }
  },
  async preload(ctx, client, source) {
    await client.query(`INSERT INTO outbox (aggregate_type, aggregate_id, topic, "key", payload)
      SELECT 'bench', key, '${ctx.topic}', key, payload::jsonb FROM (${source}) s ORDER BY id`)
  },
  async insert(ctx, m, client) {
    if (!store) {
      const { PostgresStore } = await rival('@eventferry/postgres')
      store ??= new PostgresStore({ pool: client })
    }
    await store.enqueue(client, {
      topic: ctx.topic,
      aggregateType: 'bench',
      aggregateId: m.key,
      key: m.key,
      payload: JSON.parse(m.payload),
    })
  },
  relay: () => ({ cmd: process.execPath, args: [fileURLToPath(import.meta.url), 'relay'] }),
  pending: () => 'SELECT count(*) AS n FROM outbox WHERE status <> 2',
}

// The benchmark loads an adapter by its default export.
export { adapter as default }

if (process.argv[2] === 'relay') {
  const { default: pg } = await rival('pg')
  const { Relay } = await rival('@eventferry/core')
  const { PostgresStore, PostgresNotifyWaker, PostgresStreamingRelay } = await rival('@eventferry/postgres')
  const { KafkaPublisher } = await rival('@eventferry/kafka')
  const { DATABASE_URL: url, KAFKA_BROKERS, VARIANT: v, BENCH_CTX } = process.env
  const pool = new pg.Pool({ connectionString: url })
  const publisher = new KafkaPublisher({
    driver: v === 'confluent' ? 'confluent' : 'kafkajs',
    brokers: KAFKA_BROKERS.split(','),
    idempotent: true,
  })
  const retry = { maxAttempts: 5, strategy: 'exponential', baseMs: 200, maxMs: 30000 }
  const relay =
    v === 'streaming'
      ? new PostgresStreamingRelay({
          store: new PostgresStore({ pool, claimFailedOnly: true }),
          publisher,
          retry,
          replication: {
            connectionString: url,
            slot: `slot_${JSON.parse(BENCH_CTX).id}`,
            publication: 'outbox_pub',
            table: 'outbox',
          },
        })
      : new Relay({
          store: new PostgresStore({ pool }),
          publisher,
          retry,
          ...(v !== 'default' && {
            batchSize: +(/^batch(\d+)$/.exec(v)?.[1] ?? 1000),
            pollIntervalMs: 5000,
            waker: new PostgresNotifyWaker({ connect: () => new pg.Client(url), channel: 'outbox' }),
          }),
        })
  await relay.start()
  process.on('SIGTERM', () => relay.stop().then(() => process.exit(0)))
}
