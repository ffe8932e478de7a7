import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import type { Clock } from '../../src/running/clock.ts'
import { retry } from '../../src/running/retry.ts'

/** A clock whose time passes at once, and that notes what was waited for. */
function fastClock(): Clock & { waits: number[] } {
  const waits: number[] = []
  return {
    waits,
    now: () => 0,
    date: () => 0,
    wait: async (ms) => {
      waits.push(ms)
    },
  }
}

const until = (signal = new AbortController().signal) => ({ clock: fastClock(), signal })

test('repeats until the server answers, and waits on the given clock as long as it is told to', async () => {
  const { clock, signal } = until()
  let calls = 0
  const work = async () => {
    if (++calls < 4) throw new Error(`no answer ${calls}`)
    return 'answer'
  }
  const failures: string[] = []
  const failed = (error: unknown, attempt: number) => {
    failures.push((error as Error).message)
    return attempt * 10
  }
  expect(await retry(work, failed, { clock, signal })).toBe('answer')
  expect(failures).toEqual(['no answer 1', 'no answer 2', 'no answer 3'])
  expect(clock.waits).toEqual([10, 20, 30])
})

test('what is thrown for a failure ends the attempts', async () => {
  const final = new Error('wrong password')
  const failed = (_: unknown, attempt: number) => {
    if (attempt === 2) throw final
    return 0
  }
  const work = async () => {
    throw new Error('no answer')
  }
  await expect(retry(work, failed, until())).rejects.toBe(final)
})

test('a programming error is given up, the first time and later', async () => {
  const wrong = new TypeError('x is not a function')
  await expect(
    retry(
      () => Promise.reject(wrong),
      () => 0,
      until(),
    ),
  ).rejects.toBe(wrong)
  let calls = 0
  const work = () => Promise.reject(++calls === 1 ? new Error('no answer') : wrong)
  await expect(retry(work, () => 0, until())).rejects.toBe(wrong)
  expect(calls).toBe(2)
})

test.each(['before the first attempt', 'during the first attempt', 'during a wait', 'during a later attempt'])(
  'resolves with undefined when the end comes %s',
  async (when) => {
    const end = new AbortController()
    if (when === 'before the first attempt') end.abort()
    let calls = 0
    const work = async () => {
      calls++
      if (when === (calls === 1 ? 'during the first attempt' : 'during a later attempt')) {
        end.abort()
        await sleep(0)
      }
      throw new Error('no answer')
    }
    const failed = () => {
      if (when === 'during a wait') end.abort()
      return 5
    }
    expect(await retry(work, failed, until(end.signal))).toBeUndefined()
    expect(calls).toBe(when === 'before the first attempt' ? 0 : when === 'during a later attempt' ? 2 : 1)
  },
)
