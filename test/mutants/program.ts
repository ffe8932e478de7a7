import { parseArgs } from 'node:util'
import { mutants } from './list.ts'
import type { Mutant, Oracle } from './mutant.ts'
import { interleavingsOracle, testsOracle } from './tests.ts'
import { tortureOracle } from './torture.ts'

/**
 * `npm run mutants -- [--oracle tests|torture|interleavings] [NAME | RULE | relays | rules …]`: breaks the code on purpose, one mutant
 * after another, and asks the oracle, which must notice: the tests that guard what is broken (default), a short torture, or the random
 * interleavings of the relay. Names those that nobody noticed; ends with 1 if the oracle had to. `--sound`: where a torture catches a
 * mutant, a relay that lacks nothing must pass under the same faults and seed.
 */
const { values, positionals: words } = parseArgs({
  allowPositionals: true,
  options: { oracle: { type: 'string', default: 'tests' }, sound: { type: 'boolean', default: false } },
})
const oracles: Record<string, () => Promise<Oracle>> = {
  tests: testsOracle,
  interleavings: interleavingsOracle,
  torture: () => tortureOracle(values.sound),
}
const open = oracles[values.oracle]
if (!open) throw new Error(`There is no oracle ${values.oracle}. Known: ${Object.keys(oracles).join(', ')}.`)

const chosen = Object.entries(mutants).filter(
  ([name, mutant]) => words.length === 0 || words.some((word) => isMeant(word, name, mutant)),
)
const oracle = await open()
const asked = chosen.filter(([, mutant]) => oracle.canShow(mutant))
if (asked.length === 0)
  throw new Error(`The oracle ${values.oracle} shows none of: ${words.join(', ')}. Known: ${Object.keys(mutants).join(', ')}.`)
let survivors = 0
let missed = 0
try {
  for (const [name, mutant] of asked) {
    const { by, remark = '' } = await oracle.ask(name, mutant)
    if (by === undefined) survivors++
    if (by === undefined && oracle.mustShow(mutant)) missed++
    console.log(
      `${by === undefined ? 'SURVIVED' : 'caught  '}  ${name}, which ${mutant.what}: ${by ?? 'noticed by nothing'}${remark}`,
    )
  }
} finally {
  await oracle.close()
}
console.log(`${asked.length - survivors} of ${asked.length} mutants caught`)
process.exit(missed === 0 ? 0 : 1)

function isMeant(word: string, name: string, { rule }: Mutant): boolean {
  return [name, rule === undefined ? 'relays' : 'rules', String(rule)].includes(word)
}
