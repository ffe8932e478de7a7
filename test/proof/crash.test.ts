import { describe, expect, inject, test } from 'vitest'
import { randomFrom } from '../../src/proof/draw.ts'
import { shopSql } from '../enqueue/clients.ts'
import { useDatabase } from '../support/database.ts'
import { emptied } from '../support/eventually.ts'
import { type RelayProcess, startRelayProcess } from '../support/relay-process.ts'
import { createTopic, readTopic } from '../support/topics.ts'
import { type Judgement, judge, startShopLoad } from './shop-load.ts'

const database = useDatabase('all', shopSql)

const orders = () => database.query<{ customer: string; total: string }>('SELECT customer, total FROM orders')

function relay(more: Record<string, string> = {}): RelayProcess {
  return startRelayProcess({
    DATABASE_URL: database.url,
    KAFKA_BROKERS: inject('brokers'),
    OUTBOX_LEASE_MS: '3000',
    ...more,
  })
}

const show = (what: string, judgement: Judgement) => console.log(`${what}: ${JSON.stringify(judgement)}`)

describe('relays that are killed', () => {
  test('10,000 transactions, a tenth rolled back, 200 keys, two relays, one killed three times: nothing lost, no phantom, in order', async () => {
    const seed = Number(process.env.PROOF_SEED ?? Date.now() % 1_000_000)
    console.log(`PROOF_SEED=${seed}`)
    const random = randomFrom(seed)
    const topic = await createTopic('crash', 12)
    const maxInFlight = 500
    const settings = { OUTBOX_MAX_IN_FLIGHT: String(maxInFlight) }
    const other = relay(settings)
    let victim = relay(settings)
    const load = startShopLoad({
      databaseUrl: database.url,
      topic,
      transactions: 10_000,
      writers: 8,
      keys: 200,
      rollbackEvery: 10,
    })
    for (let kill = 1; kill <= 3; kill++) {
      const after = Math.floor(10_000 * ((kill - 1 + random()) / 3))
      while (load.done() < after) await new Promise((resolve) => setTimeout(resolve, 5))
      await victim.end('SIGKILL')
      victim = relay(settings)
    }
    await load.finished
    expect(load.failures).toEqual([])
    await emptied(database.pool)
    const judgement = judge(await orders(), await readTopic(topic))
    show('crash', judgement)
    expect(judgement).toMatchObject({ committed: 9_000, lost: 0, phantom: 0, inversions: 0 })
    // A relay that dies has at most its rows in flight sent and not yet deleted.
    expect(judgement.duplicates).toBeLessThanOrEqual(3 * maxInFlight)
    await Promise.all([victim.end('SIGKILL'), other.end('SIGKILL')])
  }, 180_000)
})

describe('relays that are stopped', () => {
  test('SIGTERM under load: exit 0 within ten seconds, the other relay has all buckets within two, no duplicate', async () => {
    await database.query('TRUNCATE orders, outbox; UPDATE outbox_lease SET owner = NULL; DELETE FROM outbox_relay')
    const topic = await createTopic('sigterm', 12)
    const stays = relay()
    const goes = relay()
    const owned = (which: RelayProcess) =>
      database.query<{ n: number }>(
        'SELECT count(*)::int AS n FROM outbox_lease l JOIN outbox_relay r ON r.id = l.owner WHERE r.name LIKE $1 AND l.leased_until > clock_timestamp()',
        [`%-${which.child.pid}`],
      )
    const has = async (which: RelayProcess, n: number) => {
      while ((await owned(which))[0]!.n !== n) await new Promise((resolve) => setTimeout(resolve, 20))
    }
    await Promise.all([has(stays, 32), has(goes, 32)])
    const load = startShopLoad({
      databaseUrl: database.url,
      topic,
      transactions: 4_000,
      writers: 8,
      keys: 200,
      rollbackEvery: 10,
    })
    while (load.done() < 1_500) await new Promise((resolve) => setTimeout(resolve, 5))
    const asked = performance.now()
    expect(await goes.end('SIGTERM')).toEqual({ code: 0, signal: null })
    const ended = performance.now()
    expect(ended - asked).toBeLessThan(10_000)
    await has(stays, 64)
    console.log(
      `SIGTERM to exit ${Math.round(ended - asked)} ms, to take-over of all buckets ${Math.round(performance.now() - ended)} ms more`,
    )
    expect(performance.now() - ended).toBeLessThan(2_000)
    await load.finished
    await emptied(database.pool)
    const judgement = judge(await orders(), await readTopic(topic))
    show('sigterm', judgement)
    expect(judgement).toMatchObject({ lost: 0, phantom: 0, inversions: 0, duplicates: 0 })
  }, 120_000)
})
