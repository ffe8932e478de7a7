/** Time as relay and consumer see it; passed in, so that tests can turn it. */
export interface Clock {
  /** Milliseconds on a monotonic scale: a wall clock may be set, a lease must not be. */
  now(): number
  /** Milliseconds since 1970, by the wall clock: for the ages of messages, and for nothing that decides anything. */
  date(): number
  /** Resolves after `ms`, or at once when `signal` aborts. Never rejects. */
  wait(ms: number, signal?: AbortSignal): Promise<void>
}

/** The real clock. */
export const systemClock: Clock = {
  now: () => performance.now(),
  date: () => Date.now(),
  wait: (ms, signal) =>
    new Promise((resolve) => {
      if (signal?.aborted) return resolve()
      const done = () => {
        clearTimeout(timer)
        signal?.removeEventListener('abort', done)
        resolve()
      }
      const timer = setTimeout(done, ms)
      signal?.addEventListener('abort', done)
    }),
}
