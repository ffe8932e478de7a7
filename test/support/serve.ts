import { startServers } from './servers.ts'

/** `npm run servers`: database and Kafka that stay up, so that test runs need not start their own. */
const servers = await startServers()
console.log(`export DATABASE_URL=${servers.databaseUrl}\nexport KAFKA_BROKERS=${servers.brokers}`)
const keepAlive = setInterval(() => {}, 60_000)
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, async () => {
    clearInterval(keepAlive)
    await servers.stop()
    process.exit(0)
  })
}
