import { expect, onTestFinished, test } from 'vitest'
import { ClusterBreaker } from '../../src/relay/publish/cluster-breaker.ts'
import { MissingTopics } from '../../src/relay/publish/missing-topics.ts'
import type { SkippedFrom } from '../../src/relay/state/skipped-from.ts'
import { type RelayEvents, Telemetry } from '../../src/relay/telemetry.ts'
import { memoryTransport } from '../../src/transport/memory.ts'
import { relayContext } from '../support/relay-context.ts'

interface Row {
  topic: string
  bucket: number
  id: number
}

/** Missing topics of which three are known at a time, over a table that is read whenever something resumes. Time stands unless it is turned. */
function setUp(topics: Record<string, number> = {}) {
  const table: Row[] = []
  const taken: number[] = []
  const open = new Set<string>()
  const asked: (readonly string[])[] = []
  const told: RelayEvents['topics_missing'][] = []
  const telemetry = new Telemetry()
  telemetry.subscribe((event, fields) => void (event === 'topics_missing' && told.push(fields as RelayEvents['topics_missing'])))
  const end = new AbortController()
  onTestFinished(() => end.abort())
  const { signal } = end
  let now = 0
  const clock = {
    now: () => now,
    date: () => now,
    wait: (ms: number, over?: AbortSignal) =>
      new Promise<void>((resolve) => {
        const due = now + ms
        const timer = setInterval(() => {
          if (now < due && !over?.aborted) return
          clearInterval(timer)
          resolve()
        }, 1)
      }),
  }
  const memory = memoryTransport({ partitions: 0, topics })
  const transport = {
    ...memory,
    allPartitions: (names: readonly string[], until: AbortSignal) => {
      asked.push(names)
      return memory.allPartitions(names, until)
    },
  }
  const read = (from: number) => {
    for (const row of table) {
      if (row.id < from || taken.includes(row.id)) continue
      if (open.has(row.topic)) taken.push(row.id)
      else missing.skip(row)
    }
  }
  // As the reader does: later, and from the lowest id on.
  let position = Number.POSITIVE_INFINITY
  const resume = (skippedFrom: SkippedFrom) => {
    position = Math.min(position, ...skippedFrom.take().map(([, id]) => id))
    setImmediate(() => {
      read(position)
      position = Number.POSITIVE_INFINITY
    })
  }
  const context = relayContext({}, { clock, telemetry, transport, signal })
  context.state.positions.resume = resume
  const breaker = new ClusterBreaker({ ...context, transport: memory })
  const missing = new MissingTopics(context, breaker, { found: (name) => void open.add(name) }, 3)
  return {
    memory,
    asked,
    told,
    taken,
    missing,
    insert(...names: string[]) {
      const from = table.length + 1
      for (const topic of names) table.push({ topic, bucket: 1, id: table.length + 1 })
      read(from)
    },
    /** Lets so many milliseconds pass. */
    async pass(ms: number) {
      now += ms
      for (let turn = 0; turn < 10; turn++) await new Promise((resolve) => setTimeout(resolve, 2))
    },
  }
}

const names = (count: number) => Array.from({ length: count }, (_, n) => `t${n}`)

test('topics that come together are asked for together; a number of them is known, and asked for every five seconds', async () => {
  const on = setUp()
  on.insert(...names(3), 't1')
  await expect.poll(() => on.told).toEqual([{ topics: 3, more: false, topic: 't2', code: 'UNKNOWN_TOPIC_OR_PARTITION' }])
  expect(on.asked).toEqual([names(3)])
  await on.pass(4_900)
  expect(on.asked).toHaveLength(1)
  await on.pass(100)
  expect(on.asked).toEqual([names(3), names(3)])
  // Emitted once for each number.
  expect(on.told).toHaveLength(1)
})

test('a topic that exists is served at once, however many are missing: every one is asked for', async () => {
  const on = setUp({ good: 1 })
  on.insert(...names(10), 'good')
  await expect.poll(() => on.taken).toEqual([11])
  expect(on.told.at(-1)).toMatchObject({ topics: 3, more: true })
})

test.each([
  ['one that is known', 't0'],
  ['one that is not', 't9'],
])('%s appears: its rows flow, in order', async (_, name) => {
  const on = setUp()
  on.insert(...names(10), ...names(10))
  await expect.poll(() => on.told.at(-1)).toMatchObject({ topics: 3, more: true })
  on.memory.setPartitions(name, 1)
  on.insert(...names(10))
  for (let n = 0; n < 20 && on.taken.length < 3; n++) await on.pass(5_000)
  const n = Number(name.slice(1))
  expect(on.taken).toEqual([n + 1, n + 11, n + 21])
})

test('a row of a topic that was not known comes after those that were skipped before it', async () => {
  const on = setUp()
  on.insert(...names(10))
  await expect.poll(() => on.told.at(-1)).toMatchObject({ more: true })
  on.memory.setPartitions('t9', 1)
  // Asked for because of this row; the one before it was forgotten.
  on.insert('t9')
  await expect.poll(() => on.taken.length).toBe(2)
  expect(on.taken).toEqual([10, 11])
})

test('without an answer nothing is missing: it is asked again', async () => {
  const on = setUp({ good: 1 })
  on.memory.goDown()
  on.insert('good', 'gone')
  await expect.poll(() => on.asked.length).toBeGreaterThan(0)
  expect(on.told).toEqual([])
  expect(on.missing.waiting).toBe(true)
  on.memory.goUp()
  for (let n = 0; n < 10 && on.taken.length === 0; n++) await on.pass(5_000)
  expect(on.taken).toEqual([1])
  expect(on.told).toMatchObject([{ topics: 1, topic: 'gone' }])
})

test('a topic without rows is forgotten when every row has been read twice since', async () => {
  const on = setUp()
  on.insert('t0')
  await expect.poll(() => on.told).toHaveLength(1)
  on.taken.push(1)
  await on.pass(1_199_000)
  expect(on.missing.any).toBe(true)
  for (let n = 0; n < 3; n++) await on.pass(5_000)
  expect(on.missing.any).toBe(false)
})
