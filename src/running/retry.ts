import type { Clock } from './clock.ts'

let loaded: Promise<typeof import('p-retry')> | undefined

/** Where the time comes from, and what ends the attempts. */
export interface RetryUntil {
  clock: Clock
  signal: AbortSignal
}

/**
 * Repeats `work` until it succeeds, without a limit: for loops that wait for a server. Resolves with undefined once `signal` is aborted.
 *
 * `failed` is called after each failure (attempts count from 1) and returns the milliseconds to wait, or throws to give up. A `TypeError`
 * that is none of the network is given up in any case: no waiting heals a programming error.
 *
 * p-retry runs on the given clock: it waits for `onFailedAttempt`, and for nothing itself. It is an ES module only and is loaded when
 * something has failed, so that hosts that cannot load one (Jest with its defaults) need it for trouble alone.
 */
export async function retry<T>(
  work: () => Promise<T>,
  failed: (error: unknown, attempt: number) => number,
  { clock, signal }: RetryUntil,
): Promise<T | undefined> {
  if (signal.aborted) return undefined
  let first: { error: unknown } | undefined
  try {
    const result = await work()
    return signal.aborted ? undefined : result
  } catch (error) {
    first = { error }
  }
  // Broken off by the end: no trouble of the server's.
  if (signal.aborted) return undefined
  loaded ??= import('p-retry')
  const { default: pRetry } = await loaded
  const again = async () => {
    const before = first
    first = undefined
    if (before) throw before.error
    return work()
  }
  try {
    return await pRetry(again, {
      retries: Number.POSITIVE_INFINITY,
      minTimeout: 0,
      maxTimeout: 0,
      signal,
      onFailedAttempt: async ({ error, attemptNumber }) => {
        if (!signal.aborted) await clock.wait(failed(error, attemptNumber), signal)
      },
    })
  } catch (error) {
    if (signal.aborted) return undefined
    throw error
  }
}
