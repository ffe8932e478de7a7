import { type KafkaServer, startKafka } from '../support/kafka.ts'
import { type PostgresServer, startPostgres } from '../support/postgres.ts'
import { type RelayProcess, startRelayProcess } from '../support/relay-process.ts'
import { Flow } from './flow.ts'
import { step } from './step.ts'

/** What one kind of fault took. */
export interface Recovery {
  fault: string
  /** Milliseconds from the fault, or from the server's return, until all buckets flow again. */
  ms: number[]
  limitMs: number
}

/** What a server's return may cost, in milliseconds. */
const returnLimitMs = 5_000

/** What the next owner of a dead relay's buckets may take beyond the lease, in milliseconds. */
const takeOverMs = 1_000

/** Two relays under a light load, on servers of their own. */
export class Ground implements AsyncDisposable {
  readonly postgres: PostgresServer
  readonly kafka: KafkaServer
  readonly flow: Flow
  readonly leaseMs: number
  #relays: RelayProcess[] = []

  private constructor(postgres: PostgresServer, kafka: KafkaServer, flow: Flow, leaseMs: number) {
    this.postgres = postgres
    this.kafka = kafka
    this.flow = flow
    this.leaseMs = leaseMs
  }

  /** Starts the servers and the load; the leases of the relays last `leaseMs` milliseconds. */
  static async start(leaseMs: number): Promise<Ground> {
    const [postgres, kafka] = await Promise.all([startPostgres(), startKafka()])
    return new Ground(postgres, kafka, await Flow.start(postgres.url, kafka.brokers), leaseMs)
  }

  /** Starts relays until there are two, and waits until each has half of the buckets. */
  async settle(): Promise<void> {
    const env = { DATABASE_URL: this.postgres.url, KAFKA_BROKERS: this.kafka.brokers, OUTBOX_LEASE_MS: String(this.leaseMs) }
    while (this.#relays.length < 2) this.#relays.push(startRelayProcess({ ...env, LOG_LEVEL: 'warn' }, undefined, () => {}))
    const shares = `SELECT count(*)::int AS n FROM outbox_lease WHERE leased_until > clock_timestamp() AND owner IS NOT NULL GROUP BY owner`
    for (;;) {
      const { rows } = await this.flow.pool.query<{ n: number }>(shares)
      if (rows.length === 2 && rows.every(({ n }) => n === 32)) return
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }

  /** Kills the older relay. */
  async kill(): Promise<void> {
    await this.#relays.shift()!.end('SIGKILL')
  }

  /** What the flow and the relays say: for the message of a step that does not end. */
  async state(): Promise<string> {
    const relays = this.#relays.map(
      ({ log, child }) => `relay ${child.pid}, ended with ${child.exitCode}: ${JSON.stringify(log.slice(-3))}`,
    )
    return [await this.flow.state(), ...relays].join('\n')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const relay of this.#relays) await relay.end('SIGKILL')
    await this.flow.stop()
    await Promise.all([this.postgres.stop(), this.kafka.remove()])
  }
}

/** A fault: its name, what it may cost in milliseconds, and how it is done; resolves with the time from which it counts. */
type Fault = [name: string, limitMs: number, inflict: () => Promise<number>]

function faultsOf(ground: Ground): Fault[] {
  const { postgres, kafka, leaseMs } = ground
  return [
    [
      'relay SIGKILL',
      leaseMs + takeOverMs,
      async () => {
        const at = Date.now()
        await ground.kill()
        return at
      },
    ],
    ...(['clean', 'immediate'] as const).map(
      (how): Fault => [
        `PostgreSQL restart, ${how}`,
        returnLimitMs,
        async () => {
          await step('PostgreSQL’s restart', postgres.restart(how))
          return Date.now()
        },
      ],
    ),
    ...(['SIGTERM', 'SIGKILL'] as const).map(
      (signal): Fault => [
        `broker restart, ${signal}`,
        returnLimitMs,
        async () => {
          await step('the broker’s stop', kafka.stop(signal))
          await step('the broker’s start', kafka.start())
          return Date.now()
        },
      ],
    ),
  ]
}

/** Measures so many times how long each fault keeps messages from flowing. */
export async function measureRecovery(ground: Ground, repetitions: number, tell: (line: string) => void): Promise<Recovery[]> {
  const results: Recovery[] = []
  for (const [fault, limitMs, inflict] of faultsOf(ground)) {
    const ms: number[] = []
    for (let i = 0; i < repetitions; i++) {
      await step(`two relays with half of the buckets each before "${fault}"`, ground.settle(), { state: () => ground.state() })
      // Not always at the same moment between two renewals.
      await new Promise((resolve) => setTimeout(resolve, (ground.leaseMs / 3) * (i / repetitions)))
      const since = await inflict()
      ms.push(await step(`the flow after "${fault}"`, ground.flow.flowsAgain(since), { state: () => ground.state() }))
      tell(`${fault}: ${ms.at(-1)} ms`)
    }
    results.push({ fault, ms, limitMs })
  }
  return results
}
