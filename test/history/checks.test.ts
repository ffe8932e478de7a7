import { describe, expect, test } from 'vitest'
import { checkNames, judge } from './judge.ts'
import { copy, lines, message, records, stateOf, swap, violated } from './spoil.ts'
import { recordOf, type Story, story } from './story.ts'

test('a story without fault passes all ten checks, each of which compared something', () => {
  const { sound, verdicts, figures } = judge(story() as never)
  expect(verdicts.map(({ check, state }) => [check, state])).toEqual(
    checkNames.map((check) => [check, check === 'regressions' ? 'not judged' : 'passed']),
  )
  expect(sound).toBe(true)
  expect(figures).toEqual({
    transactions: 6,
    committed: 5,
    messages: 6,
    records: 6,
    lost: 0,
    phantom: 0,
    inversions: 0,
    duplicates: 0,
    duplicateBound: 0,
  })
})

describe('loss', () => {
  test.each([0, 1])('a committed message that is missing in one of the dumps (%i) is lost', (which) => {
    const found = violated((told) => {
      const list = records(told)[which]!
      // The last of its partition: nothing else is wrong with the log.
      list.splice(
        list.findIndex(({ id }) => id === 'u2'),
        1,
      )
      for (const line of lines(told)) if (line.what === 'published' && line.batch === 4) line.outcome = 'unknown'
      told.traces[0]!.lines = lines(told).filter((line) => !(line.what === 'settles' && line.ids.includes('u2')))
    })
    expect(found).toEqual(['loss'])
  })

  test('a commit whose outcome is unknown counts when the ledger has it, and only then', () => {
    const unknown = (id: string) => (told: Story) => {
      told.attempts.find(({ messages }) => messages.some((one) => one.id === id))!.outcome = 'info'
    }
    expect(violated(unknown('a3'))).toEqual([])
    expect(violated(unknown('r1'))).toEqual([])
  })

  test('an acknowledged commit that is not in the ledger is lost by the database', () => {
    expect(
      violated((told) =>
        told.ledger.splice(
          told.ledger.findIndex(({ id }) => id === 'a3'),
          1,
        ),
      ),
    ).toEqual(['loss', 'phantom'])
  })

  test('what was lost with a deleted topic is nobody’s loss', () => {
    const found = violated((told) => {
      told.topics[0]!.deleted = true
      for (const dump of told.dumps) dump.records = []
    })
    expect(found).toEqual([])
  })
})

describe('phantom', () => {
  test('a record of a transaction that rolled back', () => {
    const found = violated((told) => copy(told, 'r1', { relay: 'R1', at: 500, outcome: 'acked' }))
    expect(found).toEqual(['phantom'])
  })

  test('a record without the id of any writer', () => {
    expect(violated((told) => records(told)[0]!.push({ ...records(told)[0]![0]!, partition: 2, offset: 9, id: null }))).toEqual([
      'phantom',
    ])
  })

  test('a row of the ledger whose transaction rolled back', () => {
    const found = violated((told) => told.ledger.push({ ...told.ledger[0]!, id: 'r1' }))
    expect(found).toContain('phantom')
  })
})

describe('integrity', () => {
  const spoilRecord = (change: (record: Story['dumps'][0]['records'][0]) => void) =>
    violated((told) => change(records(told)[1]!.find(({ id }) => id === 'u1')!))

  test.each([
    ['key', { key: 'v' }],
    ['null key', { key: null }],
    ['value', { value: 'null' }],
    ['partition', { partition: 7 }],
  ])('a record with another %s', (_, change) => {
    expect(spoilRecord((record) => Object.assign(record, change))).toContain('integrity')
  })

  test('headers: one that is missing, one that is too many, another value, no time of creation', () => {
    for (const headers of [
      { id: 'u1', 'content-type': 'application/json', 'created-at': '2026-11-25T12:00:00Z' },
      { ...recordOf(message(story(), 'u1'), 0).headers, more: '' },
      { ...recordOf(message(story(), 'u1'), 0).headers, trace: 'of u2' },
      { ...recordOf(message(story(), 'u1'), 0).headers, 'created-at': 'yesterday' },
    ]) {
      expect(spoilRecord((record) => Object.assign(record, { headers }))).toEqual(['integrity'])
    }
  })

  test('the second copy counts as well as the first', () => {
    const found = violated((told) => {
      told.faults = [{ kind: 'x', from: 0, healedAt: 1 }]
      copy(told, 'u2', { relay: 'R2', at: 4_000, outcome: 'acked' })
      for (const list of records(told)) list.findLast(({ id }) => id === 'u2')!.value = 'null'
    })
    expect(found).toEqual(['integrity'])
  })
})

