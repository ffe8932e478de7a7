import { setTimeout as sleep } from 'node:timers/promises'
import type pg from 'pg'
import { uuidv7 } from '../../../src/message/id.ts'
import { bucketOf } from '../../../src/message/key.ts'
import { fingerprint } from '../../../src/proof/history.ts'
import { proofStatements } from '../../../src/proof/statements.ts'
import { sweepMs } from '../../../src/relay/fetch/reader.ts'
import { eventually } from '../../support/eventually.ts'
import { insertRows } from '../../support/rows.ts'
import { type Fault, type Ground, inSession } from '../fault.ts'

/** Faults that put rows into the outbox as no enqueue does. They stand in the ledger: each must come to Kafka. */

const sql = proofStatements('public')

/** Writes into the ledger what a row of the outbox will be in Kafka. */
const record = (client: pg.PoolClient, id: string, topic: string, key: Buffer, value: Buffer) =>
  client.query(sql.record, [id, topic, key.toString('hex'), null, fingerprint(value)])

/** Works in one transaction of an admin session. */
async function inTransaction<T>({ postgres }: Ground, work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
  const client = await postgres.admin.connect()
  try {
    await client.query('BEGIN')
    const done = await work(client)
    await client.query('COMMIT')
    return done
  } finally {
    client.release(true)
  }
}

/** Resolves when these messages are in the outbox no more. */
const untilSent = ({ postgres }: Ground, ids: readonly string[]): Promise<void> =>
  eventually(postgres.admin, 'SELECT WHERE NOT EXISTS (SELECT FROM outbox WHERE message_id = ANY($1))', [ids])

/** Rows that somebody locks at once. */
const lockedRows = 3

/** Faults of rows that are drawn as often as any other. */
export const rowFaults: readonly Fault[] = [
  {
    name: 'row-locked',
    what: 'the three oldest rows of the outbox are locked by somebody else (SELECT FOR UPDATE); all others go on',
    lastsMs: [1_000, 8_000],
    flow: { withinMs: 8_000 },
    begin: (ground) =>
      inSession(ground, async (client) => {
        const { rowCount } = await client.query('SELECT FROM outbox ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED', [lockedRows])
        ground.note(`row-locked: ${rowCount} rows`)
      }),
  },
]

/** Messages that are in flight when the server is replaced, and milliseconds in which the relays have read and sent them. */
const inHand = 6
const readMs = 700

/** For the broken relays that know a row by its id alone. */
export const idsAgain: Fault = {
  name: 'pg-ids-again',
  what: 'a failover loses messages that are on their way to Kafka, and gives their ids to others; Kafka answers later',
  lastsMs: [4_000, 6_000],
  async begin(ground) {
    const { kafka, topics, postgres } = ground
    const keys = Array.from({ length: inHand }, (_, i) => `again-${i}`)
    const writeNarrow = () =>
      inTransaction(ground, async (client) => {
        const rows = keys.map((key) => ({ topic: topics.narrow, key, value: key, messageId: uuidv7() }))
        await insertRows(client, rows)
        return rows.map(({ messageId }) => messageId)
      })
    // A topic that a relay has not met yet would not be sent to.
    await untilSent(ground, await writeNarrow())
    const lifts = kafka.brokers.map(({ proxy }) => proxy.impose({ kind: 'black-hole' }))
    const lift = async () => {
      for (const one of lifts) one()
    }
    try {
      const lost = await writeNarrow()
      await sleep(readMs)
      await inTransaction(ground, async (client) => {
        for (const [i, key] of keys.entries()) {
          const id = uuidv7()
          const topic = topics.steady[0]!
          const { rowCount } = await client.query('UPDATE outbox SET message_id = $2, topic = $3 WHERE message_id = $1', [
            lost[i],
            id,
            topic,
          ])
          if (rowCount === 1) await record(client, id, topic, Buffer.from(key), Buffer.from(key))
        }
        await client.query(
          `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND application_name LIKE 'relay-%'`,
          [postgres.database],
        )
      })
    } catch (error) {
      await lift()
      throw error
    }
    return lift
  },
}

/** Rows are swept bucket by bucket; one that is next in less than this many seconds may be swept before the row is there. */
const leastS = 1

/** For the broken relays that send such a row without a word. */
export const putBelow: Fault = {
  name: 'row-put-below',
  what: 'somebody puts a row back into the outbox by inFlight, under an id that the relays have read beyond; it lasts until it is swept',
  lastsMs: [0, 0],
  async begin(ground) {
    const { postgres, topics, expectAlarm } = ground
    // The bucket that its relay sweeps next: it began with bucket 0 when it started.
    const { rows } = await postgres.admin.query<{ bucket: number }>(
      `SELECT bucket FROM outbox_lease JOIN outbox_relay AS r ON r.id = owner,
  LATERAL (SELECT (bucket + 1) * $1::float8 - extract(epoch FROM clock_timestamp() - r.started_at) AS left_s) AS s
  WHERE left_s > $2 ORDER BY left_s LIMIT 1`,
      [sweepMs / 64 / 1_000, leastS],
    )
    const topic = topics.steady[0]!
    const key = keyIn(rows[0]!.bucket, topic)
    const id = uuidv7()
    await inTransaction(ground, async (client) => {
      await client.query(
        `INSERT INTO outbox (bucket, message_id, topic, key, value, id) SELECT $1, $2, $3, $4, $5,
  (SELECT min(n) FROM generate_series(1, 1000) AS n WHERE NOT EXISTS (SELECT FROM outbox AS o WHERE o.bucket = $1 AND o.id = n))`,
        [rows[0]!.bucket, id, topic, key, key],
      )
      await record(client, id, topic, key, key)
    })
    expectAlarm(id)
    return () => untilSent(ground, [id])
  },
}

function keyIn(bucket: number, topic: string): Buffer {
  for (let n = 0; ; n++) {
    const key = Buffer.from(`below-${n}`)
    if (bucketOf(topic, key) === bucket) return key
  }
}
