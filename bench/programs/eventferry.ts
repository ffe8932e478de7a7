import { rival } from './rival.ts'

/** eventferry's relay, polling every five seconds as its README says, and woken by the trigger. */
const { DATABASE_URL: connectionString, KAFKA_BROKERS } = process.env as Record<string, string>
const { default: pg } = await rival('pg')
const { Relay } = await rival('@eventferry/core')
const { PostgresStore, PostgresNotifyWaker } = await rival('@eventferry/postgres')
const { KafkaPublisher } = await rival('@eventferry/kafka')
const relay = new Relay({
  store: new PostgresStore({ pool: new pg.Pool({ connectionString }) }),
  publisher: new KafkaPublisher({ driver: 'kafkajs', brokers: KAFKA_BROKERS!.split(','), idempotent: true }),
  waker: new PostgresNotifyWaker({ connect: () => new pg.Client(connectionString), channel: 'outbox' }),
  retry: { maxAttempts: 5, strategy: 'exponential', baseMs: 200, maxMs: 30_000 },
  batchSize: 1_000,
  pollIntervalMs: 5_000,
})
process.on('SIGTERM', () => process.exit(0))
await relay.start()
console.log('begin')
