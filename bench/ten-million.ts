import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { cpus, loadavg } from 'node:os'
import { createInterface } from 'node:readline'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { bucketOf } from '../src/message/key.ts'
import { postgresOperator } from '../src/store/postgres/operator.ts'
import { chromiumPath, firstPaintMs, startBrowser } from '../test/support/browser.ts'
import { migrationSql } from '../test/support/migrations.ts'
import { startPostgres } from '../test/support/postgres.ts'

/**
 * What watching costs while ten million messages wait: the time of `status`, of `/metrics` and of each page of the dashboard, the CPU of
 * PostgreSQL for each, as a share of one core when it is asked for every five seconds, and what the relay costs it on its own. `npm run ten-million [rows]
 * [seconds]`, after `npm run build`. Starts a PostgreSQL of its own. Another owner holds every lease, so that the relay publishes nothing
 * and the cost is that of watching alone.
 */
const [rows = 10_000_000, seconds = 60] = process.argv.slice(2).map(Number)
const main = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url))
const keys = 1_000
const topics = 20

const postgres = await startPostgres({
  shared_buffers: '1GB',
  wal_level: 'minimal',
  max_wal_senders: 0,
  fsync: 'off',
  autovacuum: 'off',
})
const pool = new pg.Pool({ connectionString: postgres.url })
await pool.query(migrationSql)
const postmaster = await postmasterPid()
const filled = performance.now()
await fill()
console.log(`${rows} rows in ${Math.round((performance.now() - filled) / 1000)} s, ${await sizeOf('outbox')}`)

const env = { ...process.env, DATABASE_URL: postgres.url, KAFKA_BROKERS: '127.0.0.1:1', LOG_LEVEL: 'trace' }
const unwatched = spawn(process.execPath, [main, 'relay'], { env, stdio: 'ignore' })
const ended = once(unwatched, 'exit')
// Its first reads are over by then.
await pause(10_000)
const alone = await share(async () => {})
if (unwatched.exitCode !== null) throw new Error('The relay has ended on its own.')
unwatched.kill('SIGTERM')
await ended

const relay = spawn(process.execPath, [main, 'relay', '--listen', '0'], { env, stdio: ['ignore', 'pipe', 'inherit'] })
const url = await listening()
const operator = await postgresOperator({ databaseUrl: postgres.url })
const pages = await addresses()

console.log(`load of the machine, ${cpus().length} cores: ${loadavg()[0]!.toFixed(1)}`)
console.log('what                                          median ms   slowest ms   CPU % every 5 s   (10 times each)')
for (const [name, ask] of Object.entries(pages)) {
  const times: number[] = []
  const before = cpuMs()
  for (let n = 0; n < 10; n++) times.push(await timed(ask))
  const percent = (cpuMs() - before) / times.length / 50
  times.sort((a, b) => a - b)
  const shown = [times[5]!.toFixed(0).padStart(9), times.at(-1)!.toFixed(0).padStart(13), percent.toFixed(2).padStart(18)]
  console.log(`${name.padEnd(46)}${shown.join('')}`)
}
if (chromiumPath) console.log(`first paint of the overview in Chromium: ${(await firstPaints()).join(', ')} ms`)

const scraped = await share(pages['/metrics']!)
console.log(`CPU of PostgreSQL in percent of one core, ${seconds} s each: a relay without --listen ${alone.toFixed(2)},`)
console.log(`  one with --listen whose /metrics is asked for every 5 s ${scraped.toFixed(2)}`)

relay.kill('SIGKILL')
operator.close()
await pool.end()
await postgres.stop()
process.exit(0)

/** Fills the table as an application would have: many keys, some topics, an hour of messages. */
async function fill(): Promise<void> {
  const names = Array.from({ length: keys }, (_, n) => `key-${n}`)
  const buckets = names.map((key) => bucketOf('', Buffer.from(key)))
  // The index is built once, at the end: ten million rows put into 64 places of it by turns take several times as long.
  const client = await pool.connect()
  await client.query('BEGIN; TRUNCATE outbox; ALTER TABLE outbox DROP CONSTRAINT outbox_pkey')
  await client.query(
    `INSERT INTO outbox (bucket, message_id, topic, key, value, created_at)
     SELECT ($2::int[])[1 + n % $1], gen_random_uuid(), 'topic-' || n % ${topics}, convert_to('key-' || n % $1, 'UTF8'),
       convert_to('{"order":' || n || ',"customer":"ada@example.com","total":1990}', 'UTF8'), now() - ($3::int - n) * interval '360 microseconds'
     FROM generate_series(1, $3::int) AS n`,
    [keys, buckets, rows],
  )
  await client.query(`SET maintenance_work_mem = '512MB'`)
  await client.query('ALTER TABLE outbox ADD CONSTRAINT outbox_pkey PRIMARY KEY (bucket, id); COMMIT')
  client.release()
  await pool.query(`INSERT INTO outbox_dead_letter (bucket, id, message_id, topic, key, created_at, reason, error, relay)
    SELECT bucket, id, message_id, topic, key, created_at, 'MESSAGE_TOO_LARGE', 'too large', 'relay' FROM outbox ORDER BY bucket, id LIMIT 20000`)
  await pool.query(
    `UPDATE outbox_lease SET owner = gen_random_uuid(), leased_until = now() + interval '1 day', lease_ms = 86400000`,
  )
  await pool.query('VACUUM (ANALYZE) outbox')
}

