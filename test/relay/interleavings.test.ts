import { expect, test } from 'vitest'
import { interleave } from './interleavings/interleave.ts'

const forMs = Number(process.env.INTERLEAVINGS_MS ?? 15_000)

test('whatever happens in whichever order, nothing is lost, nothing overtakes its key, and everything arrives in the end', async () => {
  const seed = Number(process.env.INTERLEAVINGS_SEED ?? 1 + (Date.now() % 1_000_000))
  const { runs, failure } = await interleave({ seed, runs: 1_000_000, forMs })
  console.log(`${runs} stories of seed ${seed}`)
  expect(failure).toBeUndefined()
  expect(runs).toBeGreaterThan(10)
}, 120_000)

test('a relay that takes a bucket which it has, as its own lease had run out by then, sends its rows under the new claim', async () => {
  // A story that was drawn: rows in a lane kept the old claim, and were sent never again.
  expect(await interleave({ seed: 456491, runs: 1, path: '473' })).toEqual({ runs: 1, failure: undefined })
}, 120_000)
