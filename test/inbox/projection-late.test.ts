import { expect, onTestFinished, test } from 'vitest'
import { outbox } from '../../src/index.ts'
import { prisma7 } from '../enqueue/clients.ts'
import { LateStatements, signal } from '../support/late-statements.ts'
import { leftOut } from '../support/prisma-majors.ts'
import { produce, useReadModel } from './read-model.ts'
import { type Client, createStage } from './stage.ts'

// Statements of a projection that arrive after the ROLLBACK of their transaction, which timed out (prisma/orm#29762).

// There statements are held up by a middleware: test/prisma8/inbox.test.ts.
leftOut('Prisma 8', 'adapters')

const { url, query, start, sum } = useReadModel()

const isMove = (sql: string) => /^UPDATE [^ ]*"inbox_projection"/.test(sql)
const isPlace = (sql: string) => /^INSERT INTO [^ ]*"inbox_projection"/.test(sql)

/** A client of one connection whose transactions have half a second. */
function lateClient(late: LateStatements): Client {
  const adapter = late.adapt(new prisma7.PrismaPg({ connectionString: url(), max: 1 }))
  const client = new prisma7.PrismaClient({ adapter }).$extends(outbox())
  onTestFinished(() => client.$disconnect())
  return new Proxy(client, {
    get(target, name) {
      if (name !== '$transaction') return Reflect.get(target, name)
      return (callback: never, options: object) => target.$transaction(callback, { ...options, timeout: 500 })
    },
  })
}

/** Three records, and a projection whose statement is late; resolves when it is live all the same. */
async function applyWith(late: LateStatements, prisma: Client, from?: number) {
  const stage = await createStage(1)
  await produce(stage, 3)
  const name = `late-${stage.topic}`
  const insert = 'INSERT INTO inbox_projection (name, topic, partition, next_offset) VALUES ($1, $2, 0, $3)'
  if (from !== undefined) await query(insert, [name, stage.topic, from])
  const { projection, told } = start(stage, name, { prisma })
  await Promise.all([late.arrived, projection.live])
  const codes = told.flatMap((one) => (one.event === 'projection_failed' ? [one.fields.code] : []))
  return { codes, ...(await sum(name)) }
}

test('a position that is stored too late moves nothing: the next try applies the records', async () => {
  const late = new LateStatements(isMove)
  expect(await applyWith(late, lateClient(late), 1)).toEqual({ codes: ['OUTBOX_TRANSACTION_OVER'], records: 2, places: 3 })
})

test('so it is with the first position of a partition, whose row is rolled back', async () => {
  const late = new LateStatements(isMove)
  expect(await applyWith(late, lateClient(late))).toEqual({ codes: ['OUTBOX_TRANSACTION_OVER'], records: 3, places: 3 })
})

test("a position that is stored too late, in another request's transaction on the same connection, moves nothing", async () => {
  const other = signal()
  const late = new LateStatements(isMove, () => other.promise)
  const prisma = lateClient(late)
  const committed = late.over.then(() =>
    prisma.$transaction(async (tx) => {
      await tx.$queryRaw`SELECT 1`
      other.resolve()
      await late.arrived
    }),
  )
  expect(await applyWith(late, prisma, 1)).toEqual({ codes: ['OUTBOX_TRANSACTION_OVER'], records: 2, places: 3 })
  await committed
})

test.each([
  ['that is there', 1, 2],
  ['of a partition that is read the first time', undefined, 3],
])(
  'a question that comes too late for a position %s changes nothing, and nothing is applied by its answer',
  async (_, from, records) => {
    const late = new LateStatements(isPlace)
    expect(await applyWith(late, lateClient(late), from)).toEqual({ codes: ['P2028'], records, places: 3 })
  },
)
