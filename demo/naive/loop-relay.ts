import { relay } from './ways/simple-loop.ts'

// The simple loop in a process of its own.

const { DATABASE_URL, KAFKA_BROKERS, TOPIC } = process.env
const stopping = new AbortController()
process.once('SIGTERM', () => stopping.abort())
console.log('ready')
await relay({ databaseUrl: DATABASE_URL!, brokers: KAFKA_BROKERS!, topic: TOPIC! }, stopping.signal)
