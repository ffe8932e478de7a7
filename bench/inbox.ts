import pg from 'pg'
import { Closing } from '../demo/closing.ts'
import { prepareGround } from '../demo/ground.ts'
import type { Inbox } from '../src/inbox/index.ts'
import { effectsSql } from '../test/inbox/stage.ts'
import { createTopic } from '../test/support/topics.ts'
import { type Measured, oneStatement, shipping } from './inbox-handlers.ts'

/**
 * What the inbox costs, and what batches bring, for two handlers: the least that one can do, and one of the example.
 * `npm run bench-inbox [laps]`.
 *
 * Four consumers with the same handler and the same settings of kafkajs stay connected, each with a topic and a database client of its own.
 * They take turns: one is sent a portion that takes it a fraction of a second, while the others wait for records. A lap is a turn of each,
 * in an order that is turned round from lap to lap; ratios are taken within a lap. So what the machine does in the meantime (the time of a
 * commit doubles and halves within minutes) meets both sides of a ratio, and many laps tell how far to trust their median.
 */
const [laps = 100] = process.argv.slice(2).map(Number)

/** Laps that are not counted: everything is compiled in them, and tables and connections are made. */
const warmLaps = 5

await using closing = new Closing()
const ground = await prepareGround(closing)
const { kafka, brokers } = ground
const databaseUrl = await ground.createDatabase('inbox')
const database = new pg.Client({ connectionString: databaseUrl })
await database.connect()
await database.query(effectsSql)
await database.end()
const producer = kafka.producer({ allowAutoTopicCreation: false })
await producer.connect()
closing.add(() => producer.disconnect())

/** Hears of each message, or batch of them, that was applied. */
type Applied = (messages: number) => void

/** Starts a consumer; the function that it gives stops it. */
type Way = (measured: Measured, topic: string, applied: Applied) => Promise<() => Promise<unknown>>

/** The loop that articles show: a transaction for each message, then its offset. */
const loop =
  (name: 'plain' | 'once'): Way =>
  async (measured, topic, applied) => {
    // Also the settings are those of the inbox.
    const consumer = kafka.consumer(measured.single(topic).consumerConfig())
    await consumer.connect()
    await consumer.subscribe({ topic, fromBeginning: true })
    await consumer.run({
      async eachMessage(record) {
        await measured[name](record, topic)
        applied(1)
      },
    })
    return () => consumer.disconnect()
  }

const withInbox =
  (name: 'single' | 'batches'): Way =>
  async (measured, topic, applied) => {
    const inbox: Inbox = measured[name](topic)
    inbox.on('applied', ({ messages }) => applied(messages))
    const running = inbox.run(kafka.consumer(inbox.consumerConfig()))
    return () => Promise.all([inbox.stop(), running])
  }

/** The ways; `first` messages of a portion begin its time, which the `more` behind them take: a window of the inbox, or five batches. */
const ways = {
  plain: { start: loop('plain'), first: 1, more: 64 },
  once: { start: loop('once'), first: 1, more: 64 },
  single: { start: withInbox('single'), first: 1, more: 64 },
  batches: { start: withInbox('batches'), first: 100, more: 500 },
}
type Name = keyof typeof ways
const names = Object.keys(ways) as Name[]
const pairs = [
  ['once', 'plain'],
  ['single', 'plain'],
  ['batches', 'single'],
] as const

/** What a portion took: wall clock, and CPU of the process, servers left out. */
interface Taken {
  rate: number
  cpuMicros: number
}

/** A consumer of one way that waits for its turn. */
async function startTurns(name: Name, make: Make): Promise<{ turn(): Promise<Taken>; stop(): Promise<void> }> {
  const { start, first, more } = ways[name]
  const topic = await createTopic(`bench-${name}`, 1, { brokers })
  const measured = await make(databaseUrl, topic)
  let applied: Applied = () => {}
  const stop = await start(measured, topic, (messages) => applied(messages))
  let sent = 0
  const turn = async () => {
    const messages = Array.from({ length: first + more }, () => measured.record(sent++))
    const taken = new Promise<Taken>((resolve) => {
      let done = 0
      let since: { ms: number; cpu: NodeJS.CpuUsage } | undefined
      applied = (count) => {
        done += count
        if (done >= first) since ??= { ms: performance.now(), cpu: process.cpuUsage() }
        if (done < first + more || !since) return
        const { user, system } = process.cpuUsage(since.cpu)
        resolve({ rate: (more * 1_000) / (performance.now() - since.ms), cpuMicros: (user + system) / more })
      }
    })
    await producer.send({ topic, messages })
    return taken
  }
  return {
    turn,
    async stop() {
      await stop()
      await measured.close()
    },
  }
}

/** The value below which that share of them lies. */
const quantile = (values: readonly number[], share: number) =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length * share)]!

const spread = (values: readonly number[], digits: number) => {
  const [low, median, high] = [0.25, 0.5, 0.75].map((share) => quantile(values, share).toFixed(digits))
  return `${median} (${low} to ${high})`
}

type Make = (databaseUrl: string, topic: string) => Measured

async function measure(what: string, make: Make): Promise<void> {
  const consumers = new Map<Name, Awaited<ReturnType<typeof startTurns>>>()
  for (const name of names) consumers.set(name, await startTurns(name, make))
  const seen: Record<Name, Taken>[] = []
  for (let lap = -warmLaps; lap < laps; lap++) {
    const taken = {} as Record<Name, Taken>
    // Turned round each time, so that a machine that gets slower or faster favours none.
    for (const name of lap % 2 === 0 ? names : names.toReversed()) taken[name] = await consumers.get(name)!.turn()
    if (lap >= 0) seen.push(taken)
  }
  for (const consumer of consumers.values()) await consumer.stop()
  console.log(`${what}, medians of ${laps} laps (quartiles)`)
  for (const name of names) {
    const rates = seen.map((lap) => lap[name].rate)
    const micros = seen.map((lap) => lap[name].cpuMicros)
    console.log(`  ${name.padEnd(8)} ${spread(rates, 0)} messages/s, ${spread(micros, 0)} µs of CPU each`)
  }
  for (const [a, b] of pairs) {
    const ratios = seen.map((lap) => lap[a].rate / lap[b].rate)
    console.log(`  ${a}/${b} ${spread(ratios, 2)}`)
  }
}

await measure('one statement', oneStatement)
await measure('shipping of the shop', shipping)
