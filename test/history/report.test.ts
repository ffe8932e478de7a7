import { expect, test } from 'vitest'
import { judge } from './judge.ts'
import { kindsOfFault, reportOf } from './report.ts'
import { story } from './story.ts'

test('recovery is the time from the heal of a fault to the next acknowledgement of any relay', () => {
  const told = story()
  // The acknowledgements of the story come at 101, 111, … 151.
  told.faults = [
    { kind: 'b', from: 90, healedAt: 100 },
    { kind: 'b', from: 90, healedAt: 115 },
    { kind: 'a', from: 90, healedAt: 151.5 },
  ]
  expect(kindsOfFault(told as never)).toEqual([
    { kind: 'a', injected: 1, medianMs: null, slowestMs: null },
    { kind: 'b', injected: 2, medianMs: 6, slowestMs: 6 },
  ])
})

test('the table shows figures, checks, faults, and what is wrong', () => {
  const told = story()
  told.faults = [{ kind: 'relay-sigkill', from: 90, healedAt: 100 }]
  for (const dump of told.dumps) dump.records.pop()
  const text = reportOf(told as never, judge(told as never))
  expect(text).toMatch(/^transactions +6, 5 acknowledged$/m)
  expect(text).toMatch(/^lost +1$/m)
  expect(text).toMatch(/^phantom +11 +ok$/m)
  expect(text).toMatch(/^loss +18 +VIOLATED, 2 times$/m)
  expect(text).toMatch(/^regressions +0 +not judged: there was nothing to compare$/m)
  expect(text).toMatch(/^relay-sigkill +1 +1 ms +1 ms$/m)
  expect(text).toMatch(/^ {2}loss: \w+: expected in steady, read_uncommitted: its transaction committed; found not there/m)
})
