import { describe, expect, test } from 'vitest'
import { keyDigest } from '../../src/message/key-digest.ts'
import type { RelayContext } from '../../src/relay/context.ts'
import { Bisection } from '../../src/relay/publish/bisection.ts'
import { Queue } from '../../src/relay/publish/send-queue.ts'
import { type CarriedRow, Claim } from '../../src/relay/state/claim.ts'
import type { Outcome } from '../../src/transport/transport.ts'

const now = 1_000
const limits = { batchRecords: 3, batchBytes: 100, requestTimeoutMs: 500 }
const refusal: Outcome = { kind: 'not-written', scope: 'record', code: 'C', error: 'e' }

/** A claim whose lease lasts so long, and in which the messages of the key `held` wait. */
const claimFor = (leaseMs: number): Claim =>
  new Claim({ bucket: 1, epoch: 1 }, now + leaseMs, [{ bucket: 1, digest: keyDigest('t', held), id: 0 }])
const held = Buffer.from('blocked')
const claim = claimFor(501)
const row = (id: number, given: Partial<CarriedRow> = {}) =>
  ({ id, topic: 't', key: Buffer.from(`key-${id}`), bytes: 10, claim, ...given }) as CarriedRow

/** A queue of those rows. */
function queueOf(rows: readonly CarriedRow[], random = 0) {
  const bisection = new Bisection(limits.batchRecords)
  const moved: number[] = []
  const queue = new Queue(bisection, {
    clock: { now: () => now, date: () => now, wait: async () => {} },
    settings: limits,
    random: () => random,
    state: { moves: { block: ({ id }: CarriedRow) => moved.push(id) } },
  } as unknown as RelayContext)
  for (const one of rows) queue.push(one)
  return { queue, bisection, moved }
}

const ids = (rows: readonly CarriedRow[]) => rows.map(({ id }) => id)
/** Takes batches until nothing comes any more. */
function batches(queue: Queue): number[][] {
  const all: number[][] = []
  for (let batch = queue.next(limits.batchRecords); batch.length > 0; batch = queue.next(limits.batchRecords))
    all.push(ids(batch))
  return all
}

describe('batches', () => {
  const late = { claim: claimFor(500) }
  test.each<[string, CarriedRow[], { batches: number[][]; left?: number; moved?: number[] }]>([
    ['first in, first out, so many records each', [row(1), row(2), row(3), row(4)], { batches: [[1, 2, 3], [4]] }],
    ['so many bytes each', [row(1, { bytes: 60 }), row(2, { bytes: 40 }), row(3)], { batches: [[1, 2], [3]] }],
    ['a row that is over the bytes goes alone', [row(1, { bytes: 900 }), row(2)], { batches: [[1], [2]] }],
    ['a held row is moved out of the way', [row(1), row(2, { key: held }), row(3)], { batches: [[1, 3]], moved: [2] }],
    ['held rows alone make no batch', [row(1, { key: held })], { batches: [], moved: [1] }],
    ['nothing passes a row whose lease may end under its request', [row(1), row(2, late), row(3)], { batches: [[1]], left: 2 }],
  ])('%s', (_, rows, expected) => {
    const { queue, moved } = queueOf(rows)
    expect({ batches: batches(queue), left: queue.length, moved }).toEqual({ left: 0, moved: [], ...expected })
  })

  test('a row that Kafka has named goes alone', () => {
    const rows = [row(1), row(2), row(3)]
    const { queue, bisection } = queueOf(rows)
    bisection.name([rows[1]!], refusal)
    expect(batches(queue)).toEqual([[1], [2], [3]])
  })
})

test('a batch has no more bytes than fitted; a row that is larger goes alone', () => {
  const { queue, bisection } = queueOf([row(1), row(2), row(3), row(4, { bytes: 50 })])
  bisection.halve(2, 'MESSAGE_TOO_LARGE')
  bisection.cleared(1, 20)
  bisection.cleared(1, 10)
  expect(batches(queue)).toEqual([[1, 2], [3], [4]])
})

test('a named row that must wait behind a dead one is no longer suspected', () => {
  const rows = [row(1, { key: held })]
  const { queue, bisection } = queueOf(rows)
  bisection.name(rows, refusal)
  queue.next(1)
  expect(bisection.isNamed(rows[0]!)).toBe(false)
})

describe('the head', () => {
  test('what is put back comes before what has queued up since', () => {
    const { queue } = queueOf([row(1), row(2)])
    const batch = queue.next(2)
    queue.push(row(3))
    queue.putBack(batch)
    expect(batches(queue)).toEqual([[1, 2, 3]])
  })

  test('the record that tries the topic comes first, and the others keep their order', () => {
    const { queue } = queueOf([row(1), row(2), row(3)], 0.5)
    queue.bringForward(({ id }) => id === 1)
    expect(batches(queue)).toEqual([[3, 1, 2]])
  })
})

test('what is let go of is neither queued nor suspected any more', () => {
  const rows = [row(1), row(2), row(3)]
  const { queue, bisection } = queueOf(rows)
  bisection.name([rows[1]!], refusal)
  expect(ids(queue.letGo(({ id }) => id === 2))).toEqual([2])
  expect(bisection.isNamed(rows[1]!)).toBe(false)
  expect(batches(queue)).toEqual([[1, 3]])
})
