/**
 * Waits for `work` no longer than `limitMs`, or until `signal`, whichever is first; rejects with what `late` makes of the limit, or with
 * the reason of the signal. The work itself goes on, and what it fails with later is nobody's: it must not end the process.
 */
export async function within<T>(
  work: PromiseLike<T>,
  limitMs: number,
  late: (limitMs: number) => Error,
  signal?: AbortSignal,
): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  let abort: (() => void) | undefined
  const end = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(late(limitMs)), limitMs)
    abort = () => reject(signal?.reason)
    signal?.addEventListener('abort', abort)
    if (signal?.aborted) abort()
  })
  try {
    return await Promise.race([work, end])
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener('abort', abort!)
  }
}
