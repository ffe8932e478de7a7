import { checkDuplicates, duplicateBound, duplicatesIn } from './duplicate-checks.ts'
import { type Evidence, evidenceOf } from './evidence.ts'
import type { Finding, Violation } from './finding.ts'
import type { History } from './history.ts'
import { checkIntegrity, checkLoss, checkPhantom, checkRegressions } from './log-checks.ts'
import { checkSerialisedOrder, checkUnserialisedOrder } from './order-checks.ts'
import { checkLiveness, checkResources } from './rest-checks.ts'
import { checkTrace } from './trace-checks.ts'

/** The ten checks, in the order of the table. */
const checks = {
  loss: checkLoss,
  phantom: checkPhantom,
  integrity: checkIntegrity,
  'serialised order': checkSerialisedOrder,
  'unserialised order': checkUnserialisedOrder,
  regressions: checkRegressions,
  duplicates: checkDuplicates,
  trace: checkTrace,
  liveness: checkLiveness,
  resources: checkResources,
} satisfies Record<string, (evidence: Evidence) => Finding>

/** Name of a check. */
export type CheckName = keyof typeof checks

/** The names of the ten checks. */
export const checkNames = Object.keys(checks) as CheckName[]

/** A violation with the check that found it. */
export interface NamedViolation extends Violation {
  check: CheckName
}

/** What a check came to. */
export interface Verdict {
  check: CheckName
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

/** Judges a history by all ten checks. */
export function judge(history: History): Judgement {
  const evidence = evidenceOf(history)
  const verdicts: Verdict[] = []
  const violations: NamedViolation[] = []
  for (const check of checkNames) {
    const finding = checks[check](evidence)
    for (const violation of finding.violations) violations.push({ check, ...violation })
    verdicts.push(verdictOf(check, finding))
  }
  // Both dumps show the same fault: what is counted is messages.
  const count = (...names: CheckName[]) =>
    new Set(violations.filter(({ check }) => names.includes(check)).map(({ of }) => of)).size
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
      inversions: count('serialised order', 'unserialised order'),
      duplicates: Math.max(0, ...evidence.dumps.map(({ copies }) => duplicatesIn(copies))),
      duplicateBound: duplicateBound(evidence),
    },
  }
}

function verdictOf(check: CheckName, { cases, violations, notJudged }: Finding): Verdict {
  if (violations.length > 0) return { check, state: 'violated', cases, violations: violations.length }
  const why = notJudged ?? (cases === 0 ? 'there was nothing to compare' : undefined)
  if (why !== undefined) return { check, state: 'not judged', cases, violations: 0, why }
  return { check, state: 'passed', cases, violations: 0 }
}
