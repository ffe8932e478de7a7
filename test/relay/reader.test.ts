import { beforeEach, describe, expect, test } from 'vitest'
import { bucketOf } from '../../src/message/key.ts'
import { Mark } from '../../src/relay/fetch/low-water-mark.ts'
import { Reader } from '../../src/relay/fetch/reader.ts'
import type { Notifications } from '../../src/relay/notifications.ts'
import type { RelaySettings } from '../../src/relay/options.ts'
import { Topics } from '../../src/relay/publish/topics.ts'
import { Settler } from '../../src/relay/settle/settler.ts'
import { Claim } from '../../src/relay/state/claim.ts'
import { type RelayEvents, Telemetry } from '../../src/relay/telemetry.ts'
import { systemClock } from '../../src/running/clock.ts'
import type { Fetch, Fetched, OutboxRow, StoreSession } from '../../src/store/store.ts'
import { memoryTransport } from '../../src/transport/memory.ts'
import { readRow } from '../support/read-row.ts'
import { relayContext } from '../support/relay-context.ts'

// The windows of these rules are narrower than a network round trip: the store's answers are held back and given by hand.

const key = Buffer.from('k')
const bucket = bucketOf('t', key)
const row = (id: number, messageId = `message-${id}`): OutboxRow => readRow({ id, messageId })

/** A reader over a store whose every answer the test gives. `others`: buckets it has besides that of the rows. */
function setUp(
  { fetchRows = 2_000, ...options }: Partial<RelaySettings> & { fetchRows?: number } = {},
  maxPollMs = 1,
  others: number[] = [],
) {
  const telemetry = new Telemetry()
  const alarms: RelayEvents['row_found_below_position'][] = []
  telemetry.on('row_found_below_position', (event) => alarms.push(event))
  const transport = memoryTransport({ partitions: 1, topics: { missing: 0 } })
  const end = new AbortController()
  const context = relayContext({ maxInFlight: 400, ...options }, { transport, telemetry, signal: end.signal, fetchRows })
  const { claims, inFlight, acked, positions } = context.state
  const topics = new Topics(context, new Settler(context))
  const notifications = { maxPollMs } as Notifications
  const reader = new Reader(context, topics, notifications, { markMs: 0, scanRows: 2 })
  // How long it would wait, whether or not something wakes it.
  const polls: number[] = []
  const wait = positions.changed.wait.bind(positions.changed)
  positions.changed.wait = (signal, ms) => {
    polls.push(ms!)
    return wait(signal, ms)
  }

  const asked: { what: Fetch; answer: (fetched: Partial<Fetched>) => void }[] = []
  let look = () => {}
  const session = {
    fetch: (what: Fetch) =>
      new Promise<Fetched>((resolve) => {
        asked.push({ what, answer: (fetched) => resolve({ rows: [], truncated: false, ...fetched }) })
        look()
      }),
    mark: async () => mark,
  } as unknown as StoreSession
  let mark = 0
  const claim = new Claim({ bucket, epoch: 1 }, systemClock.now() + 60_000, [])
  for (const other of others) claims.add(new Claim({ bucket: other, epoch: 1 }, claim.deadline, []))
  claims.add(claim)
  const running = reader.run(session, end.signal)
  return {
    reader,
    claim,
    inFlight,
    get acked() {
      return acked.first(acked.length)
    },
    positions,
    alarms,
    polls,
    topics,
    settle: (mark_: number) => {
      mark = mark_
    },
    /** Resolves when so many rows have been acknowledged. */
    async acknowledged(count: number) {
      while (acked.length < count) await acked.pushed.wait(end.signal)
    },
    /** The next fetch that is sent. */
    async next() {
      const n = taken++
      while (asked.length <= n) await new Promise<void>((resolve) => (look = resolve))
      return asked[n]!
    },
    async stop() {
      end.abort()
      for (const one of asked) one.answer({})
      await running
    },
  }
}
let taken = 0
beforeEach(() => {
  taken = 0
})

/** Opens the topic: the first rows of an unknown topic are skipped until its partitions are known. */
async function opened(it: ReturnType<typeof setUp>): Promise<void> {
  const first = await it.next()
  const opening = it.topics.get('t')!
  while (!opening.open) await new Promise((resolve) => setImmediate(resolve))
  first.answer({})
}

