import { rm } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { randomFrom } from '../../src/proof/draw.ts'
import { generateClients } from '../support/generate.ts'
import { mutants, ruleMutants } from './mutants.ts'
import { type TortureOptions, tortureDefaults } from './options.ts'

/**
 * `npm run mutants [-- NAME …]`: runs each mutant under a short torture, with the faults that bring it to light. Every one must be caught
 * by the checker; one that is not shows a hole in it. `--rules`: relays that lack a part of the rules instead, each with one seed;
 * there it is told which parts random faults show, and those that they do not have only their tests. `--sound`: where one is caught, a
 * relay that lacks nothing must pass under the same faults and seed.
 */
const { values, positionals: asked } = parseArgs({
  allowPositionals: true,
  options: { rules: { type: 'boolean', default: false }, sound: { type: 'boolean', default: false } },
})
const known = values.rules ? ruleMutants : mutants
const names = Object.keys(known).filter((name) => asked.length === 0 || asked.includes(name))
if (names.length === 0) throw new Error(`Known: ${Object.keys(known).join(', ')}.`)
/** Seeds that a mutant may survive before it counts as a survivor. */
const tries = values.rules ? 1 : 2
await generateClients()
// The generated clients must be there before what imports them.
const { torture } = await import('./run.ts')
const random = randomFrom(1 + (Date.now() % 1_000_000))
let survivors = 0
for (const name of names) {
  const { what, faults } = known[name]!
  const survived: number[] = []
  let by = ''
  let seed = 0
  // What a fault meets is chance: a broken relay that one seed lets pass must not get past another.
  while (by === '' && survived.length < tries) {
    seed = 1 + Math.floor(random() * 1_000_000)
    by = await caughtBy(name, faults, seed)
    if (by === '') survived.push(seed)
  }
  const passed = survived.length > 0 ? `; not caught with seed ${survived.join(', ')}` : ''
  console.log(`${by === '' ? 'SURVIVED' : 'caught'}  ${name}, which ${what}: ${by || 'by no check'}${passed}`)
  const proved = by !== '' && (!values.sound || (await soundPasses(name, faults, seed)))
  if (!proved) survivors++
}
console.log(`${names.length - survivors} of ${names.length} mutants caught`)
process.exit(survivors === 0 || values.rules ? 0 : 1)

/** Whether a relay that lacks nothing passes under the faults and the seed by which a mutant was caught. */
async function soundPasses(name: string, faults: readonly string[], seed: number): Promise<boolean> {
  const by = await caughtBy(undefined, faults, seed)
  console.log(`  under the faults of ${name} with seed ${seed} a sound relay ${by === '' ? 'passes' : `is caught by ${by}`}`)
  return by === ''
}

/** The checks that a mutant violates under faults drawn from the seed, with the number of violations; empty: none. */
async function caughtBy(name: string | undefined, faults: readonly string[], seed: number): Promise<string> {
  const { judgement, folder } = await torture(shortTorture(seed, name, faults), () => {})
  if (folder) await rm(folder, { recursive: true })
  const caught = judgement.verdicts.filter(({ state }) => state === 'violated')
  return caught.map(({ check, violations }) => `${check} (${violations})`).join(', ')
}

function shortTorture(seed: number, mutant: string | undefined, faults: readonly string[]): TortureOptions {
  // Few keys, so that transactions wait for one another and begin in another order than they commit.
  const load = { brokers: 1, relays: 3, writers: 16, keys: 4, lateMs: [500, 4_000] } as const
  return { ...tortureDefaults, ...load, seed, mutant, faults, forMs: 20_000, everyMs: 2_500, emptyMs: 15_000 }
}
