import { expect } from 'vitest'
import type { Transport } from '../../src/transport/transport.ts'
import type { FakeKafka } from '../support/fake-broker.ts'
import type { Judge } from './judge.ts'

/** What a scenario is played on: two fake brokers, a transport that knows both, and who compares outcomes and logs. */
export interface Stage {
  kafka: FakeKafka
  transport: Transport
  judge: Judge
}

const never = new AbortController().signal

/** What goes wrong between a producer and its brokers, each with the failure that it is known to have hidden. */
export const scenarios = {
  'the leader moves between two attempts': async ({ judge }: Stage) => {
    const [first, second] = judge.createTopic('orders', [1, 2])
    await judge.publish('orders', 0, 'warm')
    // NOT_LEADER_OR_FOLLOWER from the old leader, once the new one has already answered about its other partition.
    const answered = new Promise<void>((resolve) => second!.next({ afterwards: resolve }))
    const move = () => {
      first!.leader = 2
    }
    first!.next({ error: 6, after: answered, afterwards: move })
    await Promise.all([judge.insist('orders', 0, 'a,b'), judge.insist('orders', 1, 'c,d')])
  },

  'records without a key, of which one partition is refused': async ({ judge }: Stage) => {
    const [first] = judge.createTopic('orders', [1, 2])
    const values = (name: string, length: number) => Array.from({ length }, (_, index) => `${name}${index}`).join()
    // NOT_ENOUGH_REPLICAS: most clients try again by themselves.
    first!.next({ error: 19 })
    await Promise.all([judge.insist('orders', 0, values('a', 10), null), judge.insist('orders', 1, values('b', 11), null)])
  },

  'two partitions fail with different codes': async ({ judge }: Stage) => {
    const [large, late] = judge.createTopic('orders', [1, 1, 1])
    large!.next({ error: 10 })
    // REQUEST_TIMED_OUT, of a batch that the leader has.
    late!.next({ error: 7, append: true })
    const outcomes = await Promise.all([0, 1, 2].map((partition) => judge.publish('orders', partition, `p${partition}`)))
    expect(outcomes).toEqual([
      expect.objectContaining({ kind: 'not-written', scope: 'record', code: 'MESSAGE_TOO_LARGE' }),
      expect.objectContaining({ kind: 'unknown', code: 'REQUEST_TIMED_OUT' }),
      { kind: 'acked', baseOffset: 0n },
    ])
  },

  'a response is lost, then another batch of the same size': async ({ judge }: Stage) => {
    const [place] = judge.createTopic('orders', [1])
    await judge.publish('orders', 0, 'warm')
    // Twice: a client that tries again on its own has to give up.
    place!.next({ reply: 'lost' }, { reply: 'lost' })
    expect((await judge.publish('orders', 0, 'a')).kind).toBe('unknown')
    await judge.insist('orders', 0, 'b')
    await judge.insist('orders', 0, 'c')
  },

  'two batches at once, and the first response is lost': async ({ judge }: Stage) => {
    const [first] = judge.createTopic('orders', [1, 1])
    await Promise.all([judge.publish('orders', 0, 'warm0'), judge.publish('orders', 1, 'warm1')])
    first!.next({ reply: 'lost' }, { reply: 'lost' })
    await Promise.all([judge.publish('orders', 0, 'a'), judge.publish('orders', 1, 'b')])
    await Promise.all([judge.insist('orders', 0, 'c'), judge.insist('orders', 1, 'd')])
    await Promise.all([judge.insist('orders', 0, 'e'), judge.insist('orders', 1, 'f')])
  },

  'one partition is too large, then the next batch': async ({ judge }: Stage) => {
    judge.createTopic('orders', [1, 1])
    await Promise.all([judge.publish('orders', 0, 'warm0'), judge.publish('orders', 1, 'warm1')])
    const [fine, large] = await Promise.all([judge.publish('orders', 0, 'a'), judge.publish('orders', 1, 'x'.repeat(1_100_000))])
    await judge.insist('orders', 0, 'b')
    await judge.insist('orders', 0, 'c')
    expect([fine.kind, large.kind]).toEqual(['acked', 'not-written'])
    expect(large).toMatchObject({ scope: 'record', code: 'MESSAGE_TOO_LARGE' })
  },

  'a topic is deleted beside a healthy one': async ({ kafka, judge }: Stage) => {
    judge.createTopic('healthy', [1])
    judge.createTopic('deleted', [1])
    await Promise.all([judge.publish('healthy', 0, 'warm'), judge.publish('deleted', 0, 'warm too')])
    kafka.deleteTopic('deleted')
    const outcome = await judge.publish('deleted', 0, 'a')
    expect(outcome).toMatchObject({ kind: 'not-written', scope: 'topic', code: 'UNKNOWN_TOPIC_OR_PARTITION' })
    await judge.insist('healthy', 0, 'b')
    expect(await judge.publish('deleted', 0, 'c')).toMatchObject({ kind: 'not-written', scope: 'topic' })
    await judge.insist('healthy', 0, 'd')
  },

  'a partition has no leader, beside a healthy topic': async ({ judge }: Stage) => {
    judge.createTopic('healthy', [1])
    const [partition] = judge.createTopic('leaderless', [1])
    partition!.leader = -1
    const outcome = await judge.publish('leaderless', 0, 'a')
    expect(outcome).toMatchObject({ kind: 'not-written', scope: 'topic', code: 'LEADER_NOT_AVAILABLE' })
    await judge.insist('healthy', 0, 'b')
    partition!.leader = 2
    await judge.insist('leaderless', 0, 'c')
  },

  'closed while a request hangs': async ({ kafka, judge }: Stage) => {
    const [place] = judge.createTopic('orders', [1])
    await judge.publish('orders', 0, 'warm')
    place!.next({ append: false, reply: 'never' })
    const hanging = judge.publish('orders', 0, 'a', { within: 60_000 })
    await kafka.asked('Produce', 2)
    await judge.close()
    expect(await hanging).toMatchObject({ kind: 'unknown', code: 'CLOSED' })
    expect(await judge.publish('orders', 0, 'b')).toMatchObject({ kind: 'not-written', code: 'CLOSED' })
    await kafka.abandoned()
    expect(place!.log).toHaveLength(1)
  },

  'the brokers are frozen before the batch can be sent': async ({ kafka, judge }: Stage) => {
    judge.createTopic('orders', [1])
    judge.createTopic('other', [1])
    await judge.publish('other', 0, 'warm')
    kafka.freeze()
    expect((await judge.publish('orders', 0, 'a', { within: 200 })).kind).not.toBe('acked')
    kafka.thaw()
    await judge.insist('orders', 0, 'b')
  },

  'an answer comes too late': async ({ judge }: Stage) => {
    const [place] = judge.createTopic('orders', [1, 1])
    await Promise.all([judge.publish('orders', 0, 'warm0'), judge.publish('orders', 1, 'warm1')])
    const { promise, resolve } = deferred()
    place!.next({ after: promise })
    expect(await judge.publish('orders', 0, 'a', { within: 200 })).toMatchObject({ kind: 'unknown', code: 'TIMEOUT' })
    resolve()
    await judge.insist('orders', 0, 'b')
    await judge.insist('orders', 1, 'c')
  },

  'a connection hangs forever, and the next batch needs another one': async ({ judge }: Stage) => {
    const [place] = judge.createTopic('orders', [1])
    await judge.publish('orders', 0, 'warm')
    place!.next({ reply: 'never' })
    expect(await judge.publish('orders', 0, 'a', { within: 200 })).toMatchObject({ kind: 'unknown', code: 'TIMEOUT' })
    expect((await judge.publish('orders', 0, 'b')).kind).toBe('acked')
  },

  'a batch that is not answered keeps none waiting that goes over a connection of its own': async ({ judge }: Stage) => {
    const [place] = judge.createTopic('orders', [1, 1])
    await judge.publish('orders', 0, 'warm')
    let answer = () => {}
    place!.next({ after: new Promise<void>((resolve) => (answer = resolve)) })
    const waiting = judge.publish('orders', 0, 'a')
    expect((await judge.publish('orders', 1, 'b', { how: { alone: 'connection' } })).kind).toBe('acked')
    answer()
    expect((await waiting).kind).toBe('acked')
  },

  'a batch that goes alone is written like any other': async ({ judge }: Stage) => {
    judge.createTopic('orders', [1, 1])
    const alone = { how: { alone: 'request' } } as const
    const outcomes = await Promise.all([judge.publish('orders', 0, 'a', alone), judge.publish('orders', 1, 'b', alone)])
    expect(outcomes.map(({ kind }) => kind)).toEqual(['acked', 'acked'])
  },

  'an answer comes after the time to send, and within the time to wait': async ({ judge }: Stage) => {
    const [place] = judge.createTopic('orders', [1])
    await judge.publish('orders', 0, 'warm')
    place!.next({ after: new Promise((resolve) => setTimeout(resolve, 600)) })
    expect((await judge.publish('orders', 0, 'a', { within: 200, how: { waitMs: 5_000 } })).kind).toBe('acked')
  },

  'the wait for an answer is ended': async ({ judge }: Stage) => {
    const [place] = judge.createTopic('orders', [1])
    await judge.publish('orders', 0, 'warm')
    const giveUp = new AbortController()
    place!.next({ after: new Promise((resolve) => setTimeout(resolve, 600)), afterwards: () => {} })
    setTimeout(() => giveUp.abort(), 300)
    const outcome = await judge.publish('orders', 0, 'a', { within: 200, how: { waitMs: 60_000, giveUp: giveUp.signal } })
    expect(outcome).toMatchObject({ kind: 'unknown', code: 'TIMEOUT' })
    expect((await judge.publish('orders', 0, 'b')).kind).toBe('acked')
  },

  'a broker throttles': async ({ judge }: Stage) => {
    const [place] = judge.createTopic('orders', [1])
    place!.next({ throttleMs: 300 })
    await judge.insist('orders', 0, 'a')
    await judge.insist('orders', 0, 'b')
  },

  'a partition that does not exist': async ({ kafka, judge }: Stage) => {
    const places = judge.createTopic('orders', [1, 2])
    for (const [partition, value] of [
      [2, 'a'],
      [7, 'b'],
    ] as const) {
      const outcome = await judge.publish('orders', partition, value)
      expect(outcome).toMatchObject({ kind: 'not-written', scope: 'transient', code: 'PARTITION_NOT_FOUND' })
    }
    expect(kafka.requests).not.toContain('Produce')
    expect(places.flatMap(({ log }) => log)).toEqual([])
  },

  'a topic that forbids us': async ({ kafka, transport, judge }: Stage) => {
    judge.createTopic('healthy', [1])
    judge.createTopic('forbidden', [1])
    kafka.blameTopic('forbidden', 29)
    const fault = { scope: 'topic', code: 'TOPIC_AUTHORIZATION_FAILED' }
    expect(await judge.publish('forbidden', 0, 'a')).toMatchObject({ kind: 'not-written', ...fault })
    await expect(transport.partitions('forbidden', never)).rejects.toMatchObject(fault)
    await judge.insist('healthy', 0, 'b')
  },
} satisfies Record<string, (stage: Stage) => Promise<void>>

/** Name of one of the {@link scenarios}. */
export type ScenarioName = keyof typeof scenarios

function deferred(): { promise: Promise<void>; resolve: () => void } {
  let resolve!: () => void
  const promise = new Promise<void>((settle) => {
    resolve = settle
  })
  return { promise, resolve }
}
