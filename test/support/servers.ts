import { spawnSync } from 'node:child_process'
import { type KafkaServer, startKafka } from './kafka.ts'
import { startPostgres } from './postgres.ts'

/** Database and Kafka of a run. */
export interface Servers {
  databaseUrl: string
  brokers: string
  /** The broker, if it was started here: the demo stops and starts it. */
  kafka: KafkaServer | undefined
  /** Stops what was started here; servers named by the environment are left alone. */
  stop(): Promise<void>
}

/** Servers named by `DATABASE_URL` and `KAFKA_BROKERS` (docker-compose.yml gives both), else PostgreSQL from npm and Kafka from Maven. */
export async function startServers(): Promise<Servers> {
  const { DATABASE_URL, KAFKA_BROKERS } = process.env
  if (!KAFKA_BROKERS) requirePrograms()
  const [postgres, kafka] = await Promise.all([
    DATABASE_URL ? undefined : startPostgres({ shared_preload_libraries: 'pg_stat_statements' }),
    KAFKA_BROKERS ? undefined : startKafka(),
  ])
  return {
    databaseUrl: DATABASE_URL || postgres!.url,
    brokers: KAFKA_BROKERS || kafka!.brokers,
    kafka,
    async stop() {
      await Promise.all([postgres?.stop(), kafka?.remove()])
    },
  }
}

function requirePrograms(): void {
  const missing = ['java', 'mvn'].filter((program) => spawnSync(program, ['--version']).error)
  if (missing.length === 0) return
  throw new Error(
    `Not found: ${missing.join(' and ')}. Install Java 17 and Maven, or run "docker compose up -d" and set DATABASE_URL and KAFKA_BROKERS as docker-compose.yml says.`,
  )
}
