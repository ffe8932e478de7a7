import type { TestProject } from 'vitest/node'
import { generateClients } from './generate.ts'
import { startServers } from './servers.ts'

declare module 'vitest' {
  interface ProvidedContext {
    databaseUrl: string
    brokers: string
  }
}

/**
 * One PostgreSQL and one Kafka for the whole run; every test file makes its own database, every test its own topics. Prisma clients that
 * are missing are generated.
 */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  await generateClients()
  const servers = await startServers()
  project.provide('databaseUrl', servers.databaseUrl)
  project.provide('brokers', servers.brokers)
  return () => servers.stop()
}
