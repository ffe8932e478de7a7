import { expect, test } from 'vitest'
import { bucketOf } from '../../../src/message/key.ts'
import { memoryTransport } from '../../../src/transport/memory.ts'
import { useDatabase } from '../../support/database.ts'
import { eventually } from '../../support/eventually.ts'
import { numbered, numberOf } from '../../support/numbered.ts'
import { startedRelay } from '../../support/relay.ts'
import { action } from '../../support/requests.ts'
import { insertMany, insertRows } from '../../support/rows.ts'

const database = useDatabase()

const unknown = { kind: 'unknown', code: 'ECONNRESET', error: 'gone' } as const
const poison = { kind: 'not-written', scope: 'record', code: 'INVALID_RECORD', error: 'refused' } as const

test('a redriven key overtakes nothing: later rows that wait in the lane, or on their way behind, come after it (rule 14)', async () => {
  const transport = memoryTransport({ partitions: 1 })
  const accept = transport.refuse((record) => numberOf(record) === 1, { outcome: poison })
  await insertRows(database.pool, numbered('t', 'k', 1, 2, 3))
  await using one = await startedRelay(database.url, transport)
  await one.until('blocked', (e) => e.rows === 2)
  accept()
  let writing = true
  const writer = (async () => {
    for (let n = 4; writing; n++) await insertRows(database.pool, numbered('t', 'k', n))
  })()
  for (let round = 0; round < 3; round++) {
    const redriven = one.all('redriven').length
    // None where the redrive before has taken all along.
    const requested = await action(database.pool, 'redrive', 'id = (SELECT min(id) FROM outbox_dead_letter)')
    if (requested > 0) await one.until('redriven', () => one.all('redriven').length > redriven)
  }
  writing = false
  await writer
  await eventually(
    database.pool,
    'SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM outbox) AND NOT EXISTS (SELECT 1 FROM outbox_dead_letter)',
  )
  const seen = transport.records().map(numberOf)
  expect(seen).toEqual([...seen].sort((x, y) => x - y))
  expect(new Set(seen).size).toBe(seen.length)
})

test('a request is carried out though messages of the held key keep coming: each of them is one more to move behind (rule 14)', async () => {
  const transport = memoryTransport({ partitions: 1 })
  const accept = transport.refuse((record) => numberOf(record) === 1, { outcome: poison })
  await using one = await startedRelay(database.url, transport)
  await insertRows(database.pool, numbered('t', 'k', 1))
  await one.until('dead_lettered')
  accept()
  let last = 1
  const writing = (async () => {
    for (; one.all('redriven').length === 0; last++) {
      const held = one.all('blocked').length
      await insertRows(database.pool, numbered('t', 'k', last + 1))
      await Promise.race([one.until('blocked', () => one.all('blocked').length > held), one.until('redriven')])
    }
  })()
  await one.until('blocked')
  await action(database.pool, 'redrive')
  await one.until('redriven')
  await writing
  await transport.written(last)
  expect(transport.records().map(numberOf)).toEqual(Array.from({ length: last }, (_, i) => i + 1))
})

test('rows of a redriven key that were queued before it are let go of and read again behind it (rule 14)', async () => {
  const transport = memoryTransport({ partitions: 1 })
  const accept = transport.refuse((record) => numberOf(record) === 1, { outcome: poison })
  const answer = transport.refuse((record) => numberOf(record) === 10, { outcome: unknown })
  // Another key of the same bucket: within one, rows are read in the order of their ids.
  const bucket = bucketOf('t', Buffer.from('k'))
  const other = Array.from({ length: 1_000 }, (_, i) => `x${i}`).find((key) => bucketOf('t', Buffer.from(key)) === bucket)!
  await insertRows(database.pool, [...numbered('t', 'k', 1), ...numbered('t', other, 10), ...numbered('t', 'k', 2)])
  await using one = await startedRelay(database.url, transport, { batchRecords: 1 })
  // 2 waits in the lane, behind 10, whose outcome stays unknown.
  await Promise.all([one.until('dead_lettered'), one.until('publish_failed', (e) => e.kind === 'unknown')])
  accept()
  await action(database.pool, 'redrive')
  await one.until('redriven')
  answer()
  await transport.written(3)
  expect(transport.records().map(numberOf)).toEqual([10, 1, 2])
})

test('a key with more dead rows than one statement moves comes back whole and in order (rule 14)', async () => {
  const transport = memoryTransport({ partitions: 1 })
  const accept = transport.refuse((record) => numberOf(record) === 1, { outcome: poison })
  await insertMany(database.pool, 't', 2_500, 1)
  await using _one = await startedRelay(database.url, transport)
  await eventually(database.pool, 'SELECT FROM outbox_dead_letter HAVING count(*) = 2500')
  accept()
  await action(database.pool, 'redrive')
  await transport.written(2_500)
  expect(transport.records().map(numberOf)).toEqual(Array.from({ length: 2_500 }, (_, i) => i + 1))
})
