import { randomUUID } from 'node:crypto'
import { expect, test } from 'vitest'
import { PartitionMemory } from '../../src/inbox/partition.ts'
import { cli } from '../support/cli.ts'
import { deleteTopic } from '../support/topics.ts'
import { createStage, effect, record, type Stage, type Tx, useMail } from './stage.ts'

// Offsets that come a second time: in a recreated topic, in another cluster, in a restored one. They are no identity of a message.

const { startMail, query, url, numbers } = useMail()

/** The topic's second life: offsets start again at 0, and the group has no offsets any more, as in another cluster. */
async function recreate({ topic, kafka }: Stage): Promise<void> {
  await deleteTopic(topic)
  const admin = kafka.admin()
  await admin.connect()
  while (!(await admin.createTopics({ topics: [{ topic, numPartitions: 1 }] }).catch(() => false)));
  await admin.disconnect()
}

/** Sets the group back to the beginning of the topic. */
async function rewind({ topic, kafka }: Stage): Promise<void> {
  const admin = kafka.admin()
  await admin.connect()
  await admin.setOffsets({ groupId: `mail-${topic}`, topic, partitions: [{ partition: 0, offset: '0' }] })
  await admin.disconnect()
}

const deadLettered = () =>
  query<{ offset: string; reason: string | null; message_id: string | null }>(
    'SELECT "offset", reason, message_id FROM inbox_dead_letter ORDER BY arrival',
  )

const ways = [
  ['cannot be read', { value: 'no JSON' }, 'INVALID_JSON'],
  ['fails', {}, 'HANDLER_FAILED'],
  ['has no id', { headers: { type: 'Counted' } }, 'INVALID_ID'],
] as const

const failing = {
  deadLetter: { after: 1 },
  handlers: {
    Counted: async (event: { id: string; payload: { name: string; n: number } }, tx: Tx) => {
      if (event.payload.name.startsWith('poison')) throw new Error('cannot be done')
      await effect(tx, 'mail', event)
    },
  },
}

test.each(ways)(
  'a message that %s is dead-lettered and told, although another was dead-lettered at its offset',
  async (_, broken, reason) => {
    const stage = await createStage(1)
    const send = (name: string) => stage.send([record(name, 1, broken), record('fine', 1)])
    await send('poison 1')
    const first = startMail(stage, failing)
    await first.until('applied')
    await first.inbox.stop()
    await recreate(stage)
    await send('poison 2')
    const second = startMail(stage, failing)
    expect(await second.until('dead_lettered')).toMatchObject({ offset: '0', reason })
    await second.until('applied')
    expect(await deadLettered()).toMatchObject([
      { offset: '0', reason },
      { offset: '0', reason },
    ])
    expect(await numbers('fine')).toEqual([1, 1])
  },
  60_000,
)

test('a good message behind a dead-lettered key is kept, and a redrive applies the key in the order of arrival, over both logs', async () => {
  const stage = await createStage(1)
  let poison = true
  const options = {
    deadLetter: { after: 1 },
    handlers: {
      Counted: async (event: { id: string; payload: { name: string; n: number } }, tx: Tx) => {
        if (poison && event.payload.n === 1) throw new Error('cannot be done')
        await effect(tx, 'mail', event)
      },
    },
  }
  await stage.send([record('fine', 7), record('fine', 8), record('key', 1), record('key', 2)])
  const first = startMail(stage, options)
  await first.until('blocked')
  await first.inbox.stop()
  await recreate(stage)
  // Of these, 4 has the offset of 1, and 5 that of 2.
  await stage.send([record('fine', 9), record('key', 3), record('key', 4), record('key', 5)])
  const second = startMail(stage, options)
  await second.times('blocked', 3)
  poison = false
  await query(`UPDATE inbox_dead_letter SET requested_action = 'redrive' WHERE reason IS NOT NULL`)
  expect(await second.until('redriven')).toMatchObject({ messages: 5 })
  expect(await numbers('key')).toEqual([1, 2, 3, 4, 5])
  expect(await deadLettered()).toEqual([])
}, 60_000)

test('a message with an id that is read again from another log is a copy, whatever its offset', async () => {
  const stage = await createStage(1)
  const id = randomUUID()
  await stage.send([record('poison', 1, { id }), record('fine', 1)])
  const first = startMail(stage, failing)
  await first.until('applied')
  await first.inbox.stop()
  await recreate(stage)
  await stage.send([record('fine', 2), record('other', 1), record('poison', 1, { id }), record('fine', 3)])
  const second = startMail(stage, failing)
  await second.times('applied', 3, ({ messages }) => messages === 1)
  expect(second.all('dead_lettered')).toEqual([])
  expect(await deadLettered()).toEqual([{ offset: '0', reason: 'HANDLER_FAILED', message_id: id }])
}, 60_000)

test('a record without an id that is read again is dead-lettered once, also after it was discarded', async () => {
  const stage = await createStage(1)
  const twin = record('key', 1, { headers: { type: 'Counted' } })
  // Alike in all but the offset: two records.
  await stage.send([twin, twin, record('fine', 1)])
  const first = startMail(stage)
  await first.until('applied')
  expect(await deadLettered()).toMatchObject([
    { offset: '0', message_id: null },
    { offset: '1', message_id: null },
  ])
  const [one] = await query<{ identity: string }>('SELECT identity FROM inbox_dead_letter ORDER BY arrival LIMIT 1')
  // An operator names it as the list does.
  const list = await cli(['inbox', 'list'], { DATABASE_URL: url() })
  expect(list.stdout).toContain(one!.identity)
  const dropped = await cli(['inbox', 'discard', one!.identity, '--yes'], { DATABASE_URL: url() })
  expect(dropped.stdout).toContain('Dropped: 1 message.')
  await first.inbox.stop()
  await rewind(stage)
  await stage.send([record('fine', 2)])
  const second = startMail(stage)
  await second.until('applied', ({ messages }) => messages === 1)
  expect(second.all('dead_lettered')).toEqual([])
  expect(await deadLettered()).toMatchObject([{ offset: '1' }])
  expect(await numbers('fine')).toEqual([1, 2])
}, 60_000)

test('the failures of a message are not those of another one at its offset, nor of another kind', () => {
  const memory = new PartitionMemory()
  expect(memory.failed('first', true)).toEqual({ tries: 1, attempts: 1 })
  expect(memory.failed('first', false)).toEqual({ tries: 2, attempts: 1 })
  expect([
    memory.failedSoBefore('first', '57014'),
    memory.failedSoBefore('first', 'XX000'),
    memory.failedSoBefore('first', 'XX000'),
  ]).toEqual([false, false, true])
  expect(memory.attempts('second')).toBe(0)
  expect(memory.failedSoBefore('second', 'XX000')).toBe(false)
  expect(memory.failed('second', true)).toEqual({ tries: 1, attempts: 1 })
})
