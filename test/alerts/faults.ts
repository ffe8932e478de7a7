import { connect, type Socket } from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'
import { insertMany, insertRows } from '../support/rows.ts'
import { type Ground, leaseMs } from './ground.ts'

/** A fault for which alerts exist. */
export interface AlertFault {
  name: string
  /** What must fire. */
  fires: string[]
  /** What may fire as well: the same fault, seen from another side. */
  also: string[]
  /** Injects it; gives what heals it. */
  inject(ground: Ground): Promise<() => Promise<unknown>>
}

/** Every alert is that of at least one of these. */
export const faults: AlertFault[] = [
  {
    name: 'the broker is stopped, while 1,100 messages come at once and more all the time',
    fires: ['OutboxKafkaTrouble', 'OutboxLag', 'OutboxNoProgress', 'OutboxBacklogGrowing', 'OutboxRelaySilent'],
    also: [],
    async inject({ kafka, pool, topic }) {
      await kafka.stop('SIGKILL')
      await insertMany(pool, topic, 1_100, 10)
      return () => kafka.start()
    },
  },
  {
    name: 'messages for a topic that does not exist',
    fires: ['OutboxTopicPaused', 'OutboxLag'],
    also: [],
    async inject({ pool, topic, createTopic }) {
      const missing = `missing-${topic}`
      await insertRows(pool, [{ topic: missing, key: 'a' }])
      return () => createTopic(missing)
    },
  },
  {
    name: 'a message that is too large for its topic, and one behind it',
    fires: ['OutboxDeadLetter', 'OutboxBlockedKeys'],
    also: [],
    async inject({ pool, topic, command }) {
      await insertRows(pool, [
        { topic, key: 'poison', value: 'x'.repeat(3_000) },
        { topic, key: 'poison' },
      ])
      return () => command('discard', '--all', '--yes')
    },
  },
  {
    name: 'both relays are killed',
    fires: ['OutboxNoRelay'],
    also: [],
    async inject({ relays, startRelays }) {
      for (const relay of relays) relay.kill('SIGKILL')
      return () => startRelays()
    },
  },
  {
    name: 'relays are frozen for longer than a lease, one after the other',
    fires: ['OutboxLeasesFlapping'],
    also: ['OutboxLag', 'OutboxNoProgress'],
    async inject({ relays }) {
      for (const relay of [...relays, ...relays]) {
        relay.kill('SIGSTOP')
        await wait(leaseMs + 1_000)
        relay.kill('SIGCONT')
      }
      return async () => {}
    },
  },
  {
    name: 'a session is left idle in a transaction',
    fires: ['OutboxXminHeld'],
    also: [],
    async inject({ pool }) {
      const client = await pool.connect()
      await client.query('BEGIN')
      await client.query('SELECT pg_current_xact_id()')
      return async () => {
        await client.query('ROLLBACK')
        client.release()
      }
    },
  },
  {
    name: 'a session keeps a message locked',
    fires: ['OutboxRowsLocked'],
    also: ['OutboxLag', 'OutboxXminHeld'],
    async inject({ pool, topic }) {
      const client = await pool.connect()
      await client.query('BEGIN')
      const [id] = await insertRows(client, [{ topic, key: 'locked' }])
      await client.query('COMMIT; BEGIN')
      await client.query('SELECT FROM outbox WHERE id = $1 FOR UPDATE', [id])
      return async () => {
        await client.query('ROLLBACK')
        client.release()
      }
    },
  },
  {
    name: 'a rule keeps published messages',
    fires: ['OutboxRowsKept'],
    also: ['OutboxLag', 'OutboxBacklogGrowing', 'OutboxNoProgress'],
    async inject({ pool }) {
      await pool.query('CREATE RULE keep AS ON DELETE TO outbox DO INSTEAD NOTHING')
      return () => pool.query('DROP RULE keep ON outbox')
    },
  },
  {
    name: 'the database refuses the relays',
    fires: ['OutboxDatabaseTrouble', 'OutboxBlind'],
    also: ['OutboxNoRelay', 'OutboxLeasesFlapping', 'OutboxLag', 'OutboxNoProgress'],
    async inject({ database }) {
      const heal = database.impose({ kind: 'refuse' })
      return async () => heal()
    },
  },
  {
    name: 'a row in a bucket that does not fit its key',
    fires: ['OutboxOrderAtRisk'],
    also: [],
    async inject({ pool, topic }) {
      await pool.query(
        `INSERT INTO outbox (bucket, message_id, topic, key, value)
         SELECT bucket, gen_random_uuid(), $1, 'stray', '{}' FROM generate_series(0, 1) AS bucket`,
        [topic],
      )
      return async () => {}
    },
  },
  {
    name: 'somebody opens connections to the pages of a relay and sends nothing',
    fires: ['OutboxHttpRefused'],
    also: [],
    async inject({ ports }) {
      const open = new Set<Socket>()
      const timer = setInterval(() => {
        for (let n = 0; n < 40; n++) {
          const socket = connect(ports[0]!, '127.0.0.1').on('error', () => {})
          open.add(socket.once('close', () => open.delete(socket)))
        }
      }, 500)
      return async () => {
        clearInterval(timer)
        for (const socket of open) socket.destroy()
      }
    },
  },
]
