// pg-transactional-outbox 0.6.4 (Zehelein) with a kafkajs producer as the message handler (its README's general handler).
//   default:     Polling listener, library defaults: batch 5, poll 500 ms.
//   best:        Polling listener, batch 100, poll 50 ms, pool of 40.
//   replication: WAL listener, the README's mutex controller (one message at a time).
//   segment:     WAL listener, segment mutex controller (parallel over keys, in order per key).
// Both protections are off, as its README advises for an outbox.
import { fileURLToPath } from 'node:url'
import { rival } from '../rivals.mjs'

const wal = (v) => ['replication', 'segment'].includes(v)
const setup = (id, database) => ({
  outboxOrInbox: 'outbox',
  database,
  schema: 'public',
  table: 'outbox',
  listenerRole: 'postgres',
  publication: 'outbox_pub',
  replicationSlot: `slot_${id}`,
  nextMessagesSchema: 'public',
  nextMessagesName: 'next_outbox_messages',
})
const settings = (id) => ({
  dbSchema: 'public',
  dbTable: 'outbox',
  enableMaxAttemptsProtection: false,
  enablePoisonousMessageProtection: false,
  dbPublication: 'outbox_pub',
  dbReplicationSlot: `slot_${id}`,
  nextMessagesFunctionName: 'next_outbox_messages',
  nextMessagesFunctionSchema: 'public',
})
const logger = Object.fromEntries(
  ['fatal', 'error', 'warn', 'info', 'debug', 'trace'].map((l, i) => [
    l,
    i < 3 ? (...a) => console.error(l, ...a.map((x) => x?.stack ?? x)) : () => {},
  ]),
)

let store
const adapter = {
  pgSettings: (v) => (wal(v) ? { wal_level: 'logical' } : {}),
  async setup(ctx, client) {
    const { DatabaseSetup: d } = await rival('pg-transactional-outbox')
    const c = setup(ctx.id, ctx.id)
    await client.query(d.dropAndCreateTable(c))
    await client.query(d.setupPollingIndexes(c))
    await client.query(d.createPollingFunction(c))
    if (wal(ctx.variant)) {
      await client.query(d.setupReplicationCore(c))
      await client.query(`SELECT pg_create_logical_replication_slot('${c.replicationSlot}', 'pgoutput')`)
    }
  },
  async preload(ctx, client, source) {
    await client.query(`INSERT INTO outbox (id, aggregate_type, aggregate_id, message_type, segment, payload)
      SELECT gen_random_uuid(), 'bench', key, '${ctx.topic}', key, payload::jsonb FROM (${source}) s ORDER BY s.id`)
  },
  async insert(ctx, m, client) {
    const { initializeMessageStorage } = await rival('pg-transactional-outbox')
    store ??= initializeMessageStorage({ outboxOrInbox: 'outbox', settings: settings(ctx.id) }, logger)
    await store(
      {
        id: crypto.randomUUID(),
        aggregateType: 'bench',
        aggregateId: m.key,
        messageType: ctx.topic,
        segment: m.key,
        payload: JSON.parse(m.payload),
      },
      client,
    )
  },
  relay: () => ({ cmd: process.execPath, args: [fileURLToPath(import.meta.url), 'relay'] }),
  pending: () => 'SELECT count(*) AS n FROM outbox WHERE processed_at IS NULL',
}

// The benchmark loads an adapter by its default export.
export { adapter as default }

if (process.argv[2] === 'relay') {
  const z = await rival('pg-transactional-outbox')
  const { Kafka, logLevel } = (await rival('kafkajs')).default
  const { DATABASE_URL, KAFKA_BROKERS, VARIANT: v, BENCH_CTX } = process.env
  const producer = new Kafka({ brokers: KAFKA_BROKERS.split(','), logLevel: logLevel.ERROR }).producer({
    allowAutoTopicCreation: false,
  })
  await producer.connect()
  const handler = {
    handle: async (m) => {
      await producer.send({
        topic: m.messageType,
        acks: -1,
        messages: [{ key: m.aggregateId, value: JSON.stringify(m.payload), headers: { id: m.id } }],
      })
    },
  }
  const u = new URL(DATABASE_URL)
  const db = {
    host: u.hostname,
    port: +u.port,
    user: u.username,
    database: u.pathname.slice(1),
    password: u.password,
    ...(v === 'best' && { max: 40 }),
  }
  const { id } = JSON.parse(BENCH_CTX)
  const config = { outboxOrInbox: 'outbox', dbListenerConfig: db, dbHandlerConfig: db, settings: settings(id) }
  let stop
  if (wal(v)) {
    ;[stop] = z.initializeReplicationMessageListener(config, handler, logger, {
      concurrencyStrategy:
        v === 'segment'
          ? z.createReplicationSegmentMutexConcurrencyController()
          : z.createReplicationMutexConcurrencyController(),
    })
  } else {
    if (v === 'best') Object.assign(config.settings, { nextMessagesBatchSize: 100, nextMessagesPollingIntervalInMs: 50 })
    ;[stop] = z.initializePollingMessageListener(config, handler, logger)
  }
  process.on('SIGTERM', () => stop().finally(() => process.exit(0)))
}
