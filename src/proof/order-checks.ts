import { type Evidence, firstsByKey, type Known, placeOf } from './evidence.ts'
import { type Finding, Tally } from './finding.ts'
import type { MonotonicMs, ReadRecord } from './history.ts'

/** Order of serialized keys: first copies of a key are n = 1, 2, 3, … without a gap. */
export function checkSerializedOrder(evidence: Evidence): Finding {
  const tally = new Tally()
  for (const read of evidence.dumps) {
    for (const records of firstsByKey(read, evidence.topics).values()) {
      let next = 1
      for (const record of records) {
        const n = evidence.written.get(record.id!)?.message.n
        if (n === undefined || n === null) continue
        const expected = `message ${next} of key ${record.key}`
        tally.expect(n === next, () => ({ of: record.id!, expected, found: `message ${n} at ${placeOf(record)}` }))
        // After one that is out of place the rest is judged from there: one fault is one violation, not all that follow.
        next = n + 1
      }
    }
  }
  return tally
}

/** What the records of a key before the present one demand. */
interface Before {
  /** The latest enqueue among them. */
  enqueuedAt: MonotonicMs
  id: string
  /** The last place of each transaction. */
  places: Map<number, number>
}

/**
 * Order of unserialized keys: what was committed before another message of the key was enqueued stands before it; messages of one
 * transaction stand in the order of the calls. A sweep over the log that keeps the latest enqueue.
 */
export function checkUnserializedOrder(evidence: Evidence): Finding {
  const tally = new Tally()
  for (const read of evidence.dumps) {
    for (const records of firstsByKey(read, evidence.topics).values()) {
      const before: Before = { enqueuedAt: Number.NEGATIVE_INFINITY, id: '', places: new Map() }
      for (const record of records) {
        const known = evidence.written.get(record.id!)
        if (known && known.message.n === null) checkAgainst(before, known, record, tally)
      }
    }
  }
  return tally
}

function checkAgainst(before: Before, { message, attempt, index }: Known, record: ReadRecord, tally: Tally): void {
  const committedAt = attempt.outcome === 'ok' ? attempt.endedAt : Number.POSITIVE_INFINITY
  tally.expect(committedAt >= before.enqueuedAt, () => ({
    of: message.id,
    expected: `before ${before.id}, which was enqueued ${Math.round(before.enqueuedAt - committedAt)} ms after its commit`,
    found: `behind it, at ${placeOf(record)}`,
  }))
  const last = before.places.get(attempt.number) ?? -1
  tally.expect(index > last, () => ({
    of: message.id,
    expected: `message ${index} of its transaction before message ${last}`,
    found: `behind it, at ${placeOf(record)}`,
  }))
  before.places.set(attempt.number, Math.max(index, last))
  if (message.enqueuedAt <= before.enqueuedAt) return
  before.enqueuedAt = message.enqueuedAt
  before.id = message.id
}
