import pg from 'pg'
import { Closing } from '../examples/orders/demo/closing.ts'
import { prepareGround } from '../examples/orders/demo/ground.ts'
import type { Inbox } from '../src/inbox/index.ts'
import { effectsSql } from '../test/inbox/stage.ts'
import { createTopic } from '../test/support/topics.ts'
import { type Measured, oneStatement, shipping } from './inbox-handlers.ts'

/**
 * What the inbox costs, and what batches bring: rounds in which the same topic is read in four ways, one after the other, with the same
 * handler and the same settings of kafkajs. Prints the ratios of each round and their medians, for two handlers: the least that one can
 * do, and one of the example. `npm run bench-inbox [messages] [rounds]`.
 */
const [messages = 3_000, rounds = 5] = process.argv.slice(2).map(Number)

await using closing = new Closing()
const ground = await prepareGround(closing)
const { kafka, brokers } = ground
const databaseUrl = await ground.createDatabase('inbox')
const database = new pg.Client({ connectionString: databaseUrl })
await database.connect()
await database.query(effectsSql)
await database.end()

/** Hears of each message, or batch of them, that was applied. */
type Applied = (messages: number) => void

/** Starts a consumer in a group of its own; the function that it gives stops it. */
type Way = (group: string, topic: string, applied: Applied) => Promise<() => Promise<void>>

/** The loop that articles show: a transaction for each message, then its offset. */
const loop =
  ({ single }: Measured, apply: Measured['once']): Way =>
  async (groupId, topic, applied) => {
    // Also the settings are those of the inbox.
    const consumer = kafka.consumer(single(groupId).consumerConfig({ groupId }))
    await consumer.connect()
    await consumer.subscribe({ topic, fromBeginning: true })
    await consumer.run({
      async eachMessage(record) {
        await apply(record, groupId)
        applied(1)
      },
    })
    return () => consumer.disconnect()
  }

const withInbox =
  (create: (consumer: string) => Inbox): Way =>
  async (groupId, _, applied) => {
    const inbox = create(groupId)
    inbox.telemetry.subscribe((event, fields) => {
      if (event === 'applied') applied((fields as { messages: number }).messages)
    })
    const running = inbox.run(kafka.consumer(inbox.consumerConfig({ groupId })))
    return async () => {
      await inbox.stop()
      await running
    }
  }

/** Runs a consumer until it has applied all messages; messages a second after the first message, or batch of them. */
async function rate(topic: string, way: Way): Promise<number> {
  let done = 0
  let since = 0
  let first = 0
  let finish = (_: number) => {}
  const finished = new Promise<number>((resolve) => {
    finish = resolve
  })
  const stop = await way(`${topic}-${Math.random()}`, topic, (n) => {
    if (done === 0) {
      since = performance.now()
      first = n
    }
    done += n
    if (done >= messages) finish(performance.now() - since)
  })
  const ms = await finished
  await stop()
  return ((messages - first) * 1000) / ms
}

const median = (values: number[]) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)]!

async function measure(make: (databaseUrl: string, topic: string) => Measured | Promise<Measured>): Promise<void> {
  const topic = await createTopic('bench-inbox', 1, { brokers })
  const handler = await make(databaseUrl, topic)
  const producer = kafka.producer({ allowAutoTopicCreation: false })
  await producer.connect()
  for (let n = 0; n < messages; n += 500) {
    const portion = Array.from({ length: Math.min(500, messages - n) }, (_, i) => handler.record(n + i))
    await producer.send({ topic, messages: portion })
  }
  await producer.disconnect()
  const ways = {
    plain: loop(handler, handler.plain),
    once: loop(handler, handler.once),
    single: withInbox(handler.single),
    batches: withInbox(handler.batches),
  }
  const names = Object.keys(ways) as (keyof typeof ways)[]
  const pairs = [
    ['once', 'plain'],
    ['single', 'plain'],
    ['batches', 'single'],
  ] as const
  const seen: Record<keyof typeof ways, number>[] = []
  const ratios = (of: typeof seen) =>
    pairs.map(([a, b]) => `${a}/${b} ${median(of.map((rates) => rates[a] / rates[b])).toFixed(2)}`).join('  ')
  console.log(handler.name)
  for (let round = 0; round < rounds; round++) {
    // The order changes, so that a machine that gets slower or faster favours none.
    const first = round % names.length
    const rates = {} as (typeof seen)[number]
    for (const name of [...names.slice(first), ...names.slice(0, first)]) rates[name] = await rate(topic, ways[name])
    seen.push(rates)
    console.log(`  ${names.map((name) => `${name} ${Math.round(rates[name])}/s`).join('  ')}  ${ratios([rates])}`)
  }
  console.log(`  medians of ${rounds} rounds, ${messages} messages each: ${ratios(seen)}`)
  await handler.close()
}

await measure(oneStatement)
await measure(shipping)
