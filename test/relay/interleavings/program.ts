import { parseArgs } from 'node:util'
import { interleave } from './interleave.ts'

/** `npm run interleavings -- --runs N --seed S [--story N] [--exactly-once]`: looks longer than the test does, or at one story again. */
const { values } = parseArgs({
  options: { runs: { type: 'string' }, seed: { type: 'string' }, story: { type: 'string' }, 'exactly-once': { type: 'boolean' } },
})
const seed = Number(values.seed ?? 1 + (Date.now() % 1_000_000))
const begin = performance.now()
const { runs, failure } = await interleave({
  seed,
  exactlyOnce: values['exactly-once'] ?? false,
  runs: Number(values.runs ?? (values.story === undefined ? 1_000 : 1)),
  ...(values.story === undefined ? {} : { path: values.story }),
})
console.log(
  `seed ${seed}: ${runs} stories in ${Math.round((performance.now() - begin) / 1_000)} s, ${failure ?? 'every promise kept'}`,
)
process.exit(failure === undefined ? 0 : 1)
