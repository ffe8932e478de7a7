// Keeps rule 3 of docs/protocol.md.

import type { Fuse } from './fuse.ts'
import type { Outcome } from './transport.ts'

/** A broker that has throttled us within so many milliseconds gets one request at a time: it would not read the others. */
const cautiousMs = 60_000

/** A broker is silent towards us for so many milliseconds at most, whatever it says: its window of a quota is 11 s by default. */
const mostThrottleMs = 60_000

/** A request that waited for another one is tried again after so many milliseconds. */
const busyMs = 500

/** Thrown in place of a send while the broker has told us to be silent. */
export class Throttled extends Error {
  override readonly name = 'Throttled'
  /** Milliseconds until the broker reads again. */
  readonly waitMs: number

  constructor(waitMs: number) {
    super(`The broker asks us to send nothing for ${Math.ceil(waitMs)} ms: a quota.`)
    this.waitMs = waitMs
  }

  get outcome(): Outcome {
    return { kind: 'not-written', scope: 'throttled', code: 'THROTTLED', error: this.message, waitMs: this.waitMs }
  }
}

/**
 * What one broker has said about a quota. It answers a request that is over the quota at once, tells how long to be silent, and reads
 * nothing more of the connection until then (KIP-219). Sends ask here before they begin, so that none waits unread while its deadline runs.
 */
export class Quota {
  #until = Number.NEGATIVE_INFINITY
  readonly #underWay = new Set<readonly Fuse[]>()
  #waiting: (() => void)[] = []

  /** Milliseconds until the broker reads again; 0: it does. */
  get leftMs(): number {
    return Math.max(0, this.#until - performance.now())
  }

  /**
   * Resolves when a request may be sent. Rejects with {@link Throttled}, also if another request keeps this one waiting for half of the time
   * that it has to be sent: the broker does not read, and nobody is in trouble.
   */
  async enter(request: readonly Fuse[]): Promise<void> {
    const until = performance.now() + Math.min(mostThrottleMs, ...request.map(({ leftMs }) => leftMs)) / 2
    for (;;) {
      if (this.leftMs > 0) throw new Throttled(this.leftMs)
      const cautious = performance.now() < this.#until + cautiousMs
      if (!cautious || this.#underWay.size === 0) break
      if (performance.now() >= until) throw new Throttled(busyMs)
      await this.#left(until - performance.now())
    }
    this.#underWay.add(request)
  }

  /** Resolves when a request has left, or after so many milliseconds. */
  async #left(ms: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined
    await new Promise<void>((resolve) => {
      this.#waiting.push(resolve)
      timer = setTimeout(resolve, ms)
    })
    clearTimeout(timer)
  }

  /** The request was answered with that throttle time, or failed. Requests that the broker does not read meanwhile get as much longer. */
  leave(request: readonly Fuse[], asked: number): void {
    const throttleMs = Math.min(asked, mostThrottleMs)
    this.#underWay.delete(request)
    if (throttleMs > 0) {
      this.#until = Math.max(this.#until, performance.now() + throttleMs)
      for (const fuses of this.#underWay) for (const fuse of fuses) fuse.extend(throttleMs)
    }
    for (const resolve of this.#waiting.splice(0)) resolve()
  }
}

/** The quotas of all brokers, by node id: they outlive connections, as the brokers' measuring does. */
export class Quotas {
  readonly #byNode = new Map<number, Quota>()

  of(node: number): Quota {
    let quota = this.#byNode.get(node)
    if (!quota) {
      quota = new Quota()
      this.#byNode.set(node, quota)
    }
    return quota
  }
}
