import { spawn } from 'node:child_process'
import { mkdirSync, statSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { Kafka, logLevel } from 'kafkajs'
import pg from 'pg'
import { startBrowser } from '../../support/browser.ts'
import { builtMain } from '../../support/build.ts'
import { startKafka } from '../../support/kafka.ts'
import { migrationSql } from '../../support/migrations.ts'
import { startPostgres } from '../../support/postgres.ts'
import { insertMany, insertRows } from '../../support/rows.ts'

/**
 * The pictures of the README and the guides: a shop whose two relays publish orders. First all is well, then a topic is missing and messages
 * are too large. `npm run screenshots [seconds of each]`, after `npm run build`; needs Chromium.
 */
const [calmSeconds = 840, troubleSeconds = 120] = process.argv.slice(2).map(Number)
const folder = fileURLToPath(new URL('../../../docs/images/', import.meta.url))
const topic = 'order_placed'

// Of its own, also where servers are named: the topics have names that an application may have.
const [postgres, kafka] = await Promise.all([startPostgres(), startKafka()])
const pool = new pg.Pool({ connectionString: postgres.url })
// Its last connections may end with the server.
pool.on('error', () => {})
await pool.query(migrationSql)
const admin = new Kafka({ brokers: kafka.brokers.split(','), logLevel: logLevel.NOTHING }).admin()
await admin.connect()
await admin.createTopics({
  topics: [topic, 'invoice_sent'].map((one) => ({
    topic: one,
    numPartitions: 6,
    replicationFactor: 1,
    configEntries: one === topic ? [] : [{ name: 'max.message.bytes', value: '2000' }],
  })),
  waitForLeaders: true,
})

const relays = ['relay-1', 'relay-2'].map((relay) => {
  const env = { ...process.env, DATABASE_URL: postgres.url, KAFKA_BROKERS: kafka.brokers, LOG_LEVEL: 'info', OUTBOX_NAME: relay }
  return spawn(process.execPath, [builtMain, 'relay', '--listen', '0'], { env, stdio: ['ignore', 'pipe', 'inherit'] })
})
const addresses = await Promise.all(
  relays.map(
    (relay) =>
      new Promise<string>((resolve) => {
        createInterface({ input: relay.stdout }).on('line', (line) => {
          const told = JSON.parse(line) as { event: string; url?: string }
          if (told.event === 'listening') resolve(told.url!)
        })
      }),
  ),
)

/** Orders at a steady rate, with some invoices. */
async function trade(seconds: number): Promise<void> {
  const until = performance.now() + seconds * 1000
  for (let n = 0; performance.now() < until; n++) {
    // More by day than by night.
    await insertMany(pool, topic, Math.round(30 + 20 * Math.sin(n / 40)), 50)
    if (n % 4 === 0) await insertMany(pool, 'invoice_sent', 5, 50)
    await pause(500)
  }
}

mkdirSync(folder, { recursive: true })
const browser = await startBrowser()
const shoot = async (file: string, path: string, size: [number, number], scheme: 'light' | 'dark', link?: string) => {
  const page = await browser.newPage({ viewport: { width: size[0], height: size[1] }, colorScheme: scheme })
  await page.goto(addresses[0] + path)
  if (link !== undefined) await page.locator(link).first().click()
  await page.locator('h1').waitFor()
  await page.screenshot({ path: folder + file })
  await page.close()
  console.log(`${file}  ${Math.round(statSync(folder + file).size / 1000)} kB`)
}

await trade(calmSeconds)
await shoot('calm.png', '/', [1280, 900], 'light')

await insertRows(pool, [
  { topic: 'invoice_sent', key: 'invoice-7', type: 'InvoiceSent', value: 'x'.repeat(5_000), headers: { tenant: 'acme' } },
  { topic: 'invoice_sent', key: 'invoice-7', type: 'InvoiceSent', headers: { tenant: 'acme' } },
  { topic: 'invoice_sent', key: 'invoice-8', type: 'InvoiceSent', value: 'x'.repeat(9_000), headers: { tenant: 'acme' } },
])
await insertMany(pool, 'shipping_requested', 40, 12)
await trade(troubleSeconds)
await shoot('overview.png', '/', [1280, 1240], 'light')
await shoot('dead.png', '/dead', [1280, 700], 'light')
await shoot('message.png', '/messages?state=dead', [1280, 1000], 'dark', 'tbody a')
await shoot('phone.png', '/', [390, 844], 'dark')
await browser.close()

for (const relay of relays) relay.kill('SIGKILL')
await admin.disconnect()
await pool.end()
await Promise.all([postgres.stop(), kafka.remove()])
process.exit(0)
