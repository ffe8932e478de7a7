import type { TestProject } from 'vitest/node'
import { startServers } from './servers.ts'

declare module 'vitest' {
  interface ProvidedContext {
    databaseUrl: string
    brokers: string
  }
}

/** One PostgreSQL and one Kafka for the whole run; every test file makes its own database, every test its own topics. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const servers = await startServers()
  project.provide('databaseUrl', servers.databaseUrl)
  project.provide('brokers', servers.brokers)
  return () => servers.stop()
}
