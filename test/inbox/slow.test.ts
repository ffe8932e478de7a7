import { expect, onTestFinished, test } from 'vitest'
import { connect, createStage, effect, record, start, type Tx, useMail } from './stage.ts'

// What docs/guides/consumer-failures.md says of slow handlers. What a handler takes is the time of a statement, as it mostly is.

const { startMail, url, effects } = useMail()
const takes = (tx: Tx, seconds: number) => tx.$executeRaw`SELECT pg_sleep(${seconds}::float8)`
const names = async () => (await effects()).map(({ name }) => name)

test('slower than the session: heartbeats go on, and the group does not take the member for dead', async () => {
  const stage = await createStage(1)
  await stage.send([record('slow', 1), record('next', 1)])
  const { until, all } = startMail(stage, {
    // The shortest that a broker allows.
    sessionTimeoutMs: 6_000,
    handlers: {
      Counted: async (event, tx) => {
        if (event.payload.name === 'slow') await takes(tx, 9)
        await effect(tx, 'mail', event)
      },
    },
  })
  await until('applied')
  await stage.send([record('last', 1)])
  await expect.poll(names, { timeout: 30_000 }).toEqual(['slow', 'next', 'last'])
  expect(all('partitions_assigned')).toHaveLength(1)
  expect(all('consumer_crashed')).toEqual([])
}, 60_000)

test('a partition with much work is left after a second: another one has its turn between two of its messages', async () => {
  const stage = await createStage(2)
  const many = 60
  const seconds = 0.1
  await stage.send(Array.from({ length: many }, (_, n) => record('busy', n, { partition: 0 })))
  let sent: Promise<void> | undefined
  startMail(stage, {
    handlers: {
      Counted: async (event, tx) => {
        // Sent when the first turn has begun: no fetch has both from the start.
        sent ??= stage.send([record('other', 1, { partition: 1 })])
        await sent
        if (event.partition === 0) await takes(tx, seconds)
        await effect(tx, 'mail', event)
      },
    },
  })
  await expect.poll(names, { timeout: 50_000 }).toHaveLength(many + 1)
  // The turn under way, and one more if the busy partition comes first in the next fetch. A loaded machine does less in each.
  expect((await names()).indexOf('other')).toBeLessThanOrEqual(2 * (1 / seconds + 1))
}, 60_000)

test('kafkajs holds up the other partitions of a broker while one handler is slow, also where several are worked on at once; a consumer of its own goes on', async () => {
  // kafkajs' doing, which the inbox cannot change: it fetches again only when all batches of the last fetch are through. With a kafkajs that
  // does better this fails, and docs/guides/consumer-failures.md is to be rewritten.
  const stage = await createStage(2)
  const client = connect(url())
  onTestFinished(() => client.$disconnect())
  const quick = start(stage, client, 'quick', { handlers: { Counted: () => {} } })
  await stage.send([record('slow', 1, { partition: 0 })])
  startMail(
    stage,
    {
      handlers: {
        Counted: async (event, tx) => {
          if (event.payload.name === 'slow') {
            await stage.send([record('other', 1, { partition: 1 })])
            // It is there to be had, and others have it.
            await quick.until('applied', ({ partition }) => partition === 1)
            await takes(tx, 3)
          }
          await effect(tx, 'mail', event)
        },
      },
    },
    { concurrently: 2 },
  )
  await expect.poll(names, { timeout: 30_000 }).toEqual(['slow', 'other'])
}, 60_000)

test('partitionsConsumedConcurrently: handlers of two partitions that came with one fetch run at the same time', async () => {
  const stage = await createStage(2)
  await stage.send([record('left', 1, { partition: 0 }), record('right', 1, { partition: 1 })])
  const met = new Set<string>()
  let meet = () => {}
  const both = new Promise<void>((resolve) => {
    meet = resolve
  })
  const { all } = startMail(
    stage,
    {
      handlers: {
        Counted: async (event, tx) => {
          met.add(event.payload.name)
          if (met.size === 2) meet()
          // One after the other they would never meet.
          await both
          await effect(tx, 'mail', event)
        },
      },
      handlerTimeoutMs: 5_000,
    },
    { concurrently: 2 },
  )
  await expect.poll(names, { timeout: 30_000 }).toHaveLength(2)
  expect(all('apply_failed')).toEqual([])
}, 60_000)
