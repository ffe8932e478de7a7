import { expect, test } from 'vitest'
import { bucketOf } from '../../src/message/key.ts'
import { randomFrom } from '../../src/proof/draw.ts'
import { memoryTransport } from '../../src/transport/memory.ts'
import { createDatabase } from '../support/database.ts'
import { emptied } from '../support/eventually.ts'
import { shared, type TestRelay, testRelay } from '../support/relay.ts'

const secondsOfFaults = Number(process.env.CHAOS_SECONDS ?? 10)

test('lost acknowledgements, terminated backends, late commits and relays that come and go: nothing is lost, every key in order', async () => {
  const seed = Number(process.env.CHAOS_SEED ?? 1 + (Date.now() % 1_000_000))
  console.log(`CHAOS_SEED=${seed} CHAOS_SECONDS=${secondsOfFaults}`)
  const random = randomFrom(seed)
  await using database = await createDatabase()
  const transport = memoryTransport({ partitions: 5 })
  const uncertain = { outcome: { kind: 'unknown', code: 'ECONNRESET', error: 'gone' } } as const
  const faults = [
    transport.refuse(() => random() < 0.002, { ...uncertain, written: true }),
    transport.refuse(() => random() < 0.002, uncertain),
    transport.refuse(() => random() < 0.002, {
      outcome: { kind: 'not-written', scope: 'transient', code: 'NOT_ENOUGH_REPLICAS', error: 'wait' },
    }),
  ]
  const relays: TestRelay[] = []
  const start = async () => {
    const one = testRelay(database.url, shared(transport), { maxInFlight: 200, batchRecords: 20 }, { fetchRows: 100 })
    relays.push(one)
    await one.relay.start()
  }
  await Promise.all([start(), start()])

  const committed = new Map<string, number>()
  let writing = true
  const writer = async (key: string) => {
    const bucket = bucketOf('t', Buffer.from(key))
    for (let n = 1; writing; n++) {
      const client = await database.pool.connect().catch(() => undefined)
      if (!client) continue
      await client.query('BEGIN')
      await client.query(
        "INSERT INTO outbox (bucket, message_id, topic, key, value) VALUES ($1, gen_random_uuid(), 't', $2, $3)",
        [bucket, Buffer.from(key), Buffer.from(`{"n":${n}}`)],
      )
      // A late commit: ids drawn after this one are published before it comes to light.
      if (random() < 0.05) await new Promise((resolve) => setTimeout(resolve, 300 * random()))
      await client.query('COMMIT')
      client.release()
      committed.set(key, n)
    }
  }
  const writers = Array.from({ length: 15 }, (_, key) => writer(`key-${key}`))

  const end = performance.now() + secondsOfFaults * 1_000
  while (performance.now() < end) {
    await new Promise((resolve) => setTimeout(resolve, 200 + 600 * random()))
    const what = random()
    if (what < 0.5) {
      await database.query(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'prisma-extension-outbox' AND datname = current_database() AND random() < 0.3`,
      )
    } else if (what < 0.75 && relays.length > 1) await relays.splice(Math.floor(random() * relays.length), 1)[0]!.relay.stop()
    else if (relays.length < 4) await start()
  }
  writing = false
  await Promise.all(writers)
  for (const end of faults) end()
  await emptied(database.pool)
  for (const one of relays) await one.relay.stop()

  const seen = new Map<string, number[]>()
  for (const record of transport.records()) {
    const key = Buffer.from(record.key!).toString()
    const { n } = JSON.parse(Buffer.from(record.value!).toString()) as { n: number }
    const numbers = seen.get(key) ?? []
    if (!numbers.includes(n)) seen.set(key, [...numbers, n])
  }
  for (const [key, last] of committed) expect([key, seen.get(key)]).toEqual([key, Array.from({ length: last }, (_, i) => i + 1)])
  expect([...committed.values()].reduce((sum, n) => sum + n, 0)).toBeGreaterThan(100)
  expect(await database.query('SELECT 1 FROM outbox_dead_letter')).toEqual([])
  for (const one of relays) expect(one.all('row_found_below_position')).toEqual([])
}, 120_000)
