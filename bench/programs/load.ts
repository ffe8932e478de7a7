import pg from 'pg'
import { WakeUp } from '../../dist/enqueue/wake-up.js'
import { uuidv7 } from '../../dist/message/id.js'
import { bucketOf } from '../../dist/message/key.js'
import { wakeChannel } from '../../dist/message/wake.js'
import { keyOf, payloadOf } from './message.ts'
import { plainProducer, plainRecord } from './producer.ts'
import { rival } from './rival.ts'

/** What an application is told: how many transactions a second, 0 for as many as 24 writers can, and how long. */
export interface Load {
  rate: number
  seconds: number
  /** What a transaction writes; `send` writes nothing and publishes itself after the commit. */
  way: 'outbox' | 'plain' | 'send' | 'eventferry'
}

/** What it tells: for each committed message its number, the time of the commit, and how long the transaction took in milliseconds. */
export interface Loaded {
  commits: [n: number, at: number, tookMs: number][]
  seconds: number
}

/** An application: one message a transaction on 24 connections, at a steady rate or each as fast as it can. */
const { DATABASE_URL, KAFKA_BROKERS, OUTBOX_TRANSPORT, BENCH_TOPIC: topic = '', BENCH_LOAD } = process.env
const { rate, seconds, way } = JSON.parse(BENCH_LOAD!) as Load
const writers = 24
const pool = new pg.Pool({ connectionString: DATABASE_URL, max: writers, idleTimeoutMillis: 0 })
for (const client of await Promise.all(Array.from({ length: writers }, () => pool.connect()))) client.release()
const wakeUp = new WakeUp(() => pool.query(`NOTIFY ${wakeChannel}`))
const enqueue = way === 'eventferry' ? await eventferry() : undefined
const send = way === 'send' ? await plainProducer(OUTBOX_TRANSPORT!, KAFKA_BROKERS!) : undefined

const now = () => performance.timeOrigin + performance.now()
const commits: Loaded['commits'] = []

function insert(key: string, value: string): pg.QueryConfig {
  if (way === 'send') return { name: 'nothing', text: 'SELECT 1' }
  if (way === 'plain') {
    return { name: 'plain', text: 'INSERT INTO outbox (topic, key, payload) VALUES ($1, $2, $3)', values: [topic, key, value] }
  }
  return {
    name: 'outbox',
    text: 'INSERT INTO outbox (bucket, message_id, topic, key, value) VALUES ($1, $2, $3, $4, $5)',
    values: [bucketOf(topic, Buffer.from(key)), uuidv7(), topic, Buffer.from(key), Buffer.from(value)],
  }
}

/** eventferry writes its rows itself. */
async function eventferry() {
  const { PostgresStore } = await rival('@eventferry/postgres')
  const store = new PostgresStore({ pool })
  return (client: pg.PoolClient, key: string, value: string): Promise<unknown> =>
    store.enqueue(client, { topic, aggregateType: 'bench', aggregateId: key, key, payload: JSON.parse(value) })
}

async function commit(n: number): Promise<void> {
  const key = keyOf(n, 10_000)
  const value = payloadOf(n)
  const client = await pool.connect()
  const began = now()
  await client.query('BEGIN')
  await (enqueue ? enqueue(client, key, value) : client.query(insert(key, value)))
  await client.query('COMMIT')
  const at = now()
  client.release()
  commits.push([n, at, at - began])
  if (way === 'outbox') wakeUp.request()
  await send?.(topic, [plainRecord(key, value)])
}

/** An open loop: what is late does not hold back what is due. */
async function steadily(): Promise<void> {
  const open: Promise<void>[] = []
  const began = now()
  while (open.length < rate * seconds) {
    while (open.length < rate * seconds && began + (open.length * 1_000) / rate <= now()) open.push(commit(open.length))
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
  await Promise.all(open)
}

async function asFastAsTheyCan(): Promise<void> {
  let n = 0
  const until = now() + seconds * 1_000
  const writer = async () => {
    while (now() < until) await commit(n++)
  }
  await Promise.all(Array.from({ length: writers }, writer))
}

const began = now()
await (rate > 0 ? steadily() : asFastAsTheyCan())
const loaded: Loaded = { commits, seconds: (now() - began) / 1_000 }
process.stdout.write(`${JSON.stringify(loaded)}\n`, () => process.exit(0))
