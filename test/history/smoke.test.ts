import { expect, test } from 'vitest'
import { tortureDefaults } from './options.ts'
import { reportOf } from './report.ts'
import { torture } from './run.ts'

const faults = [
  'relay-sigkill',
  'relay-dies-at-failpoint',
  'relay-sigstop',
  'relay-event-loop',
  'relay-sigterm',
  'pg-backends-terminated',
  'pg-immediate-stop',
  'pg-row-locks',
  'pg-reset-after-commit',
  'load-late-rollback',
]

test('a torture of half a minute, relays and PostgreSQL: nothing lost, no phantom, every key in order, each copy explained', async () => {
  const seed = Number(process.env.TORTURE_SEED ?? 1 + (Date.now() % 1_000_000))
  console.log(`TORTURE_SEED=${seed}`)
  const forMs = 30_000
  const options = { ...tortureDefaults, seed, forMs, everyMs: 2_000, faults, brokers: 1, relays: 2, writers: 10 } as const
  const { history, judgement, folder } = await torture({ ...options, lateMs: [200, 3_000] }, () => {})
  console.log(reportOf(history, judgement), folder ? `\nThe history is in ${folder}.` : '')
  expect(judgement.violations).toEqual([])
  // A copy that stands behind a later record is a matter of luck; everything else was there to be judged.
  const judged = judgement.verdicts.filter(({ check }) => check !== 'regressions')
  expect(judged.map(({ check, state }) => [check, state])).toEqual(judged.map(({ check }) => [check, 'passed']))
  expect(history.faults.length).toBeGreaterThanOrEqual(10)
  expect(judgement.figures.messages).toBeGreaterThan(100)
}, 600_000)
