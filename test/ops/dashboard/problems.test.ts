import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { lagMs, problems, type Situation, toneOf, transactionMs } from '../../../src/ops/dashboard/problems.ts'
import type { RelayEvents } from '../../../src/relay/telemetry.ts'
import type { RelayState } from '../../../src/store/operator.ts'

const file = (path: string) => readFileSync(fileURLToPath(new URL(`../../../${path}`, import.meta.url)), 'utf8')

const well = {
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
  ms: 1,
} satisfies RelayEvents['sampled']

const fine: Situation = {
  live: { alive: true, why: 'idle' },
  databaseTrouble: undefined,
  kafkaTrouble: undefined,
  paused: new Map(),
  servers: 'kafka-1:9092',
  sample: well,
  sampleFailed: undefined,
  dying: false,
  disordered: false,
  locked: false,
  kept: 0,
  unownedLong: true,
}

const topic = (name: string, oldestMs: number) => ({ topic: name, oldestMs, ownOldestMs: null })

/** Another relay, as its heartbeat has it. */
const relay = (given: Partial<RelayState>): RelayState => ({
  name: 'relay-2',
  version: '0',
  startedMsAgo: 1,
  seenMsAgo: 1,
  ackedMsAgo: null,
  answeredMsAgo: null,
  withoutKafka: false,
  trouble: [],
  buckets: 32,
  alive: true,
  ...given,
})
const missing = { topic: 't', partition: null, code: 'UNKNOWN_TOPIC_OR_PARTITION' }

const cases: [string, Partial<Situation>, string, string][] = [
  ['a stuck relay', { live: { alive: false, why: 'no heartbeat for 40 s' } }, 'OutboxNoProgress', 'no heartbeat for 40 s'],
  ['a database that is away', { databaseTrouble: 'ECONNREFUSED' }, 'OutboxDatabaseTrouble', 'ECONNREFUSED'],
  ['a Kafka that is away', { kafkaTrouble: 'TIMEOUT' }, 'OutboxKafkaTrouble', 'TIMEOUT'],
  ['a look that failed', { sampleFailed: '42501' }, 'OutboxBlind', '42501'],
  ['relays that die', { dying: true }, 'OutboxLeasesFlapping', 'one after another'],
  ['locked rows', { locked: true }, 'OutboxRowsLocked', 'keeps messages locked'],
  ['rows that a rule keeps', { kept: 2 }, 'OutboxRowsKept', '2 published messages cannot be deleted'],
  ['an order at risk', { disordered: true }, 'OutboxOrderAtRisk', 'wrong bucket'],
  [
    'a paused topic',
    { paused: new Map([['t', 'UNKNOWN_TOPIC_OR_PARTITION']]) },
    'OutboxTopicPaused',
    'does not exist. Create it.',
  ],
  [
    'a topic that another relay has paused',
    { sample: { ...well, relays: [relay({ trouble: [missing] })] } },
    'OutboxTopicPaused',
    't does not exist.',
  ],
  [
    'a partition that lacks replicas',
    { sample: { ...well, relays: [relay({ trouble: [{ topic: 't', partition: 3, code: 'NOT_ENOUGH_REPLICAS' }] })] } },
    'OutboxTopicPaused',
    'Partition 3 of t: not enough replicas.',
  ],
  [
    'a relay without Kafka',
    { sample: { ...well, relays: [relay({ withoutKafka: true })] } },
    'OutboxRelaySilent',
    'relay-2 is alive, no Kafka',
  ],
  ['a lag', { sample: { ...well, topics: [topic('t', lagMs + 1)] } }, 'OutboxLag', 'oldest message of t'],
  [
    'a recorded batch in doubt',
    { sample: { ...well, exactlyOnce: { waiting: 2, oldestMs: lagMs + 1 } } },
    'OutboxLag',
    'A recorded batch has waited for 1 min',
  ],
  ['buckets of nobody', { sample: { ...well, leases: { held: 32, expired: 30, free: 2 } } }, 'OutboxNoRelay', '32 buckets of 64'],
  [
    'dead messages',
    { sample: { ...well, dead: { byReason: { A: 1, B: 2 }, blocked: 9, exact: true } } },
    'OutboxDeadLetter',
    '3 messages',
  ],
  [
    'more dead than are counted',
    { sample: { ...well, dead: { byReason: { A: 9 }, blocked: 9, exact: false } } },
    'OutboxDeadLetter',
    'at least 9',
  ],
  ['keys that wait', { sample: { ...well, blockedKeys: 1 } }, 'OutboxBlockedKeys', '1 key is blocked'],
  ['a long transaction', { sample: { ...well, oldestTransactionMs: transactionMs + 1 } }, 'OutboxXminHeld', '15 min'],
]

