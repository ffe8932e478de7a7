import { describe, expect, test } from 'vitest'
import { ownLabels } from '../../src/ops/labels.ts'
import { relayMetrics } from '../../src/ops/metrics.ts'
import { type RelayEvents, Telemetry } from '../../src/relay/telemetry.ts'

/** Metrics of a relay that never was: what is told is given by the test. */
function keep() {
  const telemetry = new Telemetry()
  let now = 0
  const registry = relayMetrics(telemetry, () => now)
  return {
    registry,
    pass: (ms: number) => {
      now += ms
    },
    tell: telemetry.emit.bind(telemetry) as Telemetry['emit'],
    /** Values of a metric by its labels, written as Prometheus does. */
    async of(name: string): Promise<Record<string, number>> {
      const lines = (await registry.metrics())
        .split('\n')
        .filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `))
      return Object.fromEntries(
        lines.map((line) => [line.slice(name.length, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ')))]),
      )
    },
  }
}

const sampled = (more: Partial<RelayEvents['sampled']> = {}): RelayEvents['sampled'] => ({
  backlog: { messages: 0, exact: true, oldestMs: null },
  topics: [],
  leases: { held: 64, expired: 0, free: 0 },
  holders: [],
  relays: [],
  dead: { byReason: {}, blocked: 0, exact: true },
  blockedKeys: 0,
  oldestTransactionMs: 0,
  deadRowShare: 0,
  deletedRows: 0,
  exactlyOnce: null,
  format: 1,
  ms: 5,
  ...more,
})

const published = (topic: string, agesMs: number[]): RelayEvents['published'] => ({
  topic,
  partition: 0,
  records: agesMs.length,
  bytes: 10 * agesMs.length,
  ms: 20,
  agesMs,
  traces: [],
})

describe('a batch that Kafka acknowledged', () => {
  test('counts each of its messages, with its own time from creation to acknowledgement', async () => {
    const { tell, of } = keep()
    tell('published', published('orders', [4, 40, 4_000]))
    expect(await of('outbox_messages_published_total')).toEqual({ '{topic="orders"}': 3 })
    expect(await of('outbox_published_bytes_total')).toEqual({ '{topic="orders"}': 30 })
    expect(await of('outbox_batch_messages_sum')).toEqual({ '': 3 })
    expect(await of('outbox_publish_duration_seconds_sum')).toEqual({ '': 0.02 })
    const buckets = await of('outbox_delivery_latency_seconds_bucket')
    const upTo = (le: string) => buckets[`{le="${le}",topic="orders"}`]
    expect(['0.005', '0.05', '2.5', '5', '+Inf'].map(upTo)).toEqual([1, 2, 2, 3, 3])
  })

  test('from the future, by a clock that goes wrong, counts as new', async () => {
    const { tell, of } = keep()
    tell('published', published('orders', [-5_000]))
    expect(await of('outbox_delivery_latency_seconds_sum')).toEqual({ '{topic="orders"}': 0 })
  })
})

test('the hundred-and-first topic and all after it share one label, in every metric', async () => {
  const { tell, of } = keep()
  for (let n = 0; n < ownLabels + 50; n++) tell('published', published(`topic-${n}`, [1]))
  const series = await of('outbox_messages_published_total')
  expect(Object.keys(series)).toHaveLength(ownLabels + 1)
  expect(series['{topic="other"}']).toBe(50)
  tell('topic_paused', { topic: 'topic-120', code: 'C', error: 'e' })
  tell('topic_paused', { topic: 'topic-130', code: 'C', error: 'e' })
  tell('topic_resumed', { topic: 'topic-120', ms: 1 })
  expect(await of('outbox_topic_paused')).toEqual({ '{topic="other"}': 1 })
  const topics = ['topic-1', 'topic-140', 'topic-141'].map((topic, n) => ({
    topic,
    oldestMs: 1_000 * (3 - n),
    ownOldestMs: null,
  }))
  tell('sampled', sampled({ topics }))
  expect(await of('outbox_lag_seconds')).toEqual({ '{topic="topic-1"}': 3, '{topic="other"}': 2 })
})

test('missing topics leave half of the labels to topics that are served, and give up theirs; the metrics stay bounded', async () => {
  const { tell, of } = keep()
  for (let n = 0; n < 300; n++) {
    tell('publish_failed', { topic: `missing-${n}`, partition: 0, records: 1, kind: 'not-written', code: 'C', ms: 1, traces: [] })
  }
  expect(Object.keys(await of('outbox_publish_failures_total'))).toHaveLength(ownLabels / 2 + 1)
  for (let n = 0; n < ownLabels; n++) tell('published', published(`topic-${n}`, [1]))
  const series = await of('outbox_messages_published_total')
  expect(Object.keys(series)).toHaveLength(ownLabels)
  expect(series['{topic="topic-99"}']).toBe(1)
  expect(Object.keys(await of('outbox_publish_failures_total'))).toEqual(['{topic="other",kind="not-written"}'])
})

test('a label that nobody used for ten minutes goes to a topic that is served, with its series', async () => {
  const { tell, of, pass } = keep()
  for (let n = 0; n < ownLabels; n++) tell('published', published(`topic-${n}`, [1]))
  pass(599_000)
  tell('published', published('topic-0', [1]))
  tell('published', published('late', [1]))
  pass(2_000)
  tell('published', published('later', [1]))
  // Series are taken away in a turn of their own.
  await new Promise((resolve) => setImmediate(resolve))
  const series = await of('outbox_messages_published_total')
  expect(Object.keys(series)).toHaveLength(ownLabels + 1)
  expect(series).toMatchObject({ '{topic="topic-0"}': 2, '{topic="other"}': 1, '{topic="later"}': 1 })
  // The one that was used the longest ago.
  expect(series['{topic="topic-1"}']).toBeUndefined()
  expect(await of('outbox_delivery_latency_seconds')).not.toHaveProperty('{topic="topic-1"}')
})

test('missing topics are counted among the others that are paused', async () => {
  const { tell, of } = keep()
  tell('topic_paused', { topic: 't', code: 'C', error: 'e' })
  tell('topics_missing', { topics: 9_000, more: true, topic: 'm', code: 'C' })
  expect(await of('outbox_topic_paused')).toEqual({ '{topic="t"}': 1, '{topic="other"}': 9_000 })
  tell('topics_found', { ms: 1 })
  tell('topic_resumed', { topic: 't', ms: 1 })
  expect(await of('outbox_topic_paused')).toEqual({ '{topic="t"}': 0, '{topic="other"}': 0 })
})

test('troubles are 1 while they last, and a relay without its database has no leases', async () => {
  const { tell, of } = keep()
  tell('leases_taken', { buckets: [1, 2, 3], owned: 3 })
  tell('kafka_trouble', { code: 'C', error: 'e' })
  tell('database_trouble', { code: 'C', error: 'e' })
  expect([await of('outbox_kafka_trouble'), await of('outbox_database_trouble')]).toEqual([{ '': 1 }, { '': 1 }])
  expect(await of('outbox_leases_owned')).toEqual({ '': 0 })
  tell('kafka_recovered', { ms: 1 })
  tell('database_recovered', { ms: 1 })
  expect([await of('outbox_kafka_trouble'), await of('outbox_database_trouble')]).toEqual([{ '': 0 }, { '': 0 }])
})

test('refused connections and logins are counted by reason', async () => {
  const { tell, of } = keep()
  for (const reason of ['too_slow', 'wrong_login', 'too_slow'] as const) tell('http_refused', { reason, address: '10.0.0.1' })
  expect(await of('outbox_http_refused_total')).toEqual({ '{reason="too_slow"}': 2, '{reason="wrong_login"}': 1 })
})

test('leases are counted by bucket', async () => {
  const { tell, of } = keep()
  tell('leases_taken', { buckets: [1, 2, 3], owned: 3 })
  tell('leases_lost', { buckets: [1], owned: 2 })
  tell('leases_released', { buckets: [2, 3], owned: 0 })
  const totals = ['taken', 'lost', 'released'].map((what) => of(`outbox_leases_${what}_total`))
  expect(await Promise.all(totals)).toEqual([{ '': 3 }, { '': 1 }, { '': 2 }])
  expect(await of('outbox_leases_owned')).toEqual({ '': 0 })
})

describe('gauges of the tables', () => {
  const all = ['outbox_backlog_messages', 'outbox_lag_seconds', 'outbox_leases', 'outbox_dead_messages', 'outbox_blocked_keys']
  const now = async (of: (name: string) => Promise<Record<string, number>>) =>
    Object.assign({}, ...(await Promise.all(all.map(of))))

  test.each([
    ['in plain mode there is none', null, {}],
    ['without a batch it is 0', { waiting: 0, oldestMs: null }, { '': 0 }],
    ['it is that of the oldest', { waiting: 2, oldestMs: 90_000 }, { '': 90 }],
  ])('the age of a recorded batch: %s', async (_, exactlyOnce, value) => {
    const { tell, of } = keep()
    tell('sampled', sampled({ exactlyOnce }))
    expect(await of('outbox_recorded_batch_age_seconds')).toEqual(value)
  })

  test('do not exist before the first look, nor after one that failed', async () => {
    const { tell, of } = keep()
    expect(await now(of)).toEqual({})
    tell(
      'sampled',
      sampled({ dead: { byReason: { A: 1 }, blocked: 1, exact: true }, topics: [{ topic: 't', oldestMs: 1, ownOldestMs: 1 }] }),
    )
    expect(Object.keys(await now(of)).length).toBeGreaterThan(5)
    tell('sample_failed', { code: 'ECONNREFUSED' })
    expect(await now(of)).toEqual({})
    expect(await of('outbox_sample_failures_total')).toEqual({ '': 1 })
  })

  test('the age of the last look goes on while looks fail or do not come, and there is none without a sampler', async () => {
    const { tell, of, pass } = keep()
    const age = () => of('outbox_sample_age_seconds')
    pass(60_000)
    expect(await age()).toEqual({})
    tell('sampled', sampled())
    pass(1_500)
    expect(await age()).toEqual({ '': 1.5 })
    tell('sample_failed', { code: '57014' })
    pass(30_000)
    expect(await age()).toEqual({ '': 31.5 })
    tell('sampled', sampled())
    expect(await age()).toEqual({ '': 0 })
    tell('stopped', { relay: 'r', clean: true })
    expect(await age()).toEqual({})
  })

  test('the age counts from the first look that failed, where none has succeeded', async () => {
    const { tell, of, pass } = keep()
    tell('sample_failed', { code: 'ECONNREFUSED' })
    pass(5_000)
    tell('sample_failed', { code: 'ECONNREFUSED' })
    pass(5_000)
    expect(await of('outbox_sample_age_seconds')).toEqual({ '': 10 })
  })

  test('a topic that waits no more, and a reason that is dealt with, become 0', async () => {
    const { tell, of } = keep()
    tell(
      'sampled',
      sampled({
        dead: { byReason: { A: 2, B: 1 }, blocked: 0, exact: true },
        topics: [{ topic: 't', oldestMs: 7_000, ownOldestMs: 1 }],
      }),
    )
    expect(await of('outbox_lag_seconds')).toEqual({ '{topic="t"}': 7 })
    tell('sampled', sampled({ dead: { byReason: { B: 1 }, blocked: 0, exact: true } }))
    expect(await of('outbox_lag_seconds')).toEqual({ '{topic="t"}': 0 })
    expect(await of('outbox_dead_messages')).toEqual({ '{reason="A"}': 0, '{reason="B"}': 1 })
  })

  test('an estimate is marked, and what the role may not see is left out', async () => {
    const { tell, of } = keep()
    tell('sampled', sampled({ backlog: { messages: 9_000_000, exact: false, oldestMs: 1 }, oldestTransactionMs: null }))
    expect(await of('outbox_backlog_estimated')).toEqual({ '': 1 })
    expect(await of('outbox_oldest_transaction_seconds')).toEqual({})
    tell('sampled', sampled({ oldestTransactionMs: 60_000 }))
    expect(await of('outbox_backlog_estimated')).toEqual({ '': 0 })
    expect(await of('outbox_oldest_transaction_seconds')).toEqual({ '': 60 })
  })
})
