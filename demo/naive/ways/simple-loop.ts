import pg from 'pg'
import { connectPrisma, connectProducer, type PlaceOrder, type Surroundings } from './surroundings.ts'

/** The table of the articles: a column says what has been published. */
export const tableSql = `
CREATE TABLE article_outbox (
  id BIGSERIAL PRIMARY KEY,
  topic TEXT NOT NULL,
  key TEXT NOT NULL,
  payload JSONB NOT NULL,
  published BOOLEAN NOT NULL DEFAULT false
);
CREATE INDEX ON article_outbox (id) WHERE NOT published;`

/** Rows of one turn, and the pause between two turns in ms: the usual figures. */
const batchRows = 100
const pauseMs = 500

/** Way 3: an outbox table, written in the transaction of the order … */
export async function open({ databaseUrl, topic }: Surroundings): Promise<PlaceOrder> {
  const prisma = await connectPrisma(databaseUrl)
  return async (request) => {
    await prisma.$transaction(async (tx) => {
      const order = await tx.order.create({ data: request })
      await tx.$executeRaw`INSERT INTO article_outbox (topic, key, payload)
        VALUES (${topic}, ${order.customer}, ${JSON.stringify(order)}::jsonb)`
    })
  }
}

/**
 * … and the loop that publishes it. SKIP LOCKED is how the articles let two of them run, so that one may die. A crash between send and
 * COMMIT sends the batch again; and while one works on its batch, the other overtakes it with later messages of the same keys.
 */
export async function relay({ databaseUrl, brokers }: Surroundings, signal: AbortSignal): Promise<void> {
  const producer = await connectProducer(brokers)
  const client = new pg.Client({ connectionString: databaseUrl })
  await client.connect()
  while (!signal.aborted) {
    await client.query('BEGIN')
    const { rows } = await client.query(
      `SELECT id, topic, key, payload FROM article_outbox WHERE NOT published ORDER BY id LIMIT ${batchRows} FOR UPDATE SKIP LOCKED`,
    )
    for (const { topic, key, payload } of rows) {
      await producer.send({ topic, messages: [{ key, value: JSON.stringify(payload) }] })
    }
    await client.query('UPDATE article_outbox SET published = true WHERE id = ANY($1)', [rows.map((row) => row.id)])
    await client.query('COMMIT')
    if (rows.length < batchRows) await new Promise((resolve) => setTimeout(resolve, pauseMs))
  }
  await producer.disconnect()
  await client.end()
}
