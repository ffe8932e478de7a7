import { Program } from './program.ts'

/** The relay as it is run in production: the command line's `relay`, in a process of its own. */
export const relayProgram = (databaseUrl: string, brokers: string): Program =>
  new Program(new URL('./relay-main.ts', import.meta.url), [], {
    DATABASE_URL: databaseUrl,
    KAFKA_BROKERS: brokers,
  })
