// This package: the relay as it is shipped, the INSERT as the extension writes it,
// and the extension's wake-up after the commit, at most 20 times a second. Needs `npm run build`.
//   default: kafkajs; platformatic: @platformatic/kafka
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const dist = (path) => import(new URL(`../../../dist/${path}`, import.meta.url).href)
const { uuidv7 } = await dist('message/id.js')
const { bucketOf } = await dist('message/key.js')
const { wakeChannel } = await dist('message/wake.js')

const migrations = new URL('../../../prisma/migrations/', import.meta.url)
const migration = readdirSync(migrations, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map((entry) => readFileSync(new URL(`${entry.name}/migration.sql`, migrations), 'utf8'))
  .join('\n')

let wokenAt = Number.NEGATIVE_INFINITY
let waiting = false

function wake(pool) {
  if (waiting) return
  waiting = true
  setTimeout(
    () => {
      waiting = false
      wokenAt = performance.now()
      pool.query(`NOTIFY ${wakeChannel}`).catch(() => {})
    },
    Math.max(0, wokenAt + 50 - performance.now()),
  )
}

const adapter = {
  async setup(_ctx, client) {
    await client.query(migration)
  },
  async preload(ctx, client, source) {
    const { rows } = await client.query(`SELECT DISTINCT key FROM (${source}) s`)
    const keys = rows.map((row) => row.key)
    await client.query('CREATE TEMP TABLE bucket_of_key (key text PRIMARY KEY, bucket smallint)')
    await client.query('INSERT INTO bucket_of_key SELECT * FROM unnest($1::text[], $2::smallint[])', [
      keys,
      keys.map((key) => bucketOf(ctx.topic, Buffer.from(key))),
    ])
    await client.query(
      `INSERT INTO outbox (bucket, message_id, topic, key, value)
       SELECT bucket, gen_random_uuid(), '${ctx.topic}', convert_to(s.key, 'UTF8'), convert_to(payload, 'UTF8')
       FROM (${source}) s JOIN bucket_of_key USING (key) ORDER BY s.id`,
    )
    await client.query('DROP TABLE bucket_of_key')
  },
  insert: (ctx, message) => ({
    name: 'enqueue',
    text: 'INSERT INTO outbox (bucket, message_id, topic, key, value) VALUES ($1, $2, $3, $4, $5)',
    values: [
      bucketOf(ctx.topic, Buffer.from(message.key)),
      uuidv7(),
      ctx.topic,
      Buffer.from(message.key),
      Buffer.from(message.payload),
    ],
  }),
  afterCommit: (_ctx, pool) => wake(pool),
  relay: () => ({
    cmd: process.execPath,
    args: [...(process.env.OUTBOX_BENCH_NODE_FLAGS ?? '').split(' ').filter(Boolean), fileURLToPath(import.meta.url), 'relay'],
  }),
  pending: () => 'SELECT count(*) AS n FROM outbox',
}

// The benchmark loads an adapter by its default export.
export { adapter as default }

if (process.argv[2] === 'relay') {
  const { createRelay } = await dist('embed.js')
  const relay = createRelay({
    databaseUrl: process.env.DATABASE_URL,
    transport: process.env.VARIANT === 'platformatic' ? 'platformatic' : 'kafkajs',
    kafka: { brokers: process.env.KAFKA_BROKERS.split(',') },
  })
  process.once('SIGTERM', () => relay.stop().then(() => process.exit(0)))
  if (process.env.OUTBOX_BENCH_LOG)
    relay.on('*', (name, event) => console.log(Math.round(performance.now()), name, JSON.stringify(event)))
  await relay.start()
}
