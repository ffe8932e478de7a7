import type { EachBatchPayload } from 'kafkajs'
import pg from 'pg'
import { createInbox } from '../src/inbox/index.ts'
import { connect, effect, effectsSql, eventsOf, record, type Tx } from '../test/inbox/stage.ts'
import { inboxSql, migrationSql } from '../test/support/migrations.ts'
import { startServers } from '../test/support/servers.ts'
import { createTopic, testKafka } from '../test/support/topics.ts'

/**
 * What the inbox costs, and what batches bring: rounds in which the same topic is read in three ways, one after the other, each with the
 * same handler, which writes one row for each message. Prints the ratios of each round and their medians.
 * `npm run bench-inbox [messages] [rounds]`.
 */
const [messages = 3_000, rounds = 5] = process.argv.slice(2).map(Number)
const name = `bench_inbox_${process.pid}`

const servers = await startServers()
const onServer = async (text: string) => {
  const client = new pg.Client({ connectionString: servers.databaseUrl })
  await client.connect()
  await client.query(text)
  await client.end()
}
await onServer(`CREATE DATABASE ${name}`)
const url = new URL(servers.databaseUrl)
url.pathname = `/${name}`
const pool = new pg.Pool({ connectionString: url.href })
await pool.query(migrationSql + inboxSql + effectsSql)
const prisma = connect(url.href)
const topic = await createTopic(name, 1, { brokers: servers.brokers })
const kafka = testKafka(servers.brokers)
const events = eventsOf(topic)
const producer = kafka.producer({ allowAutoTopicCreation: false })
await producer.connect()
for (let n = 0; n < messages; n += 500) {
  const portion = Array.from({ length: Math.min(500, messages - n) }, (_, i) => record(`key-${(n + i) % 100}`, n + i))
  await producer.send({ topic, messages: portion })
}
await producer.disconnect()

type Counted = { id: string; payload: { name: string; n: number } }

/** Runs a consumer until it has applied all messages; messages a second from the first to the last. */
async function rate(start: (group: string, applied: (n: number) => void) => Promise<() => Promise<void>>): Promise<number> {
  let done = 0
  let since = 0
  let finish = (_: number) => {}
  const finished = new Promise<number>((resolve) => {
    finish = resolve
  })
  const stop = await start(`${name}-${Math.random()}`, (n) => {
    if (done === 0) since = performance.now()
    done += n
    if (done >= messages) finish(performance.now() - since)
  })
  const ms = await finished
  await stop()
  return (messages * 1000) / ms
}

/** The loop that articles show: a transaction for each message, then its offset. */
const plain = () =>
  rate(async (groupId, applied) => {
    const consumer = kafka.consumer({ groupId, maxWaitTimeInMs: 500 })
    await consumer.connect()
    await consumer.subscribe({ topic, fromBeginning: true })
    const eachBatch = async ({ batch, resolveOffset, heartbeat }: EachBatchPayload) => {
      for (const message of batch.messages) {
        const event = { id: String(message.headers!.id), payload: JSON.parse(String(message.value)) }
        await prisma.$transaction((tx) => effect(tx, groupId, event))
        resolveOffset(message.offset)
        await heartbeat()
        applied(1)
      }
    }
    await consumer.run({ eachBatchAutoResolve: false, eachBatch })
    return () => consumer.disconnect()
  })

const withInbox = (batch: number | undefined) =>
  rate(async (groupId, applied) => {
    const handler = async (given: Counted | readonly Counted[], tx: Tx) => {
      for (const event of [given].flat()) await effect(tx, groupId, event as Counted)
    }
    const inbox = createInbox<typeof prisma, typeof events, number | undefined>({
      prisma,
      consumer: groupId,
      events,
      batch,
      handlers: { Counted: handler as never },
    })
    inbox.telemetry.subscribe((event, fields) => {
      if (event === 'applied') applied((fields as { messages: number }).messages)
    })
    const running = inbox.run(kafka.consumer(inbox.consumerConfig({ groupId })))
    return async () => {
      await inbox.stop()
      await running
    }
  })

const ways = { plain, single: () => withInbox(undefined), batches: () => withInbox(100) }
const cost: number[] = []
const gain: number[] = []
for (let round = 0; round < rounds; round++) {
  // The order changes, so that a machine that gets slower or faster favours none.
  const names = Object.keys(ways) as (keyof typeof ways)[]
  const order = [...names.slice(round % 3), ...names.slice(0, round % 3)]
  const rates = {} as Record<keyof typeof ways, number>
  for (const way of order) rates[way] = await ways[way]()
  cost.push(rates.single / rates.plain)
  gain.push(rates.batches / rates.single)
  const shown = names.map((way) => `${way} ${Math.round(rates[way])}/s`).join('  ')
  console.log(`${shown}  inbox/plain ${cost.at(-1)!.toFixed(2)}  batches/single ${gain.at(-1)!.toFixed(2)}`)
}
const median = (values: number[]) => values.sort((a, b) => a - b)[Math.floor(values.length / 2)]!.toFixed(2)
console.log(`medians of ${rounds} rounds, ${messages} messages each: inbox/plain ${median(cost)}, batches/single ${median(gain)}`)

await prisma.$disconnect()
await pool.end()
await onServer(`DROP DATABASE ${name} WITH (FORCE)`)
await servers.stop()
process.exit()
