import type { DrainReport } from '../relay/drain.ts'
import type { RelayOptions } from '../relay/options.ts'
import { type MemoryRecord, type MemoryTransport, memoryTransport } from '../transport/memory.ts'
import type { Transport } from '../transport/transport.ts'
import { type OutboxMessage, tell } from './told.ts'

/** Options of {@link drain}: the database, and, where a test needs them, the settings of the relay. */
export interface DrainOptions extends RelayOptions {
  /** Database of the test. No other relay may run on it. */
  databaseUrl: string
  /** PostgreSQL schema of the outbox tables. @default the URL's `?schema=`, else `public` */
  schema?: string | undefined
  /** Where the messages go; it keeps what it has over several drains. @default a new one without faults */
  transport?: MemoryTransport | undefined
  /** Milliseconds after which the drain gives up: a Kafka that stays away would be waited for without end. @default 10000 */
  timeoutMs?: number | undefined
}

/** A message as it was published. */
export interface DrainedMessage extends OutboxMessage {
  partition: number
}

/** What was published, and what was not. */
export interface Drained extends DrainReport {
  /** In the order of the log: of one key in the order of the enqueues. */
  records: DrainedMessage[]
}

/**
 * Runs the relay over the outbox, with a Kafka in memory, until the outbox is empty or waiting would not help; gives what was published. It
 * sees what is committed. Rejects as `relay.start()` does where the database cannot serve.
 *
 * @example const { records } = await drain({ databaseUrl: process.env.DATABASE_URL! })
 */
export async function drain(options: DrainOptions): Promise<Drained> {
  const { databaseUrl, schema, transport = memoryTransport(), timeoutMs = 10_000, ...settings } = options
  // Not before they are needed: what imports this file for `expectEnqueued` loads no database client.
  const [{ RelayEngine }, { postgresStore }] = await Promise.all([
    import('../relay/relay.ts'),
    import('../store/postgres/store.ts'),
  ])
  const before = transport.records().length
  const store = postgresStore({ databaseUrl, schema, listenUrl: false })
  const relay = new RelayEngine({ store, transport: kept(transport), version: 'test' }, { leaseMs: 3_000, ...settings })
  const timer = setTimeout(() => void relay.stop(), timeoutMs)
  try {
    const report = await relay.drain()
    return { ...report, records: transport.records().slice(before).map(recordOf) }
  } finally {
    clearTimeout(timer)
    await relay.stop()
  }
}

/** The same transport, which its relay does not close: the next drain goes on with it. */
const kept = (transport: Transport): Transport => ({
  name: transport.name,
  connect: (signal) => transport.connect(signal),
  partitions: (topic, signal) => transport.partitions(topic, signal),
  allPartitions: (topics, signal) => transport.allPartitions(topics, signal),
  ...(transport.producerId && { producerId: (signal) => transport.producerId!(signal) }),
  publish: (batch, timeoutMs, how) => transport.publish(batch, timeoutMs, how),
  close: async () => {},
})

function recordOf({ topic, partition, key, value, headers }: MemoryRecord): DrainedMessage {
  return { ...tell({ id: headers.id!, topic, key, type: headers.type ?? null, value, headers }), partition }
}
