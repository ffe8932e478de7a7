import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { Kafka, logLevel } from 'kafkajs'
import pg from 'pg'
import { insertMany } from '../test/support/rows.ts'
import { startServers } from '../test/support/servers.ts'

/**
 * What metrics cost: pairs of drains of the same backlog by the shipped relay, one with `--listen`, scraped every second, and one without,
 * in turn. Prints the ratio of each pair and their median. `npm run metrics-cost [rows] [pairs]`, after `npm run build`.
 */
const [rows = 60_000, pairs = 5] = process.argv.slice(2).map(Number)
const main = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url))
const migrations = fileURLToPath(new URL('../prisma/migrations/', import.meta.url))
const name = `metrics_cost_${process.pid}`
const port = 20_000 + (process.pid % 10_000)

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
for (const folder of readdirSync(migrations, { withFileTypes: true })) {
  if (folder.isDirectory()) await pool.query(readFileSync(`${migrations}${folder.name}/migration.sql`, 'utf8'))
}
const admin = new Kafka({ brokers: servers.brokers.split(','), logLevel: logLevel.NOTHING }).admin()
await admin.connect()
await admin.createTopics({ topics: [{ topic: name, numPartitions: 6, replicationFactor: 1 }], waitForLeaders: true })

const ratios: number[] = []
for (let pair = 0; pair < pairs; pair++) {
  // The order changes, so that a machine that gets slower or faster favours neither.
  const order = pair % 2 === 0 ? [false, true] : [true, false]
  const rate = new Map<boolean, number>()
  for (const watched of order) rate.set(watched, await drain(watched))
  ratios.push(rate.get(true)! / rate.get(false)!)
  console.log(
    `without ${Math.round(rate.get(false)!)}/s  with ${Math.round(rate.get(true)!)}/s  ratio ${ratios.at(-1)!.toFixed(3)}`,
  )
}
console.log(
  `median ratio ${ratios.sort((a, b) => a - b)[Math.floor(pairs / 2)]!.toFixed(3)} of ${pairs} pairs, ${rows} messages each`,
)

await admin.deleteTopics({ topics: [name] })
await admin.disconnect()
await pool.end()
await onServer(`DROP DATABASE ${name} WITH (FORCE)`)
await servers.stop()

/** Messages a second of one drain, from its first read to its end. */
async function drain(watched: boolean): Promise<number> {
  await insertMany(pool, name, rows, 500)
  const env = { ...process.env, DATABASE_URL: url.href, KAFKA_BROKERS: servers.brokers, LOG_LEVEL: 'info' }
  const listen = watched ? ['--listen', String(port)] : []
  const relay = spawn(process.execPath, [main, 'relay', '--drain', ...listen], { env, stdio: ['ignore', 'pipe', 'inherit'] })
  let since = 0
  relay.stdout.on('data', (data) => {
    if (since === 0 && String(data).includes('leases_taken')) since = performance.now()
  })
  const scrape = () => void fetch(`http://127.0.0.1:${port}/metrics`).catch(() => {})
  const scraping = watched ? setInterval(scrape, 1_000) : undefined
  const [code] = await once(relay, 'exit')
  clearInterval(scraping)
  if (code !== 0) throw new Error(`The relay ended with ${code}.`)
  return rows / ((performance.now() - since) / 1000)
}
