import type { TestProject } from 'vitest/node'
import { buildIfStale } from './build.ts'
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
 * are missing are generated, and the package is built if its sources are newer.
 */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  await Promise.all([buildIfStale(), generateClients()])
  const servers = await startServers()
  project.provide('databaseUrl', servers.databaseUrl)
  project.provide('brokers', servers.brokers)
  return () => servers.stop()
}