describe('answers of the store', () => {
  test('an answer that was asked for before a rewind is thrown away whole (rule 9)', async () => {
    const it = setUp()
    await opened(it)
    const stale = await it.next()
    it.positions.rewind(it.claim)
    stale.answer({ rows: [row(5)] })
    const fresh = await it.next()
    expect(it.inFlight.size).toBe(0)
    expect(fresh.what.scans).toMatchObject([{ after: 0 }])
    fresh.answer({ rows: [row(4), row(5)] })
    await it.acknowledged(2)
    expect(it.acked.map((one) => one.id)).toEqual([4, 5])
    await it.stop()
  })

  test('a row that was deleted while the fetch was under way is not sent a second time (rule 9)', async () => {
    const it = setUp()
    await opened(it)
    ;(await it.next()).answer({ rows: [row(1)] })
    await it.acknowledged(1)
    const underWay = await it.next()
    it.inFlight.deleted(it.acked[0]!)
    underWay.answer({ rows: [row(1), row(2)] })
    await it.acknowledged(2)
    await it.next()
    expect(it.acked.map((one) => one.id)).toEqual([1, 2])
    await it.stop()
  })

  test('rows in flight above the mark are left out; below the settled mark the position is a cursor (rule 7)', async () => {
    const it = setUp()
    await opened(it)
    ;(await it.next()).answer({ rows: [row(3), row(7)] })
    const above = await it.next()
    expect(above.what.scans).toMatchObject([{ after: 0 }])
    expect([...above.what.withoutIds].sort()).toEqual([3, 7])
    it.settle(7)
    above.answer({ rows: [row(8)] })
    // The mark that was settled meanwhile is good for fetches sent from now on only.
    const still = await it.next()
    expect(still.what.scans).toMatchObject([{ after: 0 }])
    still.answer({})
    const below = await it.next()
    expect(below.what.scans).toMatchObject([{ after: 7 }])
    expect(below.what.withoutIds).toEqual([8])
    await it.stop()
  })

  test('a fetch that was cut by its limit does not move the position past the mark either (rule 7)', async () => {
    const it = setUp({ fetchRows: 8 })
    await opened(it)
    ;(await it.next()).answer({ rows: [2, 4, 6, 8, 10, 12, 14, 16].map((id) => row(id)) })
    const next = await it.next()
    expect(next.what.scans).toMatchObject([{ after: 0 }])
    // A transaction that drew id 3 commits now.
    next.answer({ rows: [row(3)] })
    await it.acknowledged(9)
    expect(it.acked.map((one) => one.id)).toContain(3)
    await it.stop()
  })

  test('the same id under another message id waits until the first one is gone: ids repeat after a failover (rule 12)', async () => {
    const it = setUp()
    await opened(it)
    it.settle(100)
    ;(await it.next()).answer({ rows: [row(1)] })
    await it.acknowledged(1)
    ;(await it.next()).answer({ rows: [row(1, 'another'), row(2)] })
    const waiting = await it.next()
    expect(waiting.what.scans).toMatchObject([{ after: 0 }])
    expect(it.acked.map((one) => one.messageId)).toEqual(['message-1'])
    it.inFlight.drop(it.acked[0]!)
    waiting.answer({ rows: [row(1, 'another'), row(2)] })
    await it.acknowledged(3)
    expect(it.acked.map((one) => one.messageId)).toEqual(['message-1', 'another', 'message-2'])
    await it.stop()
  })

  test('rows in flight from before a replaced connection are not left out by their ids: they may be another message’s (rule 12)', async () => {
    const it = setUp()
    await opened(it)
    ;(await it.next()).answer({ rows: [row(1)] })
    await it.acknowledged(1)
    const before = await it.next()
    it.reader.reset()
    before.answer({})
    const after = await it.next()
    expect(after.what.withoutIds).toEqual([])
    // Deleted while the fetch is under way: that says nothing about the other message.
    it.inFlight.deleted(it.acked[0]!)
    after.answer({ rows: [row(1, 'another'), row(2)] })
    await it.acknowledged(3)
    expect(it.acked.map((one) => one.messageId)).toEqual(['message-1', 'another', 'message-2'])
    await it.stop()
  })
})

