import { describe, expect, test } from 'vitest'
import type { TraceLine } from '../../src/proof/history.ts'
import { answer, brokenOnce, violatedOnce, work } from './once-story.ts'
import { copy, lines } from './spoil.ts'
import type { Story } from './story.ts'

type Told<W extends TraceLine['what']> = Extract<Story['traces'][0]['lines'][0], { what: W }>

const all = <W extends TraceLine['what']>(told: Story, what: W) => lines(told).filter((one) => one.what === what) as Told<W>[]
const push = (told: Story, ...more: object[]) => lines(told).push(...(more as never[]))
const remove = (told: Story, which: (line: Story['traces'][0]['lines'][0]) => boolean) => {
  told.traces[0]!.lines = lines(told).filter((line) => !which(line))
}

/** The second message of key a, and the statement that records its batch. */
const second = (told: Story) => ({
  sent: all(told, 'publishes')[1]! as Told<'publishes'> & { numbers: string; leases: [number, number][] },
  records: all(told, 'records').filter(({ begun }) => begun.length > 0)[1]!,
})

/** The second batch is sent again, with this outcome. */
function again(told: Story, at: number, outcome: 'acked' | 'unknown', more: Partial<Told<'publishes'>> = {}) {
  const { sent } = second(told)
  const { offset } = all(told, 'published')[1]!
  Object.assign(all(told, 'published')[1]!, { outcome: 'unknown', offset: null })
  push(told, { ...sent, at, batch: 99, ...more })
  push(told, { at: at + 0.1, what: 'published', batch: 99, outcome, offset: outcome === 'acked' ? offset : null, code: null })
}

