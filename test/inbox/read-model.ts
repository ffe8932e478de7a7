import type { Kafka } from 'kafkajs'
import { afterAll, beforeAll, beforeEach, onTestFinished } from 'vitest'
import { createProjection, type ProjectionEvents, type ProjectionOptions } from '../../src/inbox/index.ts'
import type { TestDatabase } from '../support/database.ts'
import { type Client, type Events, inboxDatabase, record, type Stage, type Tx } from './stage.ts'
import { prisma7Version, raw } from './versions.ts'

type Counted = { id: string; payload: { name: string; n: number } }
type TroubleText = { [E in keyof ProjectionEvents]: { event: E; fields: ProjectionEvents[E] } }[keyof ProjectionEvents]

/** Adds an event to the read model of a projection. Not idempotent, so that a record that is applied twice shows. */
export const add =
  (name: string) =>
  async ({ payload }: Counted, tx: Tx): Promise<void> => {
    await raw(tx).execute`INSERT INTO model (projection, name, total, records) VALUES (${name}, ${payload.name}, ${payload.n}, 1)
      ON CONFLICT (projection, name) DO UPDATE SET total = model.total + ${payload.n}, records = model.records + 1`
  }

interface StartOptions extends Partial<Pick<ProjectionOptions<Client, Events>, 'allowMissingStart' | 'prisma' | 'batch'>> {
  kafka?: Kafka
}

/** The database of a test file, with the read models of its projections, empty before each test. */
export function useReadModel(version = prisma7Version) {
  let db: TestDatabase
  let prisma: Client
  beforeAll(async () => {
    db = await inboxDatabase()
    await db.query(
      `CREATE TABLE model (projection text, name text, total bigint NOT NULL, records int NOT NULL, PRIMARY KEY (projection, name))`,
    )
    prisma = version.connect(db.url)
  })
  beforeEach(() => db.query('TRUNCATE inbox, inbox_projection, model'))
  afterAll(async () => {
    await prisma.$disconnect()
    await db.drop()
  })
  const query: TestDatabase['query'] = (sql, values) => db.query(sql, values)
  return {
    url: () => db.url,
    query,
    /** Its client. */
    client: () => prisma,

    /** Starts a projection that runs until the test is over. */
    start(stage: Stage, name: string, { kafka = stage.kafka, ...options }: StartOptions = {}, handler = add(name)) {
      const projection = createProjection({ prisma, name, events: stage.events, handlers: { Counted: handler }, ...options })
      const told: TroubleText[] = []
      projection.on('*', (event, fields) => void told.push({ event, fields } as TroubleText))
      onTestFinished(() => projection.stop())
      const done = projection.run(kafka)
      done.catch(() => {})
      return { projection, done, told }
    },

    /** The read model of a projection as one text. */
    model: async (name: string) =>
      (
        await query<{ text: string }>(
          `SELECT string_agg(format('%s %s %s', name, total, records), E'\\n' ORDER BY name) AS text FROM model WHERE projection = $1`,
          [name],
        )
      )[0]!.text,

    /** How many records it has applied, and the sum of its positions. */
    sum: async (name: string) =>
      (
        await query<{ records: number; places: number }>(
          `SELECT (SELECT coalesce(sum(records), 0) FROM model WHERE projection = $1)::int AS records,
            (SELECT coalesce(sum(next_offset), 0) FROM inbox_projection WHERE name = $1)::int AS places`,
          [name],
        )
      )[0]!,
  }
}

/** Sends records of 300 keys in turn. */
export async function produce(stage: Stage, count: number): Promise<void> {
  for (let from = 0; from < count; from += 500) {
    await stage.send(Array.from({ length: Math.min(500, count - from) }, (_, i) => record(`key-${(from + i) % 300}`, from + i)))
  }
}

/** Deletes what is before the offset, as retention does. */
export async function deleteRecords(stage: Stage, offset: string): Promise<void> {
  const admin = stage.kafka.admin()
  await admin.connect()
  // kafkajs asks for no metadata of its own before it deletes.
  await admin.fetchTopicOffsets(stage.topic)
  await admin.deleteTopicRecords({ topic: stage.topic, partitions: [{ partition: 0, offset }] })
  await admin.disconnect()
}
