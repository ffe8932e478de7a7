import { randomUUID } from 'node:crypto'
import { PrismaPg } from '@prisma/adapter-pg'
import { outbox } from '../../src/index.ts'
import { bucketOf } from '../../src/message/key.ts'
import { generateClients } from '../../test/support/generate.ts'
import { migrationSql } from '../../test/support/migrations.ts'
import { type Measured, percentile } from '../figures.ts'
import { Ground } from '../ground.ts'
import type { Mode } from '../mode.ts'
import { keyOf, payloadOf } from '../programs/message.ts'

/** Transactions before the measured ones: until then the engine compiles what it runs. */
const warmTransactions = 200

const orders = `CREATE TABLE "orders" ("id" SERIAL PRIMARY KEY, "customer" TEXT NOT NULL, "total" DECIMAL NOT NULL DEFAULT 0,
  "placed_at" TIMESTAMP NOT NULL DEFAULT now())`

/** What a message costs in a transaction of Prisma that stores an order: by `enqueue`, by Prisma's own `create()`, and without one. */
export const enqueueMode: Mode<{ name: string; messages: number }> = {
  cases: ({ messages = 2_000 }) => [{ name: `${messages} transactions, one after the other`, messages }],
  contenders: ['order + enqueue', 'order + create()', 'order'],
  ratios: {
    figure: 'transactionMs',
    pairs: [
      ['order + enqueue', 'order + create()'],
      ['order + enqueue', 'order'],
    ],
  },
  measure: async (bench, contender, { messages }) => {
    await using ground = await Ground.prepare(bench, `${migrationSql};${orders}`)
    const { transact, close } = await transactions(ground, contender)
    try {
      for (let n = 0; n < warmTransactions; n++) await transact(n)
      await ground.settle()
      return await timed(transact, messages)
    } finally {
      await close()
    }
  },
}

async function transactions({ databaseUrl, topic }: Ground, contender: string) {
  await generateClients()
  const { PrismaClient } = await import('../../test/enqueue/generated/client/client.ts')
  const client = new PrismaClient({ adapter: new PrismaPg({ connectionString: databaseUrl }) })
  const prisma = client.$extends(outbox())
  const message = (n: number) => ({ key: keyOf(n, 10_000), payload: JSON.parse(payloadOf(n)) as { n: number; p: string } })
  const ways: Record<string, (n: number) => Promise<unknown>> = {
    order: (n) => prisma.$transaction((tx) => tx.order.create({ data: { customer: keyOf(n, 10_000) } })),
    'order + enqueue': (n) =>
      prisma.$transaction(async (tx) => {
        const { key, payload } = message(n)
        await tx.order.create({ data: { customer: key } })
        await tx.outbox.enqueue({ topic, key, payload })
      }),
    'order + create()': (n) =>
      prisma.$transaction(async (tx) => {
        const { key, payload } = message(n)
        await tx.order.create({ data: { customer: key } })
        await tx.outbox.create({ data: row(topic, Buffer.from(key), Buffer.from(JSON.stringify(payload))) })
      }),
  }
  return { transact: ways[contender]!, close: () => client.$disconnect() }
}

const row = (topic: string, key: Buffer<ArrayBuffer>, value: Buffer<ArrayBuffer>) => ({
  bucket: bucketOf(topic, key),
  messageId: randomUUID(),
  topic,
  key,
  value,
})

async function timed(transact: (n: number) => Promise<unknown>, count: number): Promise<Measured> {
  const times: number[] = []
  const before = process.cpuUsage()
  for (let n = 0; n < count; n++) {
    const began = performance.now()
    await transact(n)
    times.push(performance.now() - began)
  }
  const { user, system } = process.cpuUsage(before)
  return { transactionMs: percentile(times, 0.5), transactionMicros: (user + system) / count }
}
