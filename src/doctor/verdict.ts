/** What one check came to. */
export interface Verdict {
  /** Short name, the same in every run. */
  check: string
  /** `unseen`: a command cannot see it, or something that it needs is missing. */
  level: 'ok' | 'warning' | 'failure' | 'unseen'
  /** What was found, in one sentence; never a secret or a payload. */
  finding: string
  /** Why it matters; of what is well, empty. */
  why: string
  /** What to do, exactly; of what is well, empty. */
  fix: string
}

export const ok = (check: string, finding: string): Verdict => ({ check, level: 'ok', finding, why: '', fix: '' })

const bad =
  (level: 'warning' | 'failure' | 'unseen') =>
  (check: string, finding: string, why: string, fix: string): Verdict => ({ check, level, finding, why, fix })

export const warning = bad('warning')
export const failure = bad('failure')
export const unseen = bad('unseen')
