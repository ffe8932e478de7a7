import type { Check, CheckWith } from './checks.ts'

/** What one check came to. */
export interface Verdict {
  /** Short name, the same in every run. */
  check: Check
  /** `unseen`: a command cannot see it, or something that it needs is missing. */
  level: 'ok' | 'warning' | 'failure' | 'unseen'
  /** What was found, in one sentence; never a secret or a payload. */
  finding: string
  /** Why it matters; empty if the level is ok. */
  why: string
  /** What to do, exactly; empty if the level is ok. */
  fix: string
}

export const ok = (check: Check, finding: string): Verdict => ({ check, level: 'ok', finding, why: '', fix: '' })

const bad =
  <Level extends 'warning' | 'failure' | 'unseen'>(level: Level) =>
  (check: CheckWith<Level>, finding: string, why: string, fix: string): Verdict => ({ check, level, finding, why, fix })

export const warning = bad('warning')
export const failure = bad('failure')
export const unseen = bad('unseen')
