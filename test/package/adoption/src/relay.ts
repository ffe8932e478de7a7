import { createRelay } from 'prisma-extension-outbox/relay'

export async function startRelay() {
  const relay = createRelay({
    databaseUrl: process.env.DATABASE_URL ?? '',
    kafka: { brokers: (process.env.KAFKA_BROKERS ?? '').split(',') },
  })
  relay.on('started', ({ version }) => console.log('version', version))
  relay.on('published', ({ records }) => console.log('published', records))
  await relay.start()
}
