import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { nextPollMs } from '../../src/relay/fetch/pace.ts'
import { PeerAhead, shareStep } from '../../src/relay/leases/share.ts'
import { relayDefaults, relaySettings } from '../../src/relay/options.ts'
import { ClusterBreaker } from '../../src/relay/publish/cluster-breaker.ts'
import { probeOf } from '../../src/relay/publish/half-open.ts'
import { toRecord } from '../../src/relay/publish/record.ts'
import { type History, verdict } from '../../src/relay/publish/verdict.ts'
import type { CarriedRow } from '../../src/relay/state/claim.ts'
import { type OnDeadLetter, type OnDeadLetterByTopic, onDeadOf } from '../../src/relay/state/on-dead-letter.ts'
import { Signal } from '../../src/relay/state/signal.ts'
import { SkippedFrom } from '../../src/relay/state/skipped-from.ts'
import { Telemetry } from '../../src/relay/telemetry.ts'
import { backoff } from '../../src/running/backoff.ts'
import { systemClock } from '../../src/running/clock.ts'
import type { Outcome } from '../../src/transport/transport.ts'
import { relayContext } from '../support/relay-context.ts'

type Failure = Exclude<Outcome, { kind: 'acked' }>

const refused = (scope: 'record' | 'topic' | 'producer' | 'transient', named?: number[]): Failure => ({
  kind: 'not-written',
  scope,
  code: 'C',
  error: 'e',
  ...(named ? { refused: named } : {}),
})

const lost: Failure = { kind: 'unknown', code: 'OUT_OF_ORDER_SEQUENCE_NUMBER', error: 'e' }

describe('verdict', () => {
  test.each<[string, Failure, History, object]>([
    [
      'no clear answer',
      { kind: 'unknown', code: 'C', error: 'e' },
      { records: 5, numbered: false, refusedKeys: 9 },
      { kind: 'again', doubt: true },
    ],
    ['one of several records', refused('record'), { records: 5, numbered: false, refusedKeys: 9 }, { kind: 'split' }],
    [
      'records that are named',
      refused('record', [1, 4]),
      { records: 5, numbered: false, refusedKeys: 9 },
      { kind: 'single-out', refused: [1, 4] },
    ],
    [
      'an index that is none of the batch',
      refused('record', [5, -1]),
      { records: 5, numbered: false, refusedKeys: 0 },
      { kind: 'split' },
    ],
    [
      'one record alone, named or not',
      refused('record', [0]),
      { records: 1, numbered: false, refusedKeys: 0 },
      { kind: 'dead-letter' },
    ],
    ['one record alone', refused('record'), { records: 1, numbered: false, refusedKeys: 0 }, { kind: 'dead-letter' }],
    ['the fifth key in a row', refused('record'), { records: 1, numbered: false, refusedKeys: 4 }, { kind: 'dead-letter' }],
    ['the sixth key in a row', refused('record'), { records: 1, numbered: false, refusedKeys: 5 }, { kind: 'pause-topic' }],
    ['the topic', refused('topic'), { records: 1, numbered: false, refusedKeys: 0 }, { kind: 'pause-topic' }],
    [
      'configuration or login',
      refused('producer'),
      { records: 1, numbered: false, refusedKeys: 0 },
      { kind: 'again', doubt: true },
    ],
    ['a partition that does not know the numbers', lost, { records: 3, numbered: true, refusedKeys: 0 }, { kind: 'renumber' }],
    [
      'the same of a batch without numbers',
      lost,
      { records: 3, numbered: false, refusedKeys: 0 },
      { kind: 'again', doubt: true },
    ],
    [
      'something that passes',
      refused('transient'),
      { records: 1, numbered: false, refusedKeys: 0 },
      { kind: 'again', doubt: false },
    ],
  ])('%s', (_, outcome, history, expected) => {
    expect(verdict(outcome, history)).toEqual(expected)
  })
})

describe('on-dead-letter', () => {
  test.each<[OnDeadLetterByTopic, string, OnDeadLetter]>([
    ['block', 'orders', 'block'],
    ['skip', 'orders', 'skip'],
    [{ audit_log: 'skip' }, 'audit_log', 'skip'],
    [{ audit_log: 'skip' }, 'orders', 'block'],
    [{ '*': 'skip', orders: 'block' }, 'orders', 'block'],
    [{ '*': 'skip', orders: 'block' }, 'toString', 'skip'],
  ])('%o: %s is to %s', (ways, topic, way) => {
    expect(onDeadOf(ways, topic)).toBe(way)
  })
})

