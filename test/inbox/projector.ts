import { createProjection } from '../../src/inbox/index.ts'
import { testKafka } from '../support/topics.ts'
import { eventsOf } from './stage.ts'
import { raw, versionNamed } from './versions.ts'

/** A member of a projection, in a process of its own that can be killed: a line for each transaction. */
const { DATABASE_URL, KAFKA_BROKERS, TOPIC, NAME, PRISMA } = process.env as Record<string, string>
const prisma = versionNamed(PRISMA).connect(DATABASE_URL!, { max: 5 })
const events = eventsOf(TOPIC!)
const projection = createProjection({
  prisma,
  name: NAME!,
  events,
  batch: 100,
  handlers: {
    // Not idempotent, so that a record that is applied twice shows.
    Counted: ({ payload: { name, n } }, tx) => raw(tx).execute`INSERT INTO model (projection, name, total, records)
      VALUES (${NAME!}, ${name}, ${n}, 1)
      ON CONFLICT (projection, name) DO UPDATE SET total = model.total + ${n}, records = model.records + 1`,
  },
})
projection.on('*', (event, fields) => {
  if (event === 'projected') process.stdout.write(`applied ${fields.records}\n`)
  else process.stdout.write(`${JSON.stringify({ event, ...fields })}\n`)
})
await projection.run(testKafka(KAFKA_BROKERS!), { sessionTimeout: 6_000, heartbeatInterval: 1_000, maxBytesPerPartition: 65_536 })
