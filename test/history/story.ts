import { bucketOf, partitionOf } from '../../src/message/key.ts'
import type { Attempt, History, LedgerRow, ReadRecord, TraceLine, WrittenMessage } from '../../src/proof/history.ts'
import { fingerprint } from '../../src/proof/history.ts'

type Mutable<T> = { -readonly [K in keyof T]: Mutable<T[K]> }

/** A history that tests spoil. */
export type Story = Mutable<Required<History>>

const partitions = 3
const bytes = (text: string) => Buffer.from(text)

function message(id: string, key: string | null, n: number | null, enqueuedAt: number): WrittenMessage {
  const headers = { id, 'content-type': 'application/json', trace: `of ${id}` }
  return { id, topic: 'steady', key, n, value: fingerprint(bytes(`{"of":"${id}"}`)), headers, enqueuedAt }
}

const attempt = (number: number, outcome: Attempt['outcome'], at: number, messages: WrittenMessage[]): Attempt => ({
  number,
  way: 'sql',
  invokedAt: at,
  endedAt: at + 8,
  outcome,
  messages,
})

/** The record of a message at an offset. */
export const recordOf = (written: WrittenMessage, offset: number): ReadRecord => ({
  topic: written.topic,
  partition: partitionOf(written.topic, written.key === null ? null : bytes(written.key), partitions),
  offset,
  id: written.id,
  key: written.key,
  value: written.value,
  headers: { ...written.headers, 'created-at': '2026-11-25T12:00:00.000Z' },
})

const rowOf = ({ id, topic, key, n, value }: WrittenMessage): LedgerRow => ({ id, topic, key, n, value })

/** The lease that a message is sent under. */
const leaseOf = ({ topic, key }: WrittenMessage): [number, number] => [bucketOf(topic, key === null ? null : bytes(key)), 1]

/**
 * Five transactions and a relay without fault: key a has the messages a1 to a3 in a line, u has u1 and u2 without one, k1 has no key, and
 * r1 rolled back. Each message is published alone, acknowledged and deleted.
 */
export function story(): Story {
  const [a1, a2, a3] = [message('a1', 'a', 1, 12), message('a2', 'a', 2, 22), message('a3', 'a', 3, 32)]
  const [u1, u2] = [message('u1', 'u', null, 42), message('u2', 'u', null, 62)]
  const k1 = message('k1', null, null, 63)
  const attempts = [
    attempt(1, 'ok', 10, [a1]),
    attempt(2, 'ok', 20, [a2]),
    attempt(3, 'ok', 30, [a3]),
    attempt(4, 'ok', 40, [u1]),
    attempt(5, 'fail', 50, [message('r1', 'a', 4, 52)]),
    attempt(6, 'ok', 60, [u2, k1]),
  ]
  const committed = [a1, a2, a3, u1, u2, k1]
  const offsets = new Map<number, number>()
  const records = committed.map((one) => {
    const { partition } = recordOf(one, 0)
    const offset = offsets.get(partition) ?? 0
    offsets.set(partition, offset + 1)
    return recordOf(one, offset)
  })
  records.sort((a, b) => a.partition - b.partition || a.offset - b.offset)
  const told: Required<History> = {
    exactlyOnce: false,
    recordedBatches: 1,
    topics: [{ name: 'steady', partitions: [partitions], deleted: false }],
    attempts,
    ledger: committed.map(rowOf),
    dumps: (['read_uncommitted', 'read_committed'] as const).map((isolation) => ({
      isolation,
      records: structuredClone(records),
    })),
    faults: [],
    traces: [{ relay: 'R1', lines: linesOf(committed, records) }],
    mostDuplicates: 0,
    lines: [],
    putBelow: [],
    rest: { emptiedMs: 100, limitMs: 1_000, left: 0, dead: [], expectedDead: [], unexpectedEnds: [] },
    resources: {
      samples: [{ relay: 'R1', at: 100, rssBytes: 90e6, handles: 40, connections: 4 }],
      walBytesPerMessage: 450,
      budget: { rssBytes: 200e6, handles: 100, connections: 8, walBytesPerMessage: 1_000 },
    },
  }
  return told as Story
}

function linesOf(messages: readonly WrittenMessage[], records: readonly ReadRecord[]): TraceLine[] {
  const leases = [...new Map(messages.map(leaseOf)).entries()]
  const lines: TraceLine[] = [{ at: 0, what: 'owns', how: 'take', leases, until: 3_000 }]
  for (const [i, one] of messages.entries()) {
    const { partition, offset, topic } = records.find((record) => record.id === one.id)!
    const at = 100 + 10 * i
    lines.push(
      {
        at,
        what: 'publishes',
        batch: i,
        topic,
        partition,
        ids: [one.id],
        leases: [leaseOf(one)],
        spareMs: 1_000,
        until: at + 1_500,
      },
      { at: at + 1, what: 'published', batch: i, outcome: 'acked', offset, code: null },
      { at: at + 2, what: 'settles', ids: [one.id] },
      { at: at + 3, what: 'settled', ids: [one.id] },
    )
  }
  return lines
}
