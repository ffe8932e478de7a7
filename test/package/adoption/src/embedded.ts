// An application with its relay in the same process, and an end.
import { createRelay } from 'prisma-extension-outbox/relay'
import { base } from './db'
import { place } from './place'

async function main() {
  const order = await place(1990)
  const relay = createRelay({
    databaseUrl: process.env.DATABASE_URL ?? '',
    transport: process.env.TRANSPORT === 'platformatic' ? 'platformatic' : 'kafkajs',
    kafka: { brokers: (process.env.KAFKA_BROKERS ?? '').split(',') },
  })
  let version = ''
  let published = 0
  relay.on('started', (event) => {
    version = event.version
  })
  relay.on('published', ({ records }) => {
    published += records
  })
  const { endedBy } = await relay.drain()
  console.log(JSON.stringify({ total: order.total, version, published, endedBy }))
  await base.$disconnect()
}

main().catch((error) => {
  console.log(error.message)
  process.exit(1)
})
