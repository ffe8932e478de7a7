import { createRelay } from '../../../src/embed.ts'

// A relay in a process of its own, until the command line has one.
const { DATABASE_URL, KAFKA_BROKERS, OUTBOX_LEASE_MS } = process.env
const relay = createRelay({
  databaseUrl: DATABASE_URL!,
  kafka: { brokers: KAFKA_BROKERS!.split(',') },
  leaseMs: OUTBOX_LEASE_MS ? Number(OUTBOX_LEASE_MS) : undefined,
})
relay.telemetry.subscribe((event, fields) => console.log(JSON.stringify({ event, ...fields })))
process.once('SIGTERM', () => relay.stop())
await relay.start()
