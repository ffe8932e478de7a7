// @ts-expect-error kafkajs has no types for its inside. A static import, so that a bundle has it.
import Queue from 'kafkajs/src/network/requestQueue/index.js'

/** The parts of kafkajs' RequestQueue that the patch touches. */
interface RequestQueue {
  pending: unknown[]
  throttledUntil: number
  throttleCheckTimeoutId: NodeJS.Timeout | null
  checkPendingRequests(): void
  scheduleCheckPendingRequests(): void
}

/** How often a queue that is full, but not throttled, is looked at: kafkajs' own CHECK_PENDING_REQUESTS_INTERVAL, in ms. */
const pendingCheckMs = 10

/** How the method of 2.2.4 sets its timer, also in a minified bundle. */
const known = /\bthis\.throttleCheckTimeoutId\s*=\s*setTimeout\(/

/**
 * Stops the timers of idle kafkajs connections, in the whole process.
 *
 * kafkajs 2.2.4 sets a timer after every check of its queue, also when nothing waits and nothing throttles: about 900 wake-ups a second
 * for each connection (tulios/kafkajs#1556, #1704), and, since the delay is negative, a TimeoutNegativeWarning on Node 24 (#1751). The
 * replacement sets a timer only while requests wait. Other versions are left alone.
 *
 * @returns whether the patch is in place
 */
export function quietKafkajsTimers(): boolean {
  const { prototype } = Queue as { prototype: RequestQueue }
  if (prototype.scheduleCheckPendingRequests === scheduleCheckPendingRequests) return true
  if (typeof prototype.checkPendingRequests !== 'function') return false
  if (!known.test(String(prototype.scheduleCheckPendingRequests))) return false
  prototype.scheduleCheckPendingRequests = scheduleCheckPendingRequests
  return true
}

function scheduleCheckPendingRequests(this: RequestQueue): void {
  if (this.throttleCheckTimeoutId !== null || this.pending.length === 0) return
  const throttledMs = this.throttledUntil - Date.now()
  const check = () => {
    this.throttleCheckTimeoutId = null
    this.checkPendingRequests()
  }
  this.throttleCheckTimeoutId = setTimeout(check, throttledMs > 0 ? throttledMs : pendingCheckMs)
}