describe('backoff', () => {
  test.each([
    [1, 0, 50],
    [1, 1, 100],
    [2, 0.5, 150],
    [7, 0, 2_500],
    [7, 1, 5_000],
    [10_000, 1, 5_000],
  ])('try %i with random %f waits %i ms', (attempt, random, ms) => {
    expect(backoff(attempt, random)).toBe(ms)
  })
})

describe('fair share', () => {
  test.each([
    [0, 1, { take: 64, leave: 0 }],
    [64, 1, { take: 0, leave: 0 }],
    [64, 2, { take: 0, leave: 32 }],
    [0, 3, { take: 22, leave: 0 }],
    [30, 3, { take: 0, leave: 8 }],
    [0, 100, { take: 1, leave: 0 }],
    [5, 0, { take: 59, leave: 0 }],
  ])('%i owned among %i relays', (owned, relays, step) => {
    expect(shareStep(owned, relays)).toEqual(step)
  })

  test('the shares of any number of relays cover all buckets', () => {
    for (let relays = 1; relays <= 64; relays++) expect(shareStep(0, relays).take * relays).toBeGreaterThanOrEqual(64)
  })
})

describe('a peer is ahead of this relay (lead of more than 5, fresh for 10)', () => {
  /** Heartbeats: the time, when this relay had an answer, how long ago a peer had one, and since when the peer is ahead. */
  type Beats = [now: number, ownAt: number, peerMsAgo: number | null, since: number | undefined][]
  const story = (what: string, ...beats: Beats) => ({ what, beats })
  test.each([
    story('nobody was ever answered', [1, 0, null, undefined], [100, 0, null, undefined]),
    story(
      'an outage of all, and the peer was answered last',
      [10, 0, 6, undefined],
      [14, 0, 9, undefined],
      [20, 0, 15, undefined],
    ),
    story('the peer is answered first after it', [30, 0, 25, undefined], [31, 0, 0, 31], [32, 0, 1, 31], [33, 32, 2, undefined]),
    story('a peer that is answered at times is ahead all the time', [6, 0, 0, 6], [9, 0, 3, 6], [11, 0, 5, 6], [12, 0, 0, 6]),
    story('until its answer is old', [6, 0, 0, 6], [15, 0, 9, 6], [16, 0, 10, undefined], [17, 0, 11, undefined], [18, 0, 1, 18]),
    story('or it is gone', [6, 0, 0, 6], [7, 0, null, undefined]),
    story('a relay that waits for nothing', [100, 100, 0, undefined], [200, 200, 0, undefined]),
  ])('$what', ({ beats }) => {
    const peer = new PeerAhead({ leadMs: 5, freshMs: 10 })
    expect(beats.map(([now, ownAt, peerMsAgo]) => peer.since({ now, ownAt, peerMsAgo, asked: now }))).toEqual(
      beats.map((beat) => beat[3]),
    )
  })
})

describe('poll pace', () => {
  test.each([
    [0, 2_000, 2_000, 50, 0],
    [30, 250, 2_000, 50, 0],
    [30, 1, 2_000, 50, 1],
    [0, 4, 2_000, 50, 3],
    [0, 16, 2_000, 50, 7],
    [0, 36, 2_000, 50, 10],
    [0, 249, 2_000, 50, 10],
    [0, 0, 2_000, 50, 1],
    [2, 0, 2_000, 50, 3],
    [40, 0, 2_000, 50, 50],
    [900, 0, 2_000, 1_000, 1_000],
  ])('after %i ms and %i of %i rows, at most %i: %i ms', (before, rows, limit, most, next) => {
    expect(nextPollMs(before, rows, limit, most)).toBe(next)
  })
})

