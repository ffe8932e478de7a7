/** Something that must not be. */
export interface Violation {
  /** Message, relay or bucket that it is about. */
  of: string
  expected: string
  found: string
}

/** What a check looked at, and what it found. */
export interface Finding {
  /** Things that were compared: a check that compared nothing proves nothing. */
  cases: number
  violations: Violation[]
  /** Why the check could not judge; then it counts neither as passed nor as failed. */
  notJudged?: string
}

/** A finding that takes cases and violations one by one. */
export class Tally implements Finding {
  cases = 0
  readonly violations: Violation[] = []

  /** Counts a case, and a violation where `holds` is false. */
  expect(holds: boolean, violation: () => Violation): void {
    this.cases++
    if (!holds) this.violations.push(violation())
  }
}

/** A check without its input. */
export const notJudged = (why: string): Finding => ({ cases: 0, violations: [], notJudged: why })
