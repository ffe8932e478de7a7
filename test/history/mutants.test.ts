import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { edited } from '../support/edits.ts'
import { namedFaults } from './faults.ts'
import { mutants, ruleMutants } from './mutants.ts'

const source = (file: string) => readFileSync(fileURLToPath(new URL(`../../src/${file}`, import.meta.url)), 'utf8')
const known = namedFaults.map(({ name }) => name)

// They are run by hand, and take long: one that the code has moved away from must show at once.
test.each(Object.entries({ ...mutants, ...ruleMutants }))(
  'mutant %s: the code still has what it breaks, and there are the faults that show it',
  (name, { edits = [], faults }) => {
    const texts = new Map<string, string>()
    for (const edit of edits) texts.set(edit.file, edited(texts.get(edit.file) ?? source(edit.file), edit, `mutant ${name}`))
    expect(known).toEqual(expect.arrayContaining([...faults]))
  },
)
