import { large, mutants, sound, told, visit, walks, wander } from './cases.ts'

/** `npm run models`: the models in sizes that take minutes, with the steps to what they find. */
const steps = 3_000_000
const seed = 1 + (Date.now() % 1_000_000)
let found = 0
for (const [name, setting] of Object.entries({ ...sound, ...large })) report(name, visit(setting))
for (const [name, setting] of Object.entries(walks)) report(`${name} (seed ${seed})`, wander(setting, steps, seed))
for (const [name, { rule, setting, breaks }] of Object.entries(mutants))
  console.log(`rule ${rule}, ${told(name, visit({ ...setting, mutant: name }, breaks))}`)
process.exit(found === 0 ? 0 : 1)

function report(name: string, explored: ReturnType<typeof visit>): void {
  console.log(told(name, explored))
  for (const step of explored.violation?.steps ?? []) console.log(`  ${step}`)
  if (explored.violation) found++
}
