import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { postgresOperator } from '../../src/store/postgres/operator.ts'
import { chromiumPath, firstPaintMs, startBrowser } from '../../test/support/browser.ts'
import { builtMain } from '../../test/support/build.ts'
import { startPostgres } from '../../test/support/postgres.ts'
import { preloadOutbox } from '../backlog.ts'
import { contenders } from '../contenders.ts'
import { type Measured, percentile } from '../figures.ts'
import { Ground } from '../ground.ts'
import { Looks } from '../looks.ts'
import type { Mode } from '../mode.ts'
import { Program } from '../program.ts'
import type { Run } from '../result.ts'

interface Case {
  name: string
  messages: number
  seconds: number
}

const paths = [
  ...['/metrics', '/', '/messages', '/messages?topic=topic-3', '/messages?key=key-7', '/messages?olderThan=30m'],
  ...['/messages?newerThan=1m&order=newest', '/messages?topic=nobody', '/messages?topic=nobody&key=key-7'],
  ...['/messages?state=dead', '/dead'],
]
const oneMessage = '/message?id=…&at=…'
const statements = 'status, its statements'
const command = 'status, with the start of Node'
const firstPaint = 'first paint of / in Chromium'
const unwatched = 'a relay without --listen'
const scraped = 'one with --listen, /metrics every 5 s'

/** How often each page is asked for in a run. */
const asks = 10

/** Settings of a PostgreSQL of its own, so that ten million rows are there in minutes. */
const settings = { shared_buffers: '1GB', wal_level: 'minimal', max_wal_senders: 0, fsync: 'off', autovacuum: 'off' } as const

/**
 * What watching costs while ten million messages wait. Measures the time of `status`, of `/metrics` and of each page of the dashboard. Also
 * measures the CPU of PostgreSQL as a share of one core: for each page requested every five seconds, and for the relay alone. Another owner
 * holds every lease, so that the relay publishes nothing and the cost is that of watching alone.
 */
export const tenMillionMode: Mode<Case> = {
  cases: ({ messages = 10_000_000, seconds = 60 }) => [{ name: `${messages} messages wait`, messages, seconds }],
  contenders: [unwatched, statements, command, ...paths, oneMessage, ...(chromiumPath ? [firstPaint] : []), scraped],
  ratios: { figure: 'cpuPercent', pairs: [] },
  async *runs({ servers, options }, { name, messages, seconds }) {
    const postgres = await startPostgres(settings)
    try {
      await using ground = await Ground.prepare(
        { servers: { ...servers, databaseUrl: postgres.url }, options },
        contenders.relay.schema,
      )
      await fill(ground, messages)
      const cpuMs = await cpuOfServer(ground)
      for (let run = 1; run <= options.runs; run++) {
        for await (const [contender, figures] of watched(ground, seconds, cpuMs))
          yield { run, case: name, contender, figures } satisfies Run
      }
    } finally {
      await postgres.stop()
    }
  },
}

/** Fills the tables as an application would have: many keys, some topics, an hour of messages. */
async function fill({ pool }: Ground, messages: number): Promise<void> {
  const topics = Math.min(20, messages)
  const client = await pool.connect()
  // The index is built once, at the end: rows put into 64 places of it by turns take several times as long.
  await client.query('BEGIN; TRUNCATE outbox; ALTER TABLE outbox DROP CONSTRAINT outbox_pkey')
  for (let n = 0; n < topics; n++) {
    await preloadOutbox(
      { pool: client, topic: `topic-${n}` },
      { messages: Math.ceil(messages / topics), keys: 1_000, overMs: 3_600_000 },
    )
  }
  await client.query(`SET maintenance_work_mem = '512MB'`)
  await client.query('ALTER TABLE outbox ADD CONSTRAINT outbox_pkey PRIMARY KEY (bucket, id); COMMIT')
  client.release()
  await pool.query(`INSERT INTO outbox_dead_letter (bucket, id, message_id, topic, key, created_at, reason, error, relay)
    SELECT bucket, id, message_id, topic, key, created_at, 'MESSAGE_TOO_LARGE', 'too large', 'relay' FROM outbox ORDER BY bucket, id LIMIT 20000`)
  await pool.query('VACUUM (ANALYZE) outbox')
}

