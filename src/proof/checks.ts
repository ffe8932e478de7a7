import { checkDuplicates, duplicateBound, duplicatesIn } from './duplicate-checks.ts'
import { type Evidence, evidenceOf } from './evidence.ts'
import type { Finding, Violation } from './finding.ts'
import type { History } from './history.ts'
import { checkIntegrity, checkLoss, checkPhantom, checkRegressions } from './log-checks.ts'
import { checkSerializedOrder, checkUnserializedOrder } from './order-checks.ts'
import { checkLiveness } from './rest-checks.ts'

/** A check: what it compared, and what must not be. */
export type Check = (evidence: Evidence) => Finding

/** The checks of a proof, in the order of the table. The torture has more: test/history/judge.ts. */
export const proofChecks = {
  loss: checkLoss,
  phantom: checkPhantom,
  integrity: checkIntegrity,
  'serialized order': checkSerializedOrder,
  'unserialized order': checkUnserializedOrder,
  regressions: checkRegressions,
  duplicates: checkDuplicates,
  liveness: checkLiveness,
} satisfies Record<string, Check>

/** A violation with the check that found it. */
export interface NamedViolation extends Violation {
  check: string
}

/** What a check came to. */
export interface Verdict {
  check: string
  /** `not judged`: its input is missing, or there was nothing to compare. */
  state: 'passed' | 'violated' | 'not judged'
  cases: number
  violations: number
  why?: string
}

/** Figures of the table. */
export interface Figures {
  transactions: number
  committed: number
  messages: number
  records: number
  lost: number
  phantom: number
  inversions: number
  duplicates: number
  /** Copies that the faults explain; null: nothing tells. */
  duplicateBound: number | null
}

/** The judgement of a history. */
export interface Judgement {
  /** No check was violated. */
  sound: boolean
  verdicts: Verdict[]
  violations: NamedViolation[]
  figures: Figures
}

/** Judges a history by all of the checks. */
export function judge(history: History, checks: Record<string, Check> = proofChecks): Judgement {
  const evidence = evidenceOf(history)
  const verdicts: Verdict[] = []
  const violations: NamedViolation[] = []
  for (const [check, find] of Object.entries(checks)) {
    const finding = find(evidence)
    for (const violation of finding.violations) violations.push({ check, ...violation })
    verdicts.push(verdictOf(check, finding))
  }
  // Both dumps show the same fault: what is counted is messages.
  const count = (...names: (keyof typeof proofChecks)[]) =>
    new Set(violations.filter(({ check }) => names.some((name) => name === check)).map(({ of }) => of)).size
  const fullest = Math.max(0, ...history.dumps.map(({ records }) => records.length))
  return {
    sound: violations.length === 0,
    verdicts,
    violations,
    figures: {
      transactions: history.attempts.length,
      committed: history.attempts.filter(({ outcome }) => outcome === 'ok').length,
      messages: history.ledger.length,
      records: fullest,
      lost: count('loss'),
      phantom: count('phantom'),
      inversions: count('serialized order', 'unserialized order'),
      duplicates: Math.max(0, ...evidence.dumps.map(({ copies }) => duplicatesIn(copies))),
      duplicateBound: duplicateBound(evidence),
    },
  }
}

function verdictOf(check: string, { cases, violations, notJudged }: Finding): Verdict {
  if (violations.length > 0) return { check, state: 'violated', cases, violations: violations.length }
  const why = notJudged ?? (cases === 0 ? 'there was nothing to compare' : undefined)
  if (why !== undefined) return { check, state: 'not judged', cases, violations: 0, why }
  return { check, state: 'passed', cases, violations: 0 }
}