async function sizeOf(table: string): Promise<string> {
  const { rows } = await pool.query<{ size: string }>(`SELECT pg_size_pretty(pg_total_relation_size('${table}')) AS size`)
  return rows[0]!.size
}

/** Address of the relay, once it has looked at the tables. */
function listening(): Promise<string> {
  let at = ''
  return new Promise((resolve) => {
    createInterface({ input: relay.stdout }).on('line', (line) => {
      const told = JSON.parse(line) as { event: string; url?: string; ms?: number; code?: string }
      if (told.event === 'listening') at = told.url!
      if (told.event === 'sample_failed') console.log(`a look failed: ${told.code}`)
      if (told.event !== 'sampled') return
      if (at !== '') console.log(`a look at the tables took ${told.ms!.toFixed(0)} ms`)
      resolve(at)
    })
  })
}

async function addresses(): Promise<Record<string, () => Promise<void>>> {
  const middle = 'SELECT bucket, id, message_id AS "messageId" FROM outbox WHERE bucket = 7 ORDER BY id OFFSET 1000 LIMIT 1'
  const [row] = (await pool.query<{ bucket: number; id: string; messageId: string }>(middle)).rows
  const page = (path: string) => [path, () => got(path)] as const
  return {
    'status, its statements': async () => void (await operator.status()),
    'status, with the start of Node': async () => {
      const { status, stderr } = spawnSync(process.execPath, [main, 'status'], { env, encoding: 'utf8' })
      if (status !== 0) throw new Error(stderr)
    },
    ...Object.fromEntries([
      page('/metrics'),
      page('/'),
      page('/messages'),
      page('/messages?topic=topic-3'),
      page('/messages?key=key-7'),
      page('/messages?olderThan=30m'),
      page('/messages?newerThan=1m&order=newest'),
      page('/messages?topic=nobody'),
      page('/messages?topic=nobody&key=key-7'),
      page('/messages?state=dead'),
      page('/dead'),
    ]),
    '/message?id=…&at=…': () => got(`/message?id=${row!.messageId}&at=${row!.bucket}.${row!.id}`),
  }
}

async function got(path: string): Promise<void> {
  const response = await fetch(url + path)
  const body = await response.text()
  if (!response.ok) throw new Error(`${path}: ${response.status} ${body.replace(/<[^>]*>/g, ' ').slice(0, 300)}`)
}

async function timed(ask: () => Promise<void>): Promise<number> {
  const since = performance.now()
  await ask()
  return performance.now() - since
}

/** CPU of PostgreSQL in percent of one core while `ask` is done every five seconds. */
async function share(ask: () => Promise<void>): Promise<number> {
  const [since, before] = [performance.now(), cpuMs()]
  while (performance.now() - since < seconds * 1000) {
    const asked = performance.now()
    await ask()
    await pause(Math.max(0, 5_000 - (performance.now() - asked)))
  }
  return ((cpuMs() - before) / (performance.now() - since)) * 100
}

/** CPU of the server and of all its processes, ended ones too, in milliseconds. */
function cpuMs(): number {
  const own = readdirSync('/proc').filter((pid) => pid === postmaster || fieldsOf(pid)[1] === postmaster)
  // utime and stime, and for the postmaster those of the processes that have ended; the kernel counts hundredths of a second.
  const ticks = (pid: string) =>
    [11, 12, ...(pid === postmaster ? [13, 14] : [])].reduce((sum, at) => sum + Number(fieldsOf(pid)[at] ?? 0), 0)
  return own.reduce((sum, pid) => sum + ticks(pid), 0) * 10
}

/** Process of the server that has started all others of its own. */
async function postmasterPid(): Promise<string> {
  const { rows } = await pool.query<{ pid: number }>("SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'")
  return fieldsOf(String(rows[0]!.pid))[1]!
}

/** Fields of /proc/<pid>/stat from the third on; none for what is no process, or has just ended. */
function fieldsOf(pid: string): string[] {
  try {
    return /^\d+$/.test(pid) ? readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ') : []
  } catch {
    return []
  }
}

/** First contentful paint of ten loads in one browser; the first one pays for its start. */
async function firstPaints(): Promise<number[]> {
  const browser = await startBrowser()
  const page = await browser.newPage()
  const paints: number[] = []
  for (let n = 0; n < 10; n++) {
    await page.goto(url)
    paints.push(await firstPaintMs(page))
  }
  await browser.close()
  return paints.map(Math.round)
}
