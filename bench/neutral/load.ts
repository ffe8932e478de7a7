import { writeFileSync } from 'node:fs'
import pg from 'pg'
import { type Context, loadAdapter, type Message } from './adapter.ts'
import { now } from './relay.ts'

/** What the writers tell: for each committed message its number, the time of the commit, how long it took, and how late it began. */
export interface Loaded {
  commits: [i: number, at: number, tookMs: number, lateMs: number][]
  seconds: number
}

/** The writers of a run: one message a transaction on 24 connections, at a steady rate, or with rate 0 each as fast as it can. */
const work = JSON.parse(process.env.BENCH_LOAD!) as {
  rate: number
  seconds: number
  context: Context
  adapter: string
  out: string
}
const { rate, seconds, context } = work
const adapter = await loadAdapter(work.adapter)
const writers = 24
const pool = new pg.Pool({ connectionString: context.databaseUrl, max: writers, idleTimeoutMillis: 0 })
for (const client of await Promise.all(Array.from({ length: writers }, () => pool.connect()))) client.release()

const commits: Loaded['commits'] = []
const places = new Map<string, number>()
const padding = 'x'.repeat(300)

function message(id: number): Message {
  const key = `key-${(id * 7919) % 10_000}`
  const seq = places.get(key) ?? 0
  places.set(key, seq + 1)
  const head = `{"i":${id},"k":"${key}","s":${seq},"p":"`
  return { id, key, seq, payload: `${head}${padding.slice(head.length + 2)}"}` }
}

async function commit(id: number, due: number): Promise<void> {
  const written = message(id)
  const client = await pool.connect()
  const began = now()
  try {
    await client.query('BEGIN')
    const query = await adapter.insert!(context, written, client)
    if (query) await client.query(query)
    await client.query('COMMIT')
    const at = now()
    commits.push([id, at, at - began, began - due])
    adapter.afterCommit?.(context, pool)
  } finally {
    client.release()
  }
}

/** An open loop: what is late does not hold back what is due. */
async function steadily(): Promise<void> {
  const open: Promise<void>[] = []
  const began = now() + 200
  const dueAt = (id: number) => began + (id * 1_000) / rate
  while (open.length < rate * seconds) {
    while (open.length < rate * seconds && dueAt(open.length) <= now()) open.push(commit(open.length, dueAt(open.length)))
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
  await Promise.all(open)
}

async function eachAsFastAsItCan(): Promise<void> {
  const until = now() + seconds * 1_000
  let next = 0
  const write = async () => {
    while (now() < until) await commit(next++, now())
  }
  await Promise.all(Array.from({ length: writers }, write))
}

const began = now()
await (rate > 0 ? steadily() : eachAsFastAsItCan())
const loaded: Loaded = { commits, seconds: (now() - began) / 1_000 }
await pool.end()
writeFileSync(work.out, JSON.stringify(loaded))
