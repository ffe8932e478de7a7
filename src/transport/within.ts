import { TransportError } from './transport.ts'

/** Waits for `work` no longer than `limitMs` or until `signal`, whichever is first; the work itself goes on. */
export async function within<T>(work: Promise<T>, limitMs: number, signal: AbortSignal): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  let abort: (() => void) | undefined
  const end = new Promise<never>((_, reject) => {
    const late = () => reject(new TransportError('TIMEOUT', 'producer', `No answer within ${limitMs} ms.`))
    timer = setTimeout(late, limitMs)
    abort = () => reject(signal.reason)
    signal.addEventListener('abort', abort)
    if (signal.aborted) abort()
  })
  try {
    return await Promise.race([work, end])
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', abort!)
  }
}