describe('settings', () => {
  test('defaults are filled in, a request may take half of the lease', () => {
    expect(relaySettings({})).toMatchObject({ ...relayDefaults, requestTimeoutMs: 5_000, name: expect.any(String) })
    expect(relaySettings({ leaseMs: 4_000, keyless: undefined })).toMatchObject({ requestTimeoutMs: 2_000, keyless: 'topic' })
  })

  test.each([
    [{}, 250, 6_000],
    [{ exactlyOnce: true }, 1_000, 12_000],
    [{ exactlyOnce: true, batchRecords: 20, maxInFlight: 40 }, 20, 40],
  ])('of %o a batch has up to %i records, and %i rows are in flight', (options, batchRecords, maxInFlight) => {
    expect(relaySettings(options)).toMatchObject({ batchRecords, maxInFlight })
  })

  test.each([
    [{ leaseMs: 2_999 }, 'leaseMs'],
    [{ batchRecords: 1_001 }, 'batchRecords'],
    [{ requestTimeoutMs: 5_001 }, 'requestTimeoutMs'],
    [{ keyless: 'sometimes' }, 'keyless'],
    [{ onDeadLetter: 'drop' }, 'onDeadLetter'],
    [{ onDeadLetter: { orders: 'drop' } }, 'onDeadLetter'],
    [{ onDeadLetter: { 'no topic': 'skip' } }, 'onDeadLetter'],
    [{ bathRecords: 5 }, 'bathRecords'],
    [{ maxInFlight: Number.NaN }, 'maxInFlight'],
  ])('%o is refused, naming the option', (options, field) => {
    expect(() => relaySettings(options as never)).toThrow(expect.objectContaining({ code: 'OUTBOX_INVALID_OPTION', field }))
  })
})

describe('the Kafka record', () => {
  const row = {
    bucket: 0,
    id: 1,
    messageId: '0197f3a0-0000-7000-8000-000000000001',
    topic: 't',
    type: null,
    key: null,
    value: null,
    headers: null,
    createdAt: Date.UTC(2026, 0, 2),
    bytes: 0,
    oversized: false,
  }
  const ours = { id: row.messageId, 'created-at': '2026-01-02T00:00:00.000Z' }
  const value = Buffer.from('{}')

  test.each([
    ['a tombstone has no content type', row, ours],
    ['JSON is marked', { ...row, value }, { ...ours, 'content-type': 'application/json' }],
    ['what is marked otherwise stays', { ...row, value, headers: { 'content-type': 'a/b' } }, { ...ours, 'content-type': 'a/b' }],
    ['type and own headers', { ...row, type: 'T', headers: { x: '1' } }, { ...ours, x: '1', type: 'T' }],
    ['a row cannot forge our headers', { ...row, headers: { id: 'forged', 'created-at': 'never' } }, ours],
  ])('%s', (_, given, headers) => {
    expect(toRecord(given)).toEqual({ key: given.key, value: given.value, headers })
  })

  test('a header named __proto__ is sent like any other', () => {
    const { headers } = toRecord({ ...row, headers: JSON.parse('{"__proto__":"x","y":"z"}') })
    expect(Object.entries(headers)).toEqual([['__proto__', 'x'], ['y', 'z'], ...Object.entries(ours)])
  })

  test('tells the time of each row, in whatever order they come', () => {
    const times = [0, 7, 999, 1_000, 1_042, 999, -1, 1_767_312_000_000, 1_767_312_000_010]
    const told = times.map((createdAt) => toRecord({ ...row, createdAt }).headers['created-at'])
    expect(told).toEqual(times.map((createdAt) => new Date(createdAt).toISOString()))
  })
})

test('while brokers answer and take nothing, the circuit breaker stays closed longer each time, up to 5 s, until an acknowledgement', async () => {
  const waits: number[] = []
  const clock = { ...systemClock, wait: async (ms: number) => void waits.push(ms) }
  const breaker = new ClusterBreaker(relayContext({}, { clock, random: () => 1 }))
  const [one, other] = [{}, {}]
  const doubt = async () => {
    breaker.doubt(one, 'CLUSTER_AUTHORIZATION_FAILED', 'no')
    // Lanes that fail together are one doubt.
    breaker.doubt(other, 'CLUSTER_AUTHORIZATION_FAILED', 'no')
    await breaker.passable()
  }
  for (let n = 0; n < 9; n++) await doubt()
  expect(waits).toEqual([100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000])
  breaker.acknowledged(one)
  await doubt()
  expect(waits).toHaveLength(8)
})

