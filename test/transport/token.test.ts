import { expect, test } from 'vitest'
import { reused } from '../../src/transport/token.ts'

/** A source of numbered tokens of this life, at a clock of its own. */
function source(lifeMs: number | undefined) {
  const state = { now: 1_000_000, asked: 0 }
  const provide = reused(
    async () => {
      state.asked++
      return { value: `token-${state.asked}`, expiresAtMs: lifeMs === undefined ? undefined : state.now + lifeMs }
    },
    () => state.now,
  )
  return { state, provide }
}

test.each([
  // From a minute on four fifths of its life, before that until 15 s before its end.
  [3_600_000, 2_879_999, 2_880_000],
  [30_000, 14_999, 15_000],
])('a token of %i ms is used for %i ms, and not for %i', async (lifeMs, still, over) => {
  const { state, provide } = source(lifeMs)
  const from = state.now
  expect(await provide()).toEqual({ value: 'token-1' })
  state.now = from + still
  expect(await provide()).toEqual({ value: 'token-1' })
  state.now = from + over
  expect(await provide()).toEqual({ value: 'token-2' })
})

test.each([[undefined], [0], [-5], [14_000]])('a token of %o ms is used once, by all who asked meanwhile', async (lifeMs) => {
  const { state, provide } = source(lifeMs)
  expect(await Promise.all([provide(), provide()])).toEqual([{ value: 'token-1' }, { value: 'token-1' }])
  expect(await provide()).toEqual({ value: 'token-2' })
  expect(state.asked).toBe(2)
})

test('a source that failed is asked again', async () => {
  let works = false
  const provide = reused(async () => {
    if (!works) throw new Error('down')
    return { value: 'token' }
  })
  await expect(provide()).rejects.toThrow('down')
  works = true
  expect(await provide()).toEqual({ value: 'token' })
})
