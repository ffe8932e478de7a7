import type { RelayEventSource } from '../../relay/telemetry.ts'
import { pointMs, Rate } from '../rate.ts'

export { pointMs }

/** How many points are kept: a quarter of an hour. */
export const points = 180

/** Each step of a latency is a tenth larger than the one before: so precise is a percentile, and 300 of them reach from 1 ms to 80 years. */
const step = Math.log(1.1)
const steps = 300

/** Figures of five seconds. Null: not known. */
export interface Point {
  backlog: number | null
  lagMs: number | null
  /** Messages that this relay published, a second. */
  rate: number | null
  /** Messages that left the outbox, a second, by all relays together; a dead-lettered one counts. */
  all: number | null
  /** Time from creation to acknowledgement that half of them, and all but one of twenty, stayed below; null where there were none. */
  p50: number | null
  p95: number | null
}

interface Bin {
  /** Null: the sampler failed. Undefined: no look fell into it, the one before still counts. */
  sampled?: { backlog: number; lagMs: number } | null
  published: number
  /** How many messages there were of each step. */
  latencies: Uint32Array
}

/** The last quarter of an hour of a relay, by its events. Bounded: what is older is forgotten. */
export class History {
  readonly #now: () => number
  readonly #bins = new Map<number, Bin>()
  readonly #first: number
  readonly #all = new Rate(points)

  /** `now`: milliseconds on a monotonic clock. */
  constructor(relay: RelayEventSource, now: () => number = () => performance.now()) {
    this.#now = now
    this.#first = this.#index
    relay.on('published', ({ records, agesMs }) => {
      const bin = this.#bin()
      bin.published += records
      count(bin.latencies, agesMs)
    })
    relay.on('sampled', ({ backlog, deletedRows }) => {
      this.#all.read(this.#now(), deletedRows)
      this.#bin().sampled = { backlog: backlog.messages, lagMs: backlog.oldestMs ?? 0 }
    })
    relay.on('sample_failed', () => {
      this.#bin().sampled = null
    })
  }

  /** The points until now, the oldest first. The one that is under way is left out: its rate is not whole. */
  get points(): Point[] {
    const end = this.#index
    const all = this.#all.pointsUntil(end * pointMs)
    // The last sample may be older than the last point by one interval.
    if (all.at(-1) === null && all.at(-2) !== null) all[points - 1] = this.#all.perSecond
    let sampled: Bin['sampled'] = null
    return Array.from({ length: points }, (_, n) => {
      const index = end - points + n
      const bin = this.#bins.get(index)
      if (bin?.sampled !== undefined) sampled = bin.sampled
      const rate = index < this.#first ? null : ((bin?.published ?? 0) * 1000) / pointMs
      return {
        backlog: sampled?.backlog ?? null,
        lagMs: sampled?.lagMs ?? null,
        rate,
        // The statistics of the database lag behind by up to a second: the part is never more than the whole.
        all: all[n] == null ? null : Math.max(all[n], rate ?? 0),
        p50: percentile(bin, 0.5),
        p95: percentile(bin, 0.95),
      }
    })
  }

  /** How many points there are since the relay began. */
  get known(): number {
    return Math.min(points, this.#index - this.#first)
  }

  get #index(): number {
    return Math.floor(this.#now() / pointMs)
  }

  #bin(): Bin {
    const index = this.#index
    let bin = this.#bins.get(index)
    if (!bin) {
      bin = { published: 0, latencies: new Uint32Array(steps) }
      this.#bins.set(index, bin)
      for (const old of this.#bins.keys()) if (old < index - points) this.#bins.delete(old)
    }
    return bin
  }
}

/** Counts the latencies of a batch. Its messages are of nearly one age: a logarithm for each costs more than all else that is told of it. */
function count(latencies: Uint32Array, agesMs: readonly number[]): void {
  let [at, from, to] = [0, Number.NEGATIVE_INFINITY, Math.exp(step / 2)]
  for (const age of agesMs) {
    if (age < from || age >= to) {
      at = Math.min(steps - 1, Math.round(Math.log(Math.max(1, age)) / step))
      from = at === 0 ? Number.NEGATIVE_INFINITY : Math.exp((at - 0.5) * step)
      to = Math.exp((at + 0.5) * step)
    }
    latencies[at]!++
  }
}

function percentile(bin: Bin | undefined, share: number): number | null {
  const all = bin?.latencies.reduce((sum, n) => sum + n, 0) ?? 0
  if (all === 0) return null
  let passed = 0
  const at = bin!.latencies.findIndex((n) => {
    passed += n
    return n > 0 && passed >= share * all
  })
  return Math.exp(at * step)
}