describe('order', () => {
  test('a later message of a serialized key before an earlier one', () => {
    expect(violated((told) => swap(told, 'a2', 'a3'))).toContain('serialized order')
  })

  test('a gap in a serialized key', () => {
    const found = violated((told) => {
      for (const list of records(told))
        list.splice(
          list.findIndex(({ id }) => id === 'a2'),
          1,
        )
    })
    expect(found).toContain('serialized order')
  })

  test('an unserialized message before one whose commit was over when it was enqueued', () => {
    expect(violated((told) => swap(told, 'u1', 'u2'))).toContain('unserialized order')
  })

  test('unserialized messages that overlap may stand either way', () => {
    const found = violated((told) => {
      swap(told, 'u1', 'u2')
      message(told, 'u2').enqueuedAt = 47
      told.traces = undefined as never
    })
    expect(found).toEqual([])
  })

  test('messages of one transaction stand in the order of the calls', () => {
    const spoil = (told: Story, order: number[]) => {
      const sixth = told.attempts.find(({ number }) => number === 6)!
      const [u2, k1] = sixth.messages as [(typeof sixth.messages)[0], (typeof sixth.messages)[0]]
      Object.assign(k1, { key: 'u', enqueuedAt: 62 })
      sixth.messages = order.map((i) => [u2, k1][i]!)
      for (const list of records(told)) {
        const at = list.findIndex(({ id }) => id === 'k1')
        list.splice(at, 1)
        list.splice(list.findIndex(({ id }) => id === 'u2') + 1, 0, recordOf(k1, 9))
      }
      told.traces = undefined as never
    }
    expect(violated((told) => spoil(told, [0, 1]))).toEqual([])
    expect(violated((told) => spoil(told, [1, 0]))).toEqual(['unserialized order'])
  })

  test('a topic that grew promises no order of its keys', () => {
    const found = violated((told) => {
      swap(told, 'a2', 'a3')
      told.topics[0]!.partitions = [2, 3]
      told.traces = undefined as never
    })
    expect(found).toEqual([])
  })
})

describe('regressions and duplicates', () => {
  const fault = { kind: 'relay-sigkill', from: 3_000, healedAt: 3_001 }

  test('a copy that another owner published after a fault is explained, and counted against the bound', () => {
    const told = story()
    told.faults = [fault]
    copy(told, 'a2', { relay: 'R2', at: 4_000, outcome: 'acked' })
    const { sound, figures } = judge(told as never)
    expect(sound).toBe(true)
    expect(figures).toMatchObject({ duplicates: 1, duplicateBound: 1 })
  })

  test('a copy that no relay published was made by the client', () => {
    const found = violated((told) => {
      told.faults = [fault]
      copy(told, 'a2')
    })
    expect(found).toEqual(['regressions', 'duplicates'])
  })

  test('a copy of the client is found also where the number of copies is within the bound', () => {
    const found = violated((told) => {
      told.faults = [fault]
      copy(told, 'a2', { relay: 'R2', at: 4_000, outcome: 'unknown' })
      for (const list of records(told)) {
        const last = list.findLastIndex(({ id }) => id === 'a2')
        list[last] = recordOf(message(told, 'a3'), list[last]!.offset)
      }
    })
    expect(found).toEqual(['regressions', 'duplicates'])
  })

  test('a relay that publishes again what it has an acknowledgement for', () => {
    const found = violated((told) => {
      told.faults = [fault]
      copy(told, 'a3', { relay: 'R1', at: 4_000, outcome: 'acked' })
    })
    expect(found).toEqual(['duplicates'])
  })

  test('a copy without any fault', () => {
    expect(violated((told) => copy(told, 'a3', { relay: 'R2', at: 4_000, outcome: 'acked' }))).toEqual(['duplicates'])
  })

  test('a copy without an injected fault, after an outcome that the relay does not know: the machine was the fault', () => {
    const found = violated((told) => {
      const first = lines(told).find((one) => one.what === 'published' && one.batch === 2)!
      Object.assign(first, { outcome: 'unknown', offset: null })
      copy(told, 'a3', { relay: 'R1', at: 4_000, outcome: 'acked' })
      lines(told).push(
        ...lines(told)
          .filter((one) => one.what === 'settles' && one.ids.includes('a3'))
          .map((one) => ({ ...one, at: 5_000 })),
      )
      told.traces[0]!.lines = lines(told).filter((one) => !(one.what === 'settles' && one.ids.includes('a3') && one.at < 5_000))
    })
    expect(found).toEqual([])
  })

  test('without traces the bound is what is given; without that nothing is judged', () => {
    const told = (more: Partial<Story>) => {
      const { traces, mostDuplicates, ...rest } = story()
      const all: Partial<Story> = { ...rest, ...more }
      copy({ ...all, traces: [] } as never, 'a3')
      return all
    }
    expect(stateOf('duplicates', told({}))).toBe('violated')
    expect(stateOf('duplicates', told({ faults: [fault] }))).toBe('not judged')
    expect(stateOf('duplicates', told({ faults: [fault], mostDuplicates: 1 }))).toBe('passed')
    expect(stateOf('duplicates', told({ faults: [fault], mostDuplicates: 0 }))).toBe('violated')
  })
})

