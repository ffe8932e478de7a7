import type { Outcome } from '../../transport/transport.ts'

/**
 * How long a lane waits for an answer, and what its next request shares with other lanes (rules 3 and 8). Owned by its lane, which tells
 * it every outcome.
 */

/** An outcome that decides nothing about the batch: it is sent again. */
export type Failure = Exclude<Outcome, { kind: 'acked' }>

/** Codes of a request that was not answered in time, by the broker or by its replicas: every request on its connection waits as long. */
const timedOut = new Set(['TIMEOUT', 'REQUEST_TIMED_OUT'])

/** The longest wait for an answer, in milliseconds. */
const maxWaitMs = 30_000

/** How often the wait is doubled, at most. */
const maxDoublings = 3

/**
 * A lane that others need room from gives up what it has not sent when it has had no outcome for this many milliseconds, and for twice as
 * long as its last acknowledgement took.
 */
const slowMs = 1_000

export class Patience {
  readonly #baseMs: number
  /** The broker was too slow this many times, and has not been quick since. */
  #doublings = 0
  /** What the last acknowledgement took, in milliseconds. */
  #tookMs = 0

  /** @param requestTimeoutMs Milliseconds that the first wait lasts. */
  constructor(requestTimeoutMs: number) {
    this.#baseMs = requestTimeoutMs
  }

  /** Milliseconds to wait for the next answer. */
  get waitMs(): number {
    return Math.max(this.#baseMs, Math.min(maxWaitMs, this.#baseMs * 2 ** this.#doublings))
  }

  /** Milliseconds without an outcome after which the lane leaves its room to others. */
  get slowMs(): number {
    return Math.max(slowMs, 2 * this.#tookMs)
  }

  /**
   * Learns from an answer. A broker that was too slow is given more time, until it has answered a whole batch in the usual time.
   *
   * @param tentative The request was the single record that tries the broker after an unknown outcome.
   */
  learn(outcome: Outcome, tookMs: number, tentative: boolean): void {
    if (outcome.kind === 'unknown') this.#doublings = Math.min(maxDoublings, this.#doublings + 1)
    if (outcome.kind !== 'acked') return
    this.#tookMs = tookMs
    if (tookMs <= this.#baseMs && !tentative) this.#doublings = 0
  }

  /** How much of Kafka the next request must not share with other lanes: it might keep them waiting. */
  alone(failure: Failure | undefined, stuck: boolean): 'request' | 'connection' | undefined {
    if (this.#doublings > 0) return 'connection'
    if (!failure) return undefined
    if (timedOut.has(failure.code)) return 'connection'
    if (!stuck) return undefined
    return failure.kind === 'unknown' || failure.scope === 'producer' ? 'connection' : 'request'
  }
}
