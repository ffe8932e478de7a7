import { describe, expect, test } from 'vitest'
import type { TraceLine } from '../../src/proof/history.ts'
import { alarm, lines, stateOf, violated } from './spoil.ts'
import { type Story, story } from './story.ts'

describe('trace', () => {
  const line = <W extends TraceLine['what']>(told: Story, what: W, place = 0) =>
    lines(told).filter((one) => one.what === what)[place] as Extract<Story['traces'][0]['lines'][0], { what: W }>

  test('a delete without an acknowledgement, or before it', () => {
    const unacked = violated((told) => Object.assign(line(told, 'published', 5), { outcome: 'unknown', offset: null }))
    expect(unacked).toEqual(['trace'])
    expect(violated((told) => Object.assign(line(told, 'settles', 5), { at: 150.5 }))).toEqual(['trace'])
  })

  test('an acknowledgement of another relay does not count', () => {
    const found = violated((told) => told.traces.push({ relay: 'R2', lines: [{ at: 900, what: 'settles', ids: ['a1'] }] }))
    expect(found).toEqual(['trace'])
  })

  test('two owners of one bucket and epoch, or of one bucket at a time', () => {
    const bucket = line(story(), 'owns').leases[0]![0]
    const owner = (epoch: number, at: number) => (told: Story) =>
      told.traces.push({
        relay: 'R2',
        lines: [{ at, what: 'owns', how: 'take', leases: [[bucket, epoch]], until: at + 3_000 }],
      })
    expect(violated(owner(1, 3_500))).toEqual(['trace'])
    expect(violated(owner(2, 2_999))).toEqual(['trace'])
    expect(violated(owner(2, 3_000))).toEqual([])
    const tooLate = { at: 2_000, what: 'owns', how: 'retake', leases: [[bucket, 2]], until: 1_900 }
    expect(violated((told) => told.traces.push({ relay: 'R2', lines: [tooLate as never] }))).toEqual([])
  })

  test('a lease that is given back is over, one that is renewed goes on', () => {
    const { leases } = line(story(), 'owns')
    const successor = {
      relay: 'R2',
      lines: [{ at: 2_000, what: 'owns', how: 'take', leases: [[leases[0]![0], 2]], until: 5_000 }],
    }
    const found = (more: object[]) =>
      violated((told) => {
        lines(told).push(...(more as never[]))
        told.traces.push(successor as never)
      })
    expect(found([{ at: 1_500, what: 'releases', leases }])).toEqual([])
    expect(found([{ at: 1_500, what: 'owns', how: 'renew', leases, until: 4_500 }])).toEqual(['trace'])
  })

  test('a bucket that is given back while a request of it may still be written', () => {
    const breaks = (outcome: 'not-written' | 'unknown', releasedAt: number) =>
      violated((told) => {
        const again = { ...line(told, 'publishes'), at: 900, batch: 99, until: 2_400 }
        const answer: TraceLine = { at: 950, what: 'published', batch: 99, outcome, offset: null, code: 'ECONNRESET' }
        lines(told).push(again, answer, { at: releasedAt, what: 'releases', leases: again.leases })
      }).includes('trace')
    expect([breaks('unknown', 2_399), breaks('unknown', 2_401)]).toEqual([true, false])
    expect([breaks('not-written', 949), breaks('not-written', 951)]).toEqual([true, false])
  })

  test('a publish that could outlast its lease, or has none', () => {
    expect(violated((told) => Object.assign(line(told, 'publishes'), { spareMs: -0.5 }))).toEqual(['trace'])
    expect(violated((told) => Object.assign(line(told, 'publishes'), { spareMs: null }))).toEqual(['trace'])
  })

  test('one offset acknowledged for two records', () => {
    const found = violated((told) => {
      const acks = lines(told).filter((one) => one.what === 'published')
      acks[1]!.offset = acks[0]!.offset
    })
    expect(found).toEqual(['trace'])
  })

  test('a message published before its predecessor was acknowledged; in one request after it is as good', () => {
    const late = (told: Story) => Object.assign(line(told, 'published', 1), { at: 121 })
    expect(violated((told) => void [late(told), Object.assign(line(told, 'settles', 1), { at: 122 })])).toEqual(['trace'])
    const together = violated((told) => {
      line(told, 'publishes', 1).ids = ['a2', 'a3']
      const gone = (one: TraceLine) => 'batch' in one && one.batch === 2
      told.traces[0]!.lines = lines(told).filter((one) => !gone(one))
    })
    expect(together).toEqual([])
  })

  test('an alarm of the relay', () => {
    expect(violated((told) => lines(told).push(alarm))).toEqual(['trace'])
  })

  test('a row that was put in below what the relay had read, and an alarm or none', () => {
    const found = (told: Story) => {
      told.putBelow = ['u2']
      lines(told).push({ at: 890, what: 'finds-below', rows: [{ bucket: 1, id: 7, messageId: 'u2' }] })
    }
    expect(violated((told) => found(told))).toEqual(['trace'])
    expect(violated((told) => void [found(told), lines(told).push(alarm)])).toEqual([])
    expect(violated((told) => void [found(told), lines(told).push({ ...alarm, event: 'wrong_bucket' })])).toEqual(['trace'])
  })

  test('a bucket that a relay lets go of before its lease ends', () => {
    const bucket = (told: Story) => (line(told, 'owns', 0) as { leases: [number, number][] }).leases[0]![0]
    const lost = (at: number) => violated((told) => lines(told).push({ at, what: 'loses', buckets: [bucket(told)] }))
    expect(lost(2_000)).toEqual(['trace'])
    expect(lost(3_000)).toEqual([])
  })

  test('a bucket that a relay took again after its lease had run out: the older claim is lost, the newer one is not', () => {
    const retaken = (losses: number) =>
      violated((told) => {
        const [first] = lines(told) as unknown as [{ leases: [number, number][] }]
        const [bucket, epoch] = first.leases[0]!
        lines(told).push({ at: 3_001, what: 'owns', how: 'take', leases: [[bucket, epoch + 1]], until: 6_001 })
        for (let n = 0; n < losses; n++) lines(told).push({ at: 3_002, what: 'loses', buckets: [bucket] })
      })
    expect(retaken(1)).toEqual([])
    expect(retaken(2)).toEqual(['trace'])
  })

  test('a message of a fault’s own line that is published before the one before it is acknowledged', () => {
    expect(violated((told) => void told.lines.push(['u1', 'u2']))).toEqual([])
    expect(violated((told) => void told.lines.push(['u2', 'u1']))).toEqual(['trace'])
  })

  test('a partition of before a topic grew, when the new number has to be used', () => {
    const grown = (usedFrom: number) =>
      violated((told) => {
        told.topics[0]!.partitions = [3, 4]
        told.topics[0]!.usedFrom = usedFrom
      })
    expect(grown(1_000)).toEqual([])
    expect(grown(0)).toEqual(['trace'])
  })

  test('without traces it is not judged, and does not count as passed', () => {
    const { traces, ...rest } = story()
    expect(stateOf('trace', rest)).toBe('not judged')
  })
})
