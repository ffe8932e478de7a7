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

/** The mutant of that name. */
export function mutantNamed(name: string): Mutant {
  const mutant = mutants[name]
  if (!mutant) throw new Error(`There is no mutant ${name}. Known: ${Object.keys(mutants).join(', ')}.`)
  return mutant
}