describe('exactly once', () => {
  test('a story without fault is sound', () => {
    expect(violatedOnce(() => {})).toEqual([])
  })

  test('no batch was recorded: that no copy is in the log was luck', () => {
    expect(violatedOnce((told) => Object.assign(told, { recordedBatches: 0 }))).toEqual(['duplicates'])
  })

  test('a copy in the log, although a fault explains it', () => {
    const spoil = (told: Story) => {
      told.faults = [{ kind: 'x', from: 0, healedAt: 1 }]
      Object.assign(all(told, 'published')[4]!, { outcome: 'unknown', offset: null })
      copy(told, 'u2', { relay: 'R2', at: 4_000, outcome: 'acked' })
    }
    expect(violatedOnce(spoil)).toContain('duplicates')
  })

  test('a batch that is sent without numbers, without a record, or before its record is answered', () => {
    expect(violatedOnce((told) => void Reflect.deleteProperty(second(told).sent, 'numbers'))).toContain('trace')
    expect(violatedOnce((told) => void Object.assign(second(told).records, { begun: [] }))).toEqual(['trace'])
    const late = (told: Story) =>
      Object.assign(all(told, 'recorded').find(({ statement }) => statement === second(told).records.statement)!, { at: 110.5 })
    expect(violatedOnce((told) => void late(told))).toEqual(['trace'])
  })

  test('a record without one of its leases is none', () => {
    const unheld = (told: Story) => {
      all(told, 'recorded').find(({ statement }) => statement === second(told).records.statement)!.held = []
    }
    expect(violatedOnce(unheld)).toEqual(['trace'])
  })

  test('a record under a lease that another relay has by then', () => {
    const taken = (at: number) => (told: Story) => {
      const [[bucket]] = second(told).sent.leases as [[number, number]]
      // The lease of the first has run out: two owners at a time are another fault.
      Object.assign(all(told, 'owns')[0]!, { until: 90 })
      told.traces.push({ relay: 'R2', lines: [{ at, what: 'owns', how: 'take', leases: [[bucket, 2]], until: 3_000 }] })
    }
    expect(violatedOnce(taken(107))).toEqual(['trace'])
    expect(violatedOnce(taken(5_000))).toEqual([])
  })

  test('a batch that is sent again: the same rows under the same numbers, by any relay and under any lease', () => {
    expect(violatedOnce((told) => again(told, 111.2, 'acked', { spareMs: null, leases: [] }))).toEqual([])
    expect(brokenOnce((told) => again(told, 111.2, 'acked', { ids: ['u1'] }))).toContain(
      'the same rows in the same order each time',
    )
    const shifted = (told: Story) => again(told, 111.2, 'acked', { numbers: second(told).sent.numbers.replace(/\d+$/, '9') })
    expect(violatedOnce(shifted)).toEqual(['trace'])
  })

  test('two batches with a sequence in common', () => {
    const overlap = (told: Story) => {
      const { records } = second(told)
      records.begun[0]!.ids = ['a2', 'u9']
      second(told).sent.ids = ['a2', 'u9']
    }
    expect(brokenOnce(overlap)).toContain('sequences that no other batch has')
  })

  test('a row that is deleted without an acknowledgement; one of another relay, or a batch that was found, will do', () => {
    const unacked = (told: Story) => void Object.assign(all(told, 'published')[4]!, { outcome: 'unknown', offset: null })
    const ids = ['u2']
    const searched = (found: number) => (told: Story) => {
      unacked(told)
      push(told, { at: 141.5, what: 'searched', ids, found, after: 141.2 })
    }
    const another = (told: Story) => {
      unacked(told)
      const { topic, partition, numbers, leases, spareMs, until } = all(told, 'publishes')[4]!
      const { offset } = structuredClone(told.dumps[0]!.records.find(({ id }) => id === 'u2')!)
      const batches = [{ batch: numbers!, ids, buckets: leases.map(([bucket]) => bucket!) }]
      const adopts = { at: 141.1, what: 'adopts', buckets: [], batches, after: 141.05 }
      const sent = { at: 141.2, what: 'publishes', batch: 1, topic, partition, ids, numbers, leases: [], spareMs, until }
      const acked = { at: 141.3, what: 'published', batch: 1, outcome: 'acked', offset, code: null }
      told.traces.push({ relay: 'R2', lines: [adopts, sent, acked] as never[] })
    }
    expect(violatedOnce(unacked)).toEqual(['trace'])
    expect(violatedOnce(searched(1))).toEqual([])
    expect(violatedOnce(searched(0))).toEqual(['trace'])
    expect(violatedOnce(another)).toEqual([])
  })

  test('a record that ends before its last row is deleted', () => {
    expect(violatedOnce((told) => remove(told, (line) => line.what === 'settles' && line.ids.includes('u2')))).toEqual(['trace'])
  })

  test('a batch that is withdrawn: only if nobody has sent it, or if the log had nothing of it since', () => {
    const withdrawn = (found: number | null, after: number) => (told: Story) => {
      told.faults = [{ kind: 'x', from: 0, healedAt: 1 }]
      const { sent } = second(told)
      push(told, { at: 109, what: 'publishes', batch: 98, ...beginning(told) })
      push(told, { at: 109.1, what: 'published', batch: 98, outcome: 'unknown', offset: null, code: 'TIMEOUT' })
      push(told, work(108, 97, { begun: [old(told)], leases: sent.leases }), answer(108.5, 97, bucketsOf(told)))
      push(told, { at: 109.5, what: 'searched', ids: ['a2'], found, after })
      push(told, work(109.7, 96, { withdrawn: [numbersIn(told)], leases: sent.leases }), answer(109.8, 96, bucketsOf(told), 1))
      const { records } = second(told)
      Object.assign(records, { at: 109.85 })
      Object.assign(all(told, 'recorded').find(({ statement }) => statement === records.statement)!, { at: 109.9 })
    }
    expect(violatedOnce(withdrawn(0, 109.3))).toEqual([])
    expect(violatedOnce(withdrawn(0, 108.9))).toEqual(['trace'])
    expect(violatedOnce(withdrawn(1, 109.3))).toEqual(['trace'])
    expect(violatedOnce(withdrawn(null, 109.3))).toEqual(['trace'])
  })

  test('a message that is sent under other numbers while its batch is recorded', () => {
    const renumbered = (told: Story) => {
      told.faults = [{ kind: 'x', from: 0, healedAt: 1 }]
      const { sent } = second(told)
      push(told, work(108, 97, { begun: [old(told)], leases: sent.leases }), answer(108.5, 97, bucketsOf(told)))
      push(told, { at: 109, what: 'publishes', batch: 98, ...beginning(told) })
      push(told, { at: 109.1, what: 'published', batch: 98, outcome: 'unknown', offset: null, code: 'TIMEOUT' })
    }
    expect(brokenOnce(renumbered).join()).toContain('under other numbers only after')
  })

  test('a bucket whose records were not read after it was claimed', () => {
    expect(violatedOnce((told) => remove(told, ({ what }) => what === 'adopts'))).toEqual(['trace'])
    expect(violatedOnce((told) => void Object.assign(all(told, 'adopts')[0]!, { after: -1 }))).toEqual(['trace'])
  })

  test('something new of a bucket before its recorded batch has ended', () => {
    const overtakes = (told: Story) => {
      const { topic, partition } = second(told).sent
      const begun = [{ batch: `6/0/${topic}/${partition}/0`, ids: ['u7'], buckets: bucketsOf(told) }]
      told.traces.push({ relay: 'R2', lines: [work(5, 1, { begun }), answer(6, 1, bucketsOf(told))] as never[] })
    }
    expect(violatedOnce(overtakes)).toEqual(['trace'])
  })

  test('a bucket that is given back while a request of it is out is the next owner’s business', () => {
    const released = (told: Story) => {
      Object.assign(all(told, 'published')[5]!, { at: 160 })
      push(told, { at: 155, what: 'releases', leases: all(told, 'publishes')[5]!.leases })
      for (const line of lines(told)) {
        if ((line.what === 'settles' || line.what === 'settled') && line.ids.includes('k1')) line.at = 170
        if ('statement' in line && line.statement === 12) line.at = 170.5
      }
    }
    expect(violatedOnce(released)).toEqual([])
  })
})

const bucketsOf = (told: Story) => second(told).sent.leases.map(([bucket]) => bucket)

/** The second message in a batch of its own, with numbers that it has not in the story. */
const old = (told: Story) => ({ batch: numbersIn(told), ids: ['a2'], buckets: bucketsOf(told) })
const numbersIn = (told: Story) => `5/0/steady/${second(told).sent.partition}/0`

function beginning(told: Story) {
  const { topic, partition, ids, leases, spareMs, until } = second(told).sent
  return { topic, partition, ids, leases, spareMs, until, numbers: numbersIn(told) }
}
