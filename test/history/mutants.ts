import { takenOut } from '../rules/rules.ts'
import type { Mutant } from './mutant.ts'
import { leasingMutants } from './mutants/leasing.ts'
import { readingMutants } from './mutants/reading.ts'
import { recordMutants } from './mutants/records.ts'
import { sendingMutants } from './mutants/sending.ts'

/** Nineteen relays and one application that are broken on purpose, each in a way in which a published outbox was. */
export const mutants: Readonly<Record<string, Mutant>> = {
  ...sendingMutants,
  ...readingMutants,
  ...leasingMutants,
  ...recordMutants,
}

/** Faults that meet each group of rules: sending, reading, writing. */
const faultsOfRules: readonly [last: number, faults: readonly string[]][] = [
  [6, ['kafka-reset', 'kafka-all-refuse', 'kafka-black-hole', 'broker-sigstop', 'relay-sigstop', 'poison-too-large']],
  [
    11,
    ['load-late-rollback', 'pg-backends-terminated', 'pg-immediate-stop', 'topic-recreated', 'kafka-all-refuse', 'topic-grows'],
  ],
  [20, ['poison-redriven', 'relay-sigstop', 'relay-sigkill', 'pg-late-answers', 'pg-backends-terminated', 'topic-grows']],
]

/** A torture shows neither how a relay refuses to start (16) nor what happens in the application (17 to 19). */
const shown = takenOut.filter(({ rule }) => rule < 16 || rule > 19)

/** A relay without one part of the twenty rules: `rule-7.2` is the second part of rule 7. */
export const ruleMutants: Readonly<Record<string, Mutant>> = Object.fromEntries(
  shown.map(({ rule, without, edits }, at) => {
    const part = shown.slice(0, at + 1).filter((other) => other.rule === rule).length
    const [, faults] = faultsOfRules.find(([last]) => rule <= last)!
    return [`rule-${rule}.${part}`, { what: `lacks a part of rule ${rule}: ${without}`, edits, faults }]
  }),
)

/** The mutant of that name. */
export function mutantNamed(name: string): Mutant {
  const mutant = mutants[name] ?? ruleMutants[name]
  if (!mutant) throw new Error(`There is no mutant ${name}. Known: ${[mutants, ruleMutants].flatMap(Object.keys).join(', ')}.`)
  return mutant
}
