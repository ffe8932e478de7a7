import { drainHandler } from 'prisma-extension-outbox/relay'

export const runtime = 'nodejs'
export const maxDuration = 60

const drain = drainHandler(
  () => ({
    databaseUrl: process.env.DATABASE_URL!,
    kafka: { brokers: process.env.KAFKA_BROKERS!.split(',') },
  }),
  { budgetMs: 55_000, secret: process.env.CRON_SECRET },
)

export { drain as GET, drain as POST }