test.each(cases)('%s is told with its remedy and its section of the runbook', (_, situation, runbook, words) => {
  const [problem, ...others] = problems({ ...fine, ...situation })
  expect(others).toEqual([])
  expect(problem!.runbook).toBe(runbook)
  expect(`${problem!.what} ${problem!.remedy}`).toContain(words)
  expect(file('docs/runbook.md')).toContain(`\n## ${runbook}\n`)
})

describe('what is no problem', () => {
  test.each<[string, Partial<Situation>]>([
    ['nothing', {}],
    ['nothing known of the tables yet', { sample: undefined }],
    ['a message that is not old', { sample: { ...well, topics: [topic('t', lagMs)] } }],
    ['transactions that this role may not see', { sample: { ...well, oldestTransactionMs: null } }],
  ])('%s', (_, situation) => {
    expect(problems({ ...fine, ...situation })).toEqual([])
  })

  test('the lag of a topic that is told to be paused', () => {
    const found = problems({ ...fine, paused: new Map([['t', 'C']]), sample: { ...well, topics: [topic('t', 9e9)] } })
    expect(found.map(({ runbook }) => runbook)).toEqual(['OutboxTopicPaused'])
  })

  test('the lag of a topic that another relay cannot serve, and of any where no relay has Kafka', () => {
    const topics = [topic('t', 9e9)]
    const stuck = problems({ ...fine, sample: { ...well, topics, relays: [relay({ trouble: [missing] })] } })
    expect(stuck.map(({ runbook }) => runbook)).toEqual(['OutboxTopicPaused'])
    const silent = problems({ ...fine, sample: { ...well, topics, relays: [relay({ withoutKafka: true })] } })
    expect(silent.map(({ runbook }) => runbook)).toEqual(['OutboxRelaySilent'])
    const one = [relay({ withoutKafka: true }), relay({ name: 'relay-3' })]
    const half = problems({ ...fine, sample: { ...well, topics, relays: one } })
    expect(half.map(({ runbook }) => runbook)).toEqual(['OutboxLag', 'OutboxRelaySilent'])
  })
})

test('every alert has a problem of its own, but those that only a history can tell', () => {
  const alerts = [...file('ops/alerts.yml').matchAll(/- alert: (\w+)/g)].map(([, name]) => name!)
  const told = new Set(cases.map(([, , runbook]) => runbook))
  expect(alerts.filter((name) => !told.has(name))).toEqual(['OutboxBacklogGrowing', 'OutboxHttpRefused'])
})

test('a problem is red if its alert pages somebody, and amber if it opens a ticket', () => {
  const severities = new Map(
    [...file('ops/alerts.yml').matchAll(/- alert: (\w+)[\s\S]*?severity: (\w+)/g)].map(([, name, severity]) => [
      name!,
      severity!,
    ]),
  )
  for (const [name, situation, runbook] of cases) {
    const [problem] = problems({ ...fine, ...situation })
    expect(toneOf(problem!), name).toBe(severities.get(runbook) === 'page' ? 'red' : 'amber')
  }
})

test('the red ones come first', () => {
  const found = problems({ ...fine, sampleFailed: '42501', dying: true, sample: { ...well, blockedKeys: 1 } })
  expect(found.map(({ runbook }) => runbook)).toEqual(['OutboxBlockedKeys', 'OutboxBlind', 'OutboxLeasesFlapping'])
})

test('a message is late, and a transaction long, as for the alerts', () => {
  const limit = (metric: string) => Number(new RegExp(`\\(${metric}\\) > (\\d+)`).exec(file('ops/alerts.yml'))![1]) * 1000
  expect([limit('outbox_lag_seconds'), limit('outbox_oldest_transaction_seconds')]).toEqual([lagMs, transactionMs])
})
