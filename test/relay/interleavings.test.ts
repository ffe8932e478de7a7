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

test('in the exactly-once mode nothing comes twice, whatever happens in whichever order', async () => {
  const seed = Number(process.env.INTERLEAVINGS_SEED ?? 1 + (Date.now() % 1_000_000))
  const { runs, failure } = await interleave({ seed, runs: 1_000_000, forMs, exactlyOnce: true })
  console.log(`${runs} stories of seed ${seed}`)
  expect(failure).toBeUndefined()
  expect(runs).toBeGreaterThan(10)
}, 120_000)
