import type { Ground } from './ground.ts'
import { Program, programArgs } from './program.ts'
import type { Load, Loaded } from './programs/load.ts'

/** Runs an application beside the contender, to its end, in a process of its own: its CPU must not delay the clock. */
export async function load(ground: Ground, transport: string, load: Load): Promise<Loaded> {
  await using application = new Program(programArgs('load'), {
    DATABASE_URL: ground.databaseUrl,
    KAFKA_BROKERS: ground.brokers,
    OUTBOX_TRANSPORT: transport,
    BENCH_TOPIC: ground.topic,
    BENCH_LOAD: JSON.stringify(load),
  })
  return JSON.parse(await application.line('"commits"'))
}
