import type pg from 'pg'
import { wakeChannel } from '../../src/message/wake.ts'

/** Requests that dead messages be redriven or discarded, and tells the relays, as the commands do. Resolves with the number of messages. */
export async function action(client: pg.Pool, what: 'redrive' | 'discard', where = 'reason IS NOT NULL'): Promise<number> {
  const { rowCount } = await client.query(`UPDATE outbox_dead_letter SET requested_action = '${what}' WHERE ${where}`)
  // Without it a relay that hears notifications looks only every five seconds.
  await client.query(`SELECT pg_notify('${wakeChannel}', 'request')`)
  return rowCount ?? 0
}