async function* watched(ground: Ground, seconds: number, cpuMs: () => number): AsyncGenerator<[contender: string, Measured]> {
  const env = { DATABASE_URL: ground.databaseUrl, KAFKA_BROKERS: ground.brokers, LOG_LEVEL: 'trace' }
  const share = async (): Promise<Measured> => {
    await holdLeases(ground)
    const [since, before] = [performance.now(), cpuMs()]
    await sleep(seconds * 1_000)
    return { cpuPercent: ((cpuMs() - before) / (performance.now() - since)) * 100 }
  }
  const asked = async (ask: () => Promise<unknown>): Promise<Measured> => {
    await holdLeases(ground)
    const times: number[] = []
    const before = cpuMs()
    for (let n = 0; n < asks; n++) times.push(await timed(ask))
    // Of one core, when it is asked for every 5 s.
    const cpuPercent = (cpuMs() - before) / asks / 50
    return { p50Ms: percentile(times, 0.5), mostMs: Math.max(...times), cpuPercent }
  }
  {
    await holdLeases(ground)
    await using relay = new Program([builtMain, 'relay'], env)
    await relay.line('"started"')
    // Its first reads are over by then.
    await sleep(Math.min(10, seconds) * 1_000)
    yield [unwatched, await share()]
    if (relay.ended) throw new Error('The relay has ended on its own.')
  }
  await using relay = new Program([builtMain, 'relay', '--listen', '0'], env)
  const { url } = JSON.parse(await relay.line('"listening"')) as { url: string }
  await relay.line('"sampled"')
  const operator = await postgresOperator({ databaseUrl: ground.databaseUrl })
  yield [statements, await asked(() => operator.status())]
  operator.close()
  yield [command, await asked(async () => statusCommand(env))]
  for (const path of paths) yield [path, await asked(() => got(url + path))]
  const place = await placeOfOne(ground)
  yield [oneMessage, await asked(() => got(url + place))]
  if (chromiumPath) yield [firstPaint, await firstPaints(url)]
  await using _ = new Looks([`${url}/metrics`])
  yield [scraped, await share()]
}

/** Gives every lease to another owner, for the longest time that a lease can last. */
const holdLeases = ({ pool }: Ground) =>
  pool.query(
    `UPDATE outbox_lease SET owner = '00000000-0000-4000-8000-000000000000', leased_until = now() + interval '290 s', lease_ms = 300000`,
  )

function statusCommand(env: Record<string, string>): void {
  const { status, stderr } = spawnSync(process.execPath, [builtMain, 'status'], {
    env: { ...process.env, ...env },
    encoding: 'utf8',
  })
  if (status !== 0) throw new Error(stderr)
}

async function got(url: string): Promise<void> {
  const response = await fetch(url)
  const body = await response.text()
  if (!response.ok) throw new Error(`${url}: ${response.status} ${body.replace(/<[^>]*>/g, ' ').slice(0, 300)}`)
}

async function timed(ask: () => Promise<unknown>): Promise<number> {
  const since = performance.now()
  await ask()
  return performance.now() - since
}

/** Path of a message in the middle of a bucket. */
async function placeOfOne({ pool }: Ground): Promise<string> {
  const middle = 'SELECT bucket, id, message_id AS "messageId" FROM outbox WHERE bucket = $1 ORDER BY id LIMIT 1000'
  const { rows } = await pool.query<{ bucket: number; id: string; messageId: string }>(middle, [7])
  const { messageId, bucket, id } = rows.at(-1)!
  return `/message?id=${messageId}&at=${bucket}.${id}`
}

/** First contentful paint of loads in one browser; the first one pays for its start. */
async function firstPaints(url: string): Promise<Measured> {
  const browser = await startBrowser()
  const page = await browser.newPage()
  const paints: number[] = []
  for (let n = 0; n < asks; n++) {
    await page.goto(url)
    paints.push(await firstPaintMs(page))
  }
  await browser.close()
  return { p50Ms: percentile(paints, 0.5), mostMs: Math.max(...paints) }
}

/** Tells the CPU of the server and of all its processes, ended ones too, in milliseconds. */
async function cpuOfServer(ground: Ground): Promise<() => number> {
  const checkpointer = await ground.number("SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'")
  // The process that has started all others of the server.
  const postmaster = fieldsOf(String(checkpointer))[1]!
  // utime and stime, and for the postmaster those of the processes that have ended; the kernel counts hundredths of a second.
  const ticks = (pid: string) =>
    [11, 12, ...(pid === postmaster ? [13, 14] : [])].reduce((sum, at) => sum + Number(fieldsOf(pid)[at] ?? 0), 0)
  return () =>
    readdirSync('/proc')
      .filter((pid) => pid === postmaster || fieldsOf(pid)[1] === postmaster)
      .reduce((sum, pid) => sum + ticks(pid), 0) * 10
}

/** Fields of /proc/<pid>/stat from the third on; none for what is no process, or has just ended. */
function fieldsOf(pid: string): string[] {
  try {
    return /^\d+$/.test(pid) ? readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ') : []
  } catch {
    return []
  }
}
