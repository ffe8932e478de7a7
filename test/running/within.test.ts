import { getEventListeners } from 'node:events'
import { setImmediate } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { within } from '../../src/running/within.ts'

const limitMs = 1_000
const late = (ms: number) => new Error(`not in ${ms} ms`)

/** Work that ends when the test says so. */
function begin() {
  let resolve!: (value: string) => void
  let reject!: (error: Error) => void
  const promise = new Promise<string>((...ends) => {
    ;[resolve, reject] = ends
  })
  return { promise, resolve, reject }
}

beforeEach(() => vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }))
afterEach(() => vi.useRealTimers())

describe('within a limit', () => {
  test('work that ends in time gives what it gives, and no timer stays', async () => {
    const { promise, resolve } = begin()
    const waited = within(promise, limitMs, late)
    expect(vi.getTimerCount()).toBe(1)
    resolve('done')
    expect(await waited).toBe('done')
    expect(vi.getTimerCount()).toBe(0)
  })

  test('work that fails in time fails with its own error, and no timer stays', async () => {
    const waited = within(Promise.reject(new Error('its own')), limitMs, late)
    await expect(waited).rejects.toThrow('its own')
    expect(vi.getTimerCount()).toBe(0)
  })

  test('work that takes longer is given up at the limit, not before, with the error that the caller names', async () => {
    const ended = vi.fn()
    const waited = within(begin().promise, limitMs, late).catch((error) => ended(error.message))
    vi.advanceTimersByTime(limitMs - 1)
    await setImmediate()
    expect(ended).not.toHaveBeenCalled()
    vi.advanceTimersByTime(1)
    await waited
    expect(ended).toHaveBeenCalledWith('not in 1000 ms')
  })

  test('work that fails when it has been given up ends no process', async () => {
    const unhandled: unknown[] = []
    const listen = (error: unknown) => unhandled.push(error)
    process.on('unhandledRejection', listen)
    try {
      const { promise, reject } = begin()
      const waited = within(promise, limitMs, late)
      vi.advanceTimersByTime(limitMs)
      await expect(waited).rejects.toThrow('not in 1000 ms')
      reject(new Error('too late for anybody'))
      await setImmediate()
    } finally {
      process.off('unhandledRejection', listen)
    }
    expect(unhandled).toEqual([])
  })

  test('work that begins when it is awaited, as a query of Prisma does, begins once', async () => {
    let begun = 0
    const query: PromiseLike<string> = {
      // biome-ignore lint/suspicious/noThenProperty: it is what makes a query of Prisma one.
      then(...given) {
        begun++
        return Promise.resolve('rows').then(...given)
      },
    }
    expect(await within(query, limitMs, late)).toBe('rows')
    expect(begun).toBe(1)
  })
})

describe('until a signal', () => {
  test('work is given up with the reason of the signal, and no timer stays', async () => {
    const end = new AbortController()
    const waited = within(begin().promise, limitMs, late, end.signal)
    end.abort(new Error('stopped'))
    await expect(waited).rejects.toThrow('stopped')
    expect(vi.getTimerCount()).toBe(0)
  })

  test('that was given before, work is not waited for at all', async () => {
    await expect(within(begin().promise, limitMs, late, AbortSignal.abort(new Error('stopped')))).rejects.toThrow('stopped')
    expect(vi.getTimerCount()).toBe(0)
  })

  test('that never comes, nothing stays with the signal: a transport asks with the same one for as long as its relay runs', async () => {
    const { signal } = new AbortController()
    await within(Promise.resolve(), limitMs, late, signal)
    await within(Promise.reject(new Error('its own')), limitMs, late, signal).catch(() => {})
    expect(getEventListeners(signal, 'abort')).toEqual([])
  })
})