describe('liveness', () => {
  test('a message that a fault leaves alone, and that waits while it is in force', () => {
    const beside = (withinMs: number, ...others: number[]) =>
      violated((told) => {
        told.faults = [{ kind: 'one', from: 0, healedAt: 1_000, flow: { withinMs } }]
        told.faults.push(...others.map((from) => ({ kind: 'other', from, healedAt: from + 1 })))
      })
    expect(beside(200)).toEqual([])
    expect(beside(50)).toEqual(['liveness'])
    expect(beside(50, 0, 25, 50, 75)).toEqual([])
  })

  test.each([
    ['an outbox that is not empty', { emptiedMs: null, left: 3 }],
    ['an outbox that was empty too late', { emptiedMs: 1_001 }],
    ['a relay that ended on its own', { unexpectedEnds: ['relay 3 ended with code 1'] }],
    ['a message that nobody expected in outbox_dead_letter', { dead: [{ id: 'a1', reason: 'INVALID_RECORD' }] }],
    ['a poison that is missing there', { expectedDead: [{ id: 'p1', reason: 'MESSAGE_TOO_LARGE' }] }],
    [
      'a poison with another reason',
      { dead: [{ id: 'p1', reason: 'INVALID_RECORD' }], expectedDead: [{ id: 'p1', reason: 'MESSAGE_TOO_LARGE' }] },
    ],
  ])('%s', (_, change) => {
    expect(violated((told) => Object.assign(told.rest, change))).toEqual(['liveness'])
  })

  test('a poison in its place, with its reason, is as it should be; in the log as well it is not', () => {
    const dead = [{ id: 'p1', reason: 'MESSAGE_TOO_LARGE' }]
    expect(violated((told) => Object.assign(told.rest, { dead, expectedDead: dead }))).toEqual([])
    const behind = [{ id: 'p1', reason: null }]
    expect(violated((told) => Object.assign(told.rest, { dead: behind, expectedDead: dead }))).toEqual([])
    const both = [{ id: 'u2', reason: 'MESSAGE_TOO_LARGE' }]
    expect(violated((told) => Object.assign(told.rest, { dead: both, expectedDead: both }))).toEqual(['liveness'])
  })

  test('where nobody looked it is not judged', () => {
    const { rest, ...others } = story()
    expect(stateOf('liveness', others)).toBe('not judged')
  })
})

describe('resources', () => {
  test.each(['rssBytes', 'handles', 'connections'] as const)('%s over its budget', (what) => {
    const found = violated(({ resources }) => {
      resources.budget[what] = resources.samples[0]![what] - 1
    })
    expect(found).toEqual(['resources'])
  })

  test('write-ahead log over its budget; not measured is no violation', () => {
    expect(violated(({ resources }) => Object.assign(resources, { walBytesPerMessage: 1_001 }))).toEqual(['resources'])
    expect(violated(({ resources }) => Object.assign(resources, { walBytesPerMessage: null }))).toEqual([])
  })
})

test('a history with more violations than a call takes arguments is judged as well', () => {
  const told = story()
  const [one] = told.ledger
  for (let n = 0; n < 200_000; n++) told.ledger.push({ ...one!, id: `lost ${n}` })
  expect(judge(told as never).violations.length).toBeGreaterThanOrEqual(200_000)
})
