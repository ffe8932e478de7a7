import type { Backlog } from '../backlog.ts'
import { keyOf, payloadOf } from './message.ts'
import { plainProducer, plainRecord } from './producer.ts'

/** Publishes the records of a backlog from memory, a thousand a request: what Kafka and its client cost alone. */
const { KAFKA_BROKERS, OUTBOX_TRANSPORT, BENCH_TOPIC, BENCH_BACKLOG } = process.env as Record<string, string>
const { messages, keys, from = 0 } = JSON.parse(BENCH_BACKLOG!) as Backlog
const send = await plainProducer(OUTBOX_TRANSPORT!, KAFKA_BROKERS!)
const records = Array.from({ length: messages }, (_, index) => plainRecord(keyOf(from + index, keys), payloadOf(from + index)))
console.log('begin')
for (let first = 0; first < messages; first += 1_000) await send(BENCH_TOPIC!, records.slice(first, first + 1_000))
// Its memory and CPU are read while it is there.
setInterval(() => {}, 60_000)
process.on('SIGTERM', () => process.exit(0))
