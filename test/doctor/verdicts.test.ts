import { expect, test } from 'vitest'
import { judgeDatabase } from '../../src/doctor/database.ts'
import type { DatabaseFacts, Surroundings } from '../../src/doctor/questions/examine-database.ts'

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

const local: DatabaseFacts['encryption'] = { local: true, tls: false, verified: false, serverTls: null, serverLocal: true }

// What no test makes for real: a server older than 15, and an answer so slow that the clocks cannot be compared.
test.each<[string, Partial<Surroundings>, string]>([
  ['version', { version: 140_009 }, 'failure'],
  ['version', { version: 150_000 }, 'ok'],
  ['clock', { clockMs: 9_000, uncertainMs: 8_000 }, 'ok'],
  ['clock', { clockMs: 9_000, uncertainMs: 6_000 }, 'warning'],
])('%s: %o is %s', (check, facts, level) => {
  const verdicts = judgeDatabase({ surroundings: { ...well, ...facts }, encryption: local, holders: [] })
  expect(verdicts.find((one) => one.check === check)?.level).toBe(level)
})

// A slot that somebody reads is as old as its reader is slow: only how long it has held rows back counts.
test.each<[DatabaseFacts['holders'][number]['kind'], string, number | null, string]>([
  ['slot', 'active', null, 'ok'],
  ['slot', 'inactive', null, 'warning'],
  ['session', 'active', 300_000, 'ok'],
  ['session', 'active', 300_001, 'warning'],
])('a %s that is %s for %s ms is %s', (kind, state, ageMs, level) => {
  const verdicts = judgeDatabase({ surroundings: well, encryption: local, holders: [{ kind, name: '1', state, ageMs, xids: 5 }] })
  expect(verdicts.find((one) => one.check === 'horizon')?.level).toBe(level)
})

test.each<[Partial<DatabaseFacts['encryption']>, boolean, string]>([
  [{}, false, 'ok'],
  [{ local: false }, false, 'warning'],
  [{ local: false, tls: true, verified: true, serverTls: 'TLSv1.3' }, false, 'ok'],
  [{ local: false, tls: true, verified: false, serverTls: 'TLSv1.3' }, false, 'warning'],
  [{ local: true, tls: true, verified: false, serverTls: 'TLSv1.3' }, false, 'ok'],
  // The way to the pooler is one thing, that from the pooler another.
  [{ local: false, tls: true, verified: true, serverLocal: false }, true, 'warning'],
  [{ serverLocal: false }, true, 'warning'],
  [{ local: false, tls: true, verified: true, serverLocal: false, serverTls: 'TLSv1.3' }, true, 'ok'],
])('database encryption: %o, pooled: %s, is %s', (facts, pooled, level) => {
  const verdicts = judgeDatabase({ surroundings: { ...well, pooled }, encryption: { ...local, ...facts }, holders: [] })
  expect(verdicts.find((one) => one.check === 'database encryption')?.level).toBe(level)
})
