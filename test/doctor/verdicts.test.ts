import { describe, expect, test } from 'vitest'
import { judgeDatabase } from '../../src/doctor/database.ts'
import { judgeKafka } from '../../src/doctor/kafka.ts'
import { judgePrisma } from '../../src/doctor/project.ts'
import { judgeRelays } from '../../src/doctor/relays.ts'
import type { Surroundings } from '../../src/store/postgres/examine.ts'

const well: Surroundings = {
  replica: false,
  readOnly: false,
  version: 180_001,
  synchronousCommit: 'on',
  fsync: 'on',
  isolation: 'read committed',
  timeZone: 'UTC',
  pooled: false,
  clockMs: 10,
  uncertainMs: 5,
}
const levelOf = (verdicts: { check: string; level: string }[], check: string) =>
  verdicts.find((one) => one.check === check)?.level

describe('what cannot be made on a shared server', () => {
  test.each<[string, Partial<Surroundings>, string]>([
    ['primary', { replica: true }, 'failure'],
    ['primary', { readOnly: true }, 'failure'],
    ['version', { version: 140_009 }, 'failure'],
    ['durability', { fsync: 'off' }, 'warning'],
    ['durability', { synchronousCommit: 'local' }, 'ok'],
    ['pooler', { pooled: true }, 'warning'],
    ['clock', { clockMs: -9_000 }, 'warning'],
    ['clock', { clockMs: 9_000, uncertainMs: 8_000 }, 'ok'],
  ])('%s: %o is a %s', (check, sick, level) => {
    expect(levelOf(judgeDatabase({ surroundings: { ...well, ...sick }, holders: [] }), check)).toBe(level)
  })

  test('who holds dead rows back is named with the statement that ends it', () => {
    const of = (holder: Parameters<typeof judgeDatabase>[0]['holders'][number]) =>
      judgeDatabase({ surroundings: well, holders: [holder] }).at(-1)!
    expect(of({ kind: 'session', name: '42', state: 'idle in transaction', ageMs: 600_000, xids: 9 })).toMatchObject({
      level: 'warning',
      finding: 'Process 42 (idle in transaction) holds dead rows back for 10 min.',
      fix: expect.stringContaining('pg_terminate_backend(42)'),
    })
    expect(of({ kind: 'slot', name: 's', state: 'inactive', ageMs: null, xids: 9 }).fix).toContain(
      "pg_drop_replication_slot('s')",
    )
    expect(of({ kind: 'prepared', name: 'p', state: 'prepared', ageMs: 600_000, xids: 9 }).fix).toContain("ROLLBACK PREPARED 'p'")
    expect(of({ kind: 'session', name: '42', state: 'hidden', ageMs: null, xids: 9 }).level).toBe('unseen')
    expect(of({ kind: 'session', name: '42', state: 'active', ageMs: 1_000, xids: 9 }).level).toBe('ok')
  })

  test.each([
    [{ replicas: 3, inSync: 3, minInSync: 2 }, 'ok'],
    [{ replicas: 3, inSync: 1, minInSync: 2 }, 'failure'],
    [{ replicas: 3, inSync: 3, minInSync: 1 }, 'warning'],
    [{ replicas: 3, inSync: 3, minInSync: null }, 'unseen'],
    [{ code: 'TOPIC_AUTHORIZATION_FAILED' }, 'failure'],
  ])('a topic with %o is %s', (sick, level) => {
    const topic = { topic: 't', code: null, partitions: 3, replicas: 3, inSync: 3, minInSync: 2, maxBytes: 1_000_000, ...sick }
    expect(levelOf(judgeKafka({ trouble: null, brokers: 3, topics: [topic] }, []), 'topic t')).toBe(level)
  })
})

test('waiting messages without a relay are a failure, buckets without owner and a long request a warning', () => {
  const relay = { name: 'r', version: '1', startedMsAgo: 1, seenMsAgo: 1, ackedMsAgo: 1, buckets: 60, alive: true }
  const status = {
    backlog: { messages: 3, exact: true, oldestMs: 5_000 },
    leases: { held: 60, expired: 1, free: 3 },
    relays: [relay],
    dead: { byReason: { INVALID_RECORD: 1 }, behind: 2, exact: true },
  }
  const judged = judgeRelays(status, { leaseMs: 3_000, requestMs: 3_000 })
  expect(judged.map(({ level }) => level)).toEqual(['ok', 'warning', 'warning', 'warning'])
  expect(judgeRelays({ ...status, relays: [] }, { leaseMs: 3_000, requestMs: null }).map(({ level }) => level)).toEqual([
    'failure',
    'ok',
    'ok',
    'warning',
  ])
})

test.each([
  [undefined, 'unseen'],
  ['6.15.0', 'failure'],
  ['6.16.0', 'ok'],
  ['7.0.1', 'ok'],
])('@prisma/client %s is %s', (version, level) => expect(judgePrisma(version).level).toBe(level))