describe('what a fetch asks for', () => {
  test('after few rows all buckets in their order, each for as many as the fetch may bring; after many a share of each', async () => {
    const it = setUp({ fetchRows: 64 }, 1, [bucket + 1, bucket - 1])
    const asked = ({ what }: { what: Fetch }) => what.scans.map((scan) => [scan.bucket - bucket, scan.limit])
    await opened(it)
    ;(await it.next()).answer({})
    const few = [-1, 0, 1].map((place) => [place, 64])
    const first = await it.next()
    expect(asked(first)).toEqual(few)
    first.answer({ rows: [row(1)] })
    const second = await it.next()
    expect(asked(second)).toEqual(few)
    second.answer({ rows: Array.from({ length: 8 }, (_, i) => ({ ...row(i + 2), bucket: bucket + 1 })) })
    // One bucket had rows: each may fill the fetch. But another one comes first each time.
    expect(asked(await it.next())[0]![0]).not.toBe(-1)
    await it.stop()
  })
})

describe('the rest', () => {
  test('after rows it is not broken off: each wake-up and each delete would be another look', async () => {
    const it = setUp()
    await opened(it)
    const first = await it.next()
    const polls = it.polls.length
    first.answer({ rows: Array.from({ length: 36 }, (_, i) => row(i + 1)) })
    const answeredAt = performance.now()
    await it.acknowledged(36)
    it.positions.changed.raise()
    await it.next()
    // Nothing that can be raised was waited for. A timer counts whole milliseconds.
    expect(it.polls).toHaveLength(polls)
    expect(performance.now() - answeredAt).toBeGreaterThan(9)
    await it.stop()
  })
})

describe('topics that are left out', () => {
  const left = (id: number): OutboxRow => ({ ...row(id), topic: 'missing' })

  test('the position follows a look that ended among their rows; above the mark, where it cannot, the next look goes further, and later (rule 8)', async () => {
    const it = setUp({}, 100)
    it.topics.get('missing')
    await opened(it)
    const first = await it.next()
    expect(first.what).toMatchObject({ withoutTopics: ['missing'], scans: [{ after: 0, look: 2 }] })
    first.answer({ rows: [left(2)] })
    const further = await it.next()
    const soon = it.polls.at(-1)!
    expect(further.what.scans).toMatchObject([{ after: 0, look: 4 }])
    it.settle(100)
    further.answer({ rows: [left(4)] })
    const followed = await it.next()
    // Nothing is gained by looking there again at once.
    expect(it.polls.at(-1)).toBeGreaterThan(soon)
    expect(followed.what.scans).toMatchObject([{ after: 0, look: 8 }])
    followed.answer({ rows: [left(4)] })
    const on = await it.next()
    expect(on.what.scans).toMatchObject([{ after: 4, look: 2 }])
    on.answer({ rows: [row(5)] })
    await it.acknowledged(1)
    expect(it.acked.map((one) => one.id)).toEqual([5])
    expect((await it.next()).what.scans).toMatchObject([{ after: 100 }])
    // Those that were passed over are skipped from the first on.
    expect(it.topics.get('missing')!.skippedFrom.take()).toEqual([[bucket, 1]])
    await it.stop()
  })
})

describe('the mark', () => {
  test('an answer that was asked for before a replaced connection says nothing of the ids after it (rule 7)', async () => {
    let answer = (_: number) => {}
    const answers = new Promise<number>((resolve) => {
      answer = resolve
    })
    const mark = new Mark(systemClock, 0)
    mark.saw(5)
    const asked = mark.advance({ mark: () => answers } as unknown as StoreSession)
    mark.forget()
    answer(9)
    await asked
    expect(mark.id).toBe(0)
    mark.saw(1)
    await mark.advance({ mark: async () => 3 } as unknown as StoreSession)
    expect(mark.id).toBe(3)
  })
})

describe('sweep', () => {
  test('a row found below the position is sent, and told as an alarm (rule 10)', async () => {
    const it = setUp()
    await opened(it)
    it.settle(50)
    ;(await it.next()).answer({ rows: [row(50)] })
    await it.acknowledged(1)
    for (let at = 0; at < 2; at++) (await it.next()).answer({})
    const passed = await it.next()
    expect(passed.what.scans).toMatchObject([{ after: 50 }])
    it.inFlight.deleted(it.acked[0]!)
    it.positions.sweep(it.claim)
    passed.answer({})
    const swept = await it.next()
    expect(swept.what.scans).toMatchObject([{ after: 0 }])
    swept.answer({ rows: [row(20), row(60)] })
    await it.acknowledged(3)
    expect(it.alarms).toEqual([{ bucket, id: 20, topic: 't' }])
    await it.stop()
  })
})
