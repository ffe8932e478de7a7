import type pg from 'pg'
import { insertRows } from '../../support/rows.ts'
import type { Fault } from '../fault.ts'

/** Faults that come with the load of the applications. */
export const loadFaults: readonly Fault[] = [
  {
    name: 'load-late-rollback',
    what: 'a transaction draws a hundred ids of the outbox and holds them, invisible, for up to 15 s; then it rolls back',
    lastsMs: [2_000, 15_000],
    async begin({ postgres, topics }) {
      const client = await postgres.admin.connect()
      let over = false
      const end = async () => {
        if (over) return
        over = true
        await client.query('ROLLBACK').catch(() => {})
        client.release(true)
      }
      await drawIds(client, topics.steady[0]!).catch(async (error) => {
        await end()
        throw error
      })
      return end
    },
  },
]

async function drawIds(client: pg.PoolClient, topic: string): Promise<void> {
  await client.query('BEGIN')
  for (let i = 0; i < 100; i++) {
    await insertRows(client, [{ topic, key: `never-${i}`, value: `never-${i}` }])
  }
}
