import { expect, test } from 'vitest'
import { judgeDatabase } from '../../src/doctor/database.ts'
import type { DatabaseFacts, Surroundings } from '../../src/store/postgres/examine.ts'

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

// What no test makes for real: a server older than 15, and an answer so slow that the clocks cannot be compared.
test.each<[string, Partial<Surroundings>, string]>([
  ['version', { version: 140_009 }, 'failure'],
  ['version', { version: 150_000 }, 'ok'],
  ['clock', { clockMs: 9_000, uncertainMs: 8_000 }, 'ok'],
  ['clock', { clockMs: 9_000, uncertainMs: 6_000 }, 'warning'],
])('%s: %o is %s', (check, facts, level) => {
  const verdicts = judgeDatabase({ surroundings: { ...well, ...facts }, holders: [] })
  expect(verdicts.find((one) => one.check === check)?.level).toBe(level)
})

// A slot that somebody reads is as old as its reader is slow: only how long it has held rows back counts.
test.each<[DatabaseFacts['holders'][number]['kind'], string, number | null, string]>([
  ['slot', 'active', null, 'ok'],
  ['slot', 'inactive', null, 'warning'],
  ['session', 'active', 300_000, 'ok'],
  ['session', 'active', 300_001, 'warning'],
])('a %s that is %s for %s ms is %s', (kind, state, ageMs, level) => {
  const verdicts = judgeDatabase({ surroundings: well, holders: [{ kind, name: '1', state, ageMs, xids: 5 }] })
  expect(verdicts.find((one) => one.check === 'horizon')?.level).toBe(level)
})
