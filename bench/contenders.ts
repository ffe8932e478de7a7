import { builtMain } from '../test/support/build.ts'
import { migrationSql } from '../test/support/migrations.ts'
import { type Backlog, plainTable, preloadEventferry, preloadOutbox, preloadPlain } from './backlog.ts'
import type { Ground } from './ground.ts'
import { Program, programArgs } from './program.ts'
import type { Load } from './programs/load.ts'
import { eventferrySchema } from './rivals.ts'

/** Something that moves messages, or a part of it that shows what the parts cost alone. */
export interface Contender {
  schema: string
  preload(ground: Ground, backlog: Backlog): Promise<void>
  /** Arguments of Node. */
  args: readonly string[]
  /** What it writes when it has connected and begins. */
  begins: string
  /** Whether its messages come to the topic; one that only reads and deletes says itself how long it took. */
  records: boolean
  /** The table, with a condition, of what waits for it in the database; empty when it has done its work. Without: it reads from memory. */
  waiting?: string
  /** What it writes where it does all that is to be measured; a run without it is none. */
  wrote?: string
  /** What the transactions of an application write beside it. */
  way: Load['way']
}

const loop = { schema: plainTable, preload: preloadPlain, begins: 'begin', way: 'plain' } as const

export const contenders = {
  /** The command, as it is shipped. */
  relay: {
    schema: migrationSql,
    preload: preloadOutbox,
    args: [builtMain, 'relay'],
    begins: 'leases_taken',
    records: true,
    waiting: 'outbox',
    way: 'outbox',
  },
  /** The loop of the articles, tuned: a thousand rows a round, one request with all of them, 20 ms of sleep. */
  naive: { ...loop, args: programArgs('naive'), records: true, waiting: 'outbox' },
  /** Reads and deletes, and publishes nothing. */
  'postgres-only': { ...loop, args: programArgs('postgres-only'), records: false, waiting: 'outbox' },
  /** Publishes the same records from memory. */
  'kafka-only': { ...loop, preload: async () => {}, args: programArgs('kafka-only'), records: true },
  /** A relay of others, with what its README advises for throughput and latency: batches of 1,000, woken by a trigger's NOTIFY. */
  eventferry: {
    get schema() {
      return eventferrySchema()
    },
    preload: preloadEventferry,
    args: programArgs('eventferry'),
    begins: 'begin',
    records: true,
    waiting: 'outbox WHERE status <> 2',
    way: 'eventferry',
  },
} as const satisfies Record<string, Contender>

/** A contender by its name, after which flags may stand that its program is started with: `relay --lease-ms=3000`. */
export function contenderOf(name: string): Contender {
  const [known, ...flags] = name.split(' ')
  const contender: Contender = contenders[known as keyof typeof contenders]
  return { ...contender, args: [...contender.args, ...flags] }
}

/** Starts a contender on its ground. The backlog is for those that do not find it in the database. */
export function start(contender: Contender, ground: Ground, transport: string, backlog?: Backlog): Program {
  return new Program(contender.args, {
    DATABASE_URL: ground.databaseUrl,
    KAFKA_BROKERS: ground.brokers,
    OUTBOX_TRANSPORT: transport,
    LOG_LEVEL: 'info',
    BENCH_TOPIC: ground.topic,
    ...(backlog && { BENCH_BACKLOG: JSON.stringify(backlog) }),
  })
}
