import { OutboxError } from '../message/errors.ts'
import type { DrainReport } from '../relay/drain.ts'
import type { RelayOptions } from '../relay/options.ts'
import type { Place } from '../store/postgres/store.ts'
import { type MemoryRecord, type MemoryTransport, memoryTransport } from '../transport/memory.ts'
import { around, type Transport } from '../transport/transport.ts'
import { type OutboxMessage, tell } from './told.ts'

/** Options of {@link drain}: the database, and, where a test needs them, the settings of the relay. */
export interface DrainOptions extends RelayOptions {
  /** Database of the test. No other relay may run on it. Its name must contain `test`. */
  databaseUrl: string
  /** `any`: its name may be another one. What is drained is deleted all the same. @default a name with `test` */
  database?: 'any' | undefined
  /** PostgreSQL schema of the outbox tables. @default the URL's `?schema=`, else `public` */
  schema?: string | undefined
  /** Prefix of the outbox tables. @default '' */
  tablePrefix?: string | undefined
  /** Where the messages go; it keeps what it has over several drains. @default a new one without faults */
  transport?: MemoryTransport | undefined
  /** Milliseconds after which the drain ends, from 500 on: a Kafka that stays away would be waited for without end. @default 10000 */
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
 * sees what is committed. Rejects as `relay.start()` does where the database cannot serve, or at once where it cannot be reached.
 *
 * @throws {OutboxError} OUTBOX_NOT_A_TEST_DATABASE if a relay gave a sign of life within a minute, or the name of the database does not
 *   contain `test`: what is drained is deleted, and nobody but the test gets it.
 *
 * @example const { records } = await drain({ databaseUrl: process.env.DATABASE_URL! })
 */
export async function drain(options: DrainOptions): Promise<Drained> {
  const { databaseUrl, database, schema, tablePrefix, transport = memoryTransport(), timeoutMs = 10_000, ...settings } = options
  const place = { databaseUrl, schema, tablePrefix }
  // Not before they are needed: what imports this file for `expectEnqueued` loads no database client.
  const [{ RelayEngine }, { withBudget }, { postgresStore }] = await Promise.all([
    import('../relay/relay.ts'),
    import('../relay/drain.ts'),
    import('../store/postgres/store.ts'),
  ])
  await refuseOthers(place, database === 'any')
  const before = transport.records().length
  const store = postgresStore({ ...place, listenUrl: false })
  const set = { leaseMs: 3_000, ...settings }
  const ports = { store, transport: kept(transport), version: drainVersion }
  const relay = new RelayEngine(ports, { ...set, ...withBudget(set, timeoutMs) })
  const report = await relay.drain({ budgetMs: timeoutMs })
  return { ...report, records: transport.records().slice(before).map(recordOf) }
}

/** Stands for the version in the heartbeats of drains. */
const drainVersion = 'test'

/** A relay that gave a sign of life within so many milliseconds may still run. */
const livesMs = 60_000

/** Refuses a database whose messages are not the test's own. Those of another drain are: it may have been killed. */
async function refuseOthers(place: Place, anyName: boolean): Promise<void> {
  const { postgresOperator } = await import('../store/postgres/operator.ts')
  const operator = await postgresOperator(place)
  try {
    const relays = await operator.relays()
    const alive = relays.find(({ version, seenMsAgo }) => version !== drainVersion && Math.abs(seenMsAgo) < livesMs)
    if (alive) {
      throw refusal(
        `The relay ${alive.name} runs on the database, or ran within the last minute.`,
        'Give the URL of a database for tests, or stop the relay and wait for a minute.',
      )
    }
    if (anyName || /test/i.test(await operator.database())) return
    throw refusal(
      'The name of the database does not contain "test", and drain deletes what it publishes.',
      "Give the URL of a database for tests, or database: 'any'.",
    )
  } finally {
    operator.close()
  }
}

const refusal = (what: string, remedy: string): OutboxError =>
  new OutboxError('NOT_A_TEST_DATABASE', what, { field: 'databaseUrl', remedy })

/** The same transport, which its relay does not close: the next drain goes on with it. */
const kept = (transport: Transport): Transport => around(transport, { close: async () => {} })

function recordOf({ topic, partition, key, value, headers }: MemoryRecord): DrainedMessage {
  return { ...tell({ id: headers.id!, topic, key, type: headers.type ?? null, value, headers }), partition }
}
