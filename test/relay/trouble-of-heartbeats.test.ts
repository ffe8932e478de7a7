import { expect, test } from 'vitest'
import { mostTrouble, type TroubledTopic, troubleOf } from '../../src/relay/publish/trouble.ts'
import { memoryTransport } from '../../src/transport/memory.ts'
import { createDatabase } from '../support/database.ts'
import { emptied, eventually } from '../support/eventually.ts'
import { numbered } from '../support/numbered.ts'
import { startedRelay } from '../support/relay.ts'
import { insertRows } from '../support/rows.ts'

const topic = (name: string, pausedBy: string | undefined, ...codes: (string | undefined)[]): TroubledTopic => ({
  name,
  pausedBy,
  lanes: codes.map((stuckBy, partition) => ({ partition, stuckBy })),
})

test('names paused topics as a whole, and of the others the partitions that do not progress', () => {
  expect(
    troubleOf([
      topic('fine', undefined, undefined, undefined),
      topic('gone', 'C', 'D'),
      topic('half', undefined, undefined, 'E'),
    ]),
  ).toEqual([
    { topic: 'gone', partition: null, code: 'C' },
    { topic: 'half', partition: 1, code: 'E' },
  ])
})

test('a topic with many partitions hides no other, and there are never more than twenty', () => {
  const wide = topic('wide', undefined, ...Array.from({ length: 40 }, () => 'N'))
  const found = troubleOf([wide, topic('narrow', undefined, 'N'), topic('gone', 'U')])
  expect(found).toHaveLength(mostTrouble)
  expect(found.slice(0, 3).map((one) => one.topic)).toEqual(['gone', 'wide', 'narrow'])
})

test.each(['NOT_ENOUGH_REPLICAS', 'TIMEOUT', 'ECONNREFUSED'])(
  'a heartbeat names a partition that is refused again and again (%s), and no more once it is taken',
  async (code) => {
    await using database = await createDatabase()
    const transport = memoryTransport({ topics: { t: 1, fine: 1 } })
    const outcome =
      code === 'TIMEOUT'
        ? ({ kind: 'unknown', code, error: 'late' } as const)
        : ({ kind: 'not-written', scope: code === 'ECONNREFUSED' ? 'producer' : 'transient', code, error: 'wait' } as const)
    const accept = transport.refuse((_, batch) => batch.topic === 't', { outcome })
    await insertRows(database.pool, [...numbered('t', 'k', 1), ...numbered('fine', 'k', 2)])
    await using _one = await startedRelay(database.url, transport)
    const named = [{ topic: 't', partition: 0, code }]
    await eventually(database.pool, 'SELECT FROM outbox_relay WHERE trouble = $1::jsonb', [JSON.stringify(named)])
    accept()
    await emptied(database.pool)
    await eventually(database.pool, "SELECT FROM outbox_relay WHERE trouble = '[]'")
  },
)
