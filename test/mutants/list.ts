import type { Mutant, RulePart } from './mutant.ts'
import { leasingMutants } from './relays/leasing.ts'
import { readingMutants } from './relays/reading.ts'
import { recordMutants } from './relays/records.ts'
import { sendingMutants } from './relays/sending.ts'
import { enqueueRules } from './rules/enqueue.ts'
import { exactlyOnceRules } from './rules/exactly-once.ts'
import { inboxRules } from './rules/inbox.ts'
import { readingRules } from './rules/reading.ts'
import { sendingRules } from './rules/sending.ts'
import { writingRules } from './rules/writing.ts'

// Every mutant of `npm run mutants`, by its name. Nineteen relays and one application are broken in a way in which a published outbox
// was. The others are the code without one part of the rules of docs/protocol.md (`rule-7.2` is the second part of rule 7).

/** Faults that meet each rule, and that a single broker without an authorizer can have. */
const faultsOfRules: Readonly<Record<number, readonly string[]>> = {
  1: ['kafka-reset', 'kafka-all-refuse', 'broker-sigstop'],
  2: ['kafka-reset', 'kafka-all-black-hole', 'broker-sigstop'],
  3: ['kafka-delay', 'kafka-reset', 'relay-scale', 'relay-sigterm', 'relay-event-loop'],
  4: ['poison-too-large', 'topic-recreated', 'kafka-all-refuse'],
  5: ['topic-recreated', 'kafka-black-hole'],
  6: ['kafka-all-refuse', 'broker-sigstop'],
  7: ['load-late-rollback', 'pg-backends-terminated', 'pg-immediate-stop', 'poison-too-large'],
  8: ['topic-recreated', 'kafka-all-refuse'],
  9: ['pg-backends-terminated', 'topic-recreated', 'relay-scale', 'pg-late-answers'],
  10: ['row-put-below'],
  11: ['poison-oversized'],
  12: ['pg-ids-again'],
  13: ['poison-too-large', 'poison-redriven', 'relay-sigstop', 'pg-late-answers'],
  14: ['poison-mended', 'pg-late-answers'],
  15: ['pg-row-locks'],
  20: ['topic-grows-in-time'],
  26: ['kafka-reset', 'relay-sigkill', 'relay-stops-at-failpoint'],
  27: ['relay-sigkill', 'kafka-reset', 'pg-backends-terminated', 'relay-stops-at-failpoint'],
}

/** Parts that other faults meet than the rest of their rule. */
const faultsOfParts: Readonly<Record<string, readonly string[]>> = {
  '3.3': ['kafka-slow-answers'],
  '3.6': ['kafka-quota'],
  '5.3': ['relay-without-kafka', 'relay-cut-off'],
  '12.2': ['row-locked'],
  '12.3': ['row-locked'],
  '12.4': ['row-locked'],
  '15.2': ['clock-stepped-back'],
  '26.4': ['row-locked', 'relay-sigkill'],
  '27.3': ['topic-grows', 'kafka-reset', 'kafka-all-refuse'],
}

/**
 * A torture shows neither how a relay refuses to start (16) nor what happens in the application (17 to 19) and its consumers (22 to 25). It meets
 * no refusal of a batch that may be in the log (28), and changes no mode (29).
 */
const faultsOf = (part: string, rule: number) => faultsOfParts[part] ?? faultsOfRules[rule]

const parts: readonly RulePart[] = [
  ...sendingRules,
  ...readingRules,
  ...writingRules,
  ...enqueueRules,
  ...inboxRules,
  ...exactlyOnceRules,
]

function withoutPart({ rule, without, edits, file, tests }: RulePart, at: number): [name: string, Mutant] {
  const part = `${rule}.${parts.slice(0, at + 1).filter((other) => other.rule === rule).length}`
  const faults = faultsOf(part, rule)
  const what = `lacks a part of rule ${rule}: ${without}`
  return [`rule-${part}`, { what, rule, edits, tests: { file, tests }, ...(faults && { faults }) }]
}

/** Every mutant by its name. */
export const mutants: Readonly<Record<string, Mutant>> = {
  ...sendingMutants,
  ...readingMutants,
  ...leasingMutants,
  ...recordMutants,
  ...Object.fromEntries(parts.map(withoutPart)),
}

/** The mutant of that name. */
export function mutantNamed(name: string): Mutant {
  const mutant = mutants[name]
  if (!mutant) throw new Error(`There is no mutant ${name}. Known: ${Object.keys(mutants).join(', ')}.`)
  return mutant
}