describe('the record that tries a paused topic', () => {
  const row = (id: number, key: string | null) => ({ id, key: key === null ? null : Buffer.from(key) }) as CarriedRow
  const queue = [row(1, 'a'), row(2, 'a'), row(3, null), row(4, 'b'), row(5, null), row(6, 'c'), row(7, 'b')]
  test.each<[string, number[], number, number]>([
    ['nothing was refused: any key, its first record', [], 0, 1],
    ['the messages without key are one key', [], 0.3, 3],
    ['the last of the keys', [], 0.99, 6],
    ['the first was refused', [1], 0, 3],
    ['the first record of a key was refused: its next one does not overtake it', [1, 3], 0, 4],
    ['all were refused: the first of all', [1, 3, 4, 6], 0.5, 1],
  ])('%s', (_, refused, random, chosen) => {
    expect(
      probeOf(
        queue,
        ({ id }) => refused.includes(id),
        () => random,
      )?.id,
    ).toBe(chosen)
  })
  test('an empty queue has none', () => {
    expect(
      probeOf(
        [],
        () => false,
        () => 0,
      ),
    ).toBeUndefined()
  })
})

test('a skipped range remembers the lowest id of each bucket and is empty once it was handed over', () => {
  const skippedFrom = new SkippedFrom()
  skippedFrom.skip(1, 7)
  skippedFrom.skip(1, 5)
  skippedFrom.skip(1, 9)
  skippedFrom.skip(2, 3)
  expect([skippedFrom.covers(1, 4), skippedFrom.covers(1, 5), skippedFrom.covers(3, 9)]).toEqual([false, true, false])
  expect(skippedFrom.take()).toEqual([
    [1, 5],
    [2, 3],
  ])
  expect(skippedFrom.any).toBe(false)
})

test('a raise while nobody waits is kept for the next wait, once', async () => {
  const work = new Signal(systemClock)
  const { signal } = new AbortController()
  work.raise()
  await work.wait(signal)
  let woken = false
  const waiting = work.wait(signal).then(() => {
    woken = true
  })
  await Promise.resolve()
  expect(woken).toBe(false)
  work.raise()
  await waiting
})

test('a handler that throws or rejects harms neither the relay nor the other handlers', async () => {
  const relay = new Telemetry()
  const heard: unknown[] = []
  const unhandled = vi.fn()
  process.on('unhandledRejection', unhandled)
  onTestFinished(() => void process.off('unhandledRejection', unhandled))
  const fail = () => {
    throw new Error('disk full')
  }
  // Like a query of Prisma: not a promise of Node, and it starts when it is awaited.
  // biome-ignore lint/suspicious/noThenProperty: a thenable is the case.
  const query = { then: (_: unknown, reject: (error: Error) => void) => reject(new Error('disk full')) }
  for (const handler of [fail, async () => fail(), () => query]) {
    relay.on('kafka_recovered', handler)
    relay.on('*', handler)
  }
  relay.on('kafka_recovered', (event) => heard.push(event))
  relay.on('*', (...event) => heard.push(event))
  relay.emit('kafka_recovered', { ms: 1 })
  await new Promise((resolve) => setImmediate(resolve))
  expect(heard).toEqual([{ ms: 1 }, ['kafka_recovered', { ms: 1 }]])
  expect(unhandled).not.toHaveBeenCalled()
})

test('a handler gets the events of its name until it is removed, and * gets all', () => {
  const relay = new Telemetry()
  const [one, all]: [number[], string[]] = [[], []]
  const off = relay.on('kafka_recovered', ({ ms }) => one.push(ms))
  const offAll = relay.on('*', (name) => all.push(name))
  // The type of the fields follows from the name.
  relay.on('*', (name, event) => name === 'topic_paused' && all.push(event.code))
  relay.emit('kafka_recovered', { ms: 1 })
  relay.emit('topic_paused', { topic: 't', code: 'NO', error: 'no' })
  off()
  offAll()
  relay.emit('kafka_recovered', { ms: 2 })
  expect(one).toEqual([1])
  expect(all).toEqual(['kafka_recovered', 'topic_paused', 'NO'])
})
