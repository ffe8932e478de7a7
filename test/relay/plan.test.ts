import { describe, expect, test } from 'vitest'
import { type Circumstances, fullLaneMs, type Last, type Room, rowsOf, scansOf } from '../../src/relay/fetch/fetch-plan.ts'
import { Claim } from '../../src/relay/state/claim.ts'

describe('rows of the next fetch', () => {
  const room: Room = { rows: 10_000, bytes: 1_000_000, rowBytes: 100, fetchRows: 2_000 }
  test.each<[string, Partial<Room>, number]>([
    ['room for all', {}, 2_000],
    ['fewer rows may be taken in flight', { rows: 300 }, 300],
    ['so many rows of the lately read size may be taken in flight', { bytes: 50_050 }, 501],
    ['a row that has the whole room', { rowBytes: 5_000_000 }, 1],
    ['no size is known yet', { bytes: 1, rowBytes: 0 }, 2_000],
    ['no row more', { rows: 0 }, 0],
    ['no byte more', { bytes: 0 }, 0],
    ['more bytes in flight than there should be', { bytes: -7 }, 0],
  ])('%s', (_, given, rows) => {
    expect(rowsOf({ ...room, ...given })).toBe(rows)
  })
})

describe('scans of a fetch', () => {
  const claims = [1, 2, 3].map((bucket) => new Claim({ bucket, epoch: 1 }, 0, []))
  const [one, two] = claims as [Claim, Claim, Claim]
  one.position = 10
  const now = 5_000
  const usual: Circumstances = { limit: 300, turn: 0, active: 0, sparse: false, now, lookRows: 1_000 }
  /** What was found a moment ago in a bucket whose rows went to one lane. */
  const found = (room: number, at = now - fullLaneMs + 1): Last => ({ lane: { room }, at, look: 1_000 })

  test('each bucket is read from its position', () => {
    expect(scansOf(claims, new Map(), usual)).toEqual([
      { bucket: 1, after: 10, limit: 100, look: 1_000 },
      { bucket: 2, after: 0, limit: 100, look: 1_000 },
      { bucket: 3, after: 0, limit: 100, look: 1_000 },
    ])
  })

  test.each<[string, Partial<Circumstances>, [Claim, Last][], string]>([
    ['the next fetch begins with the next bucket', { turn: 1 }, [], '2:100 3:100 1:100'],
    ['and after the last with the first', { turn: 3 }, [], '1:100 2:100 3:100'],
    ['one bucket alone had rows: each may fill the fetch', { active: 1 }, [], '1:300 2:300 3:300'],
    ['a share is rounded up', { limit: 100 }, [], '1:34 2:34 3:34'],
    ['a share is eight rows at least', { limit: 3 }, [], '1:8 2:8 3:8'],
    ['the only lane of a bucket takes less than a share', {}, [[two, found(70)]], '1:100 2:70 3:100'],
    ['the only lane of a bucket is nearly full: not at once again', {}, [[two, found(63)]], '1:100 3:100'],
    ['nearly full, but with room for a share', { limit: 60 }, [[two, found(20)]], '1:20 2:20 3:20'],
    ['room for less than eight rows is none', { limit: 3 }, [[two, found(7)]], '1:8 3:8'],
    ['it was full a while ago', {}, [[two, found(0, now - fullLaneMs)]], '1:100 2:8 3:100'],
    ['the rows went to several lanes', {}, [[two, { ...found(0), lane: undefined }]], '1:100 2:100 3:100'],
    [
      'few rows are expected: nothing is shared out, in the order of the buckets',
      { sparse: true, turn: 1 },
      [],
      '1:300 2:300 3:300',
    ],
    ['few rows, but a lane takes less', { sparse: true }, [[two, found(70)]], '1:300 2:70 3:300'],
    ['all lanes are full', {}, claims.map((claim) => [claim, found(0)]), ''],
  ])('%s', (_, given, last, expected) => {
    const scans = scansOf(claims, new Map(last), { ...usual, ...given })
    expect(scans.map(({ bucket, limit }) => `${bucket}:${limit}`).join(' ')).toBe(expected)
  })

  test('a look goes as far as the last one has made it', () => {
    const last = new Map([[two, { ...found(100), look: 2_000 }]])
    expect(scansOf(claims, last, usual).map(({ look }) => look)).toEqual([1_000, 2_000, 1_000])
  })

  test('without buckets there is nothing to read', () => {
    expect(scansOf([], new Map(), usual)).toEqual([])
  })
})
