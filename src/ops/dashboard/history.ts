import type { RelayEventSource } from '../../relay/telemetry.ts'

/** Milliseconds of one point, and how many points are kept: a quarter of an hour. */
export const pointMs = 5_000
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

  /** `now`: milliseconds on a monotonic clock. */
  constructor(relay: RelayEventSource, now: () => number = () => performance.now()) {
    this.#now = now
    this.#first = this.#index
    relay.on('published', ({ records, agesMs }) => {
      const bin = this.#bin()
      bin.published += records
      count(bin.latencies, agesMs)
    })
    relay.on('sampled', ({ backlog }) => {
      this.#bin().sampled = { backlog: backlog.messages, lagMs: backlog.oldestMs ?? 0 }
    })
    relay.on('sample_failed', () => {
      this.#bin().sampled = null
    })
  }

  /** The points until now, the oldest first. The one that is under way is left out: its rate is not whole. */
  get points(): Point[] {
    const end = this.#index
    let sampled: Bin['sampled'] = null
    return Array.from({ length: points }, (_, n) => {
      const index = end - points + n
      const bin = this.#bins.get(index)
      if (bin?.sampled !== undefined) sampled = bin.sampled
      return {
        backlog: sampled?.backlog ?? null,
        lagMs: sampled?.lagMs ?? null,
        rate: index < this.#first ? null : ((bin?.published ?? 0) * 1000) / pointMs,
        p50: percentile(bin, 0.5),
        p95: percentile(bin, 0.95),
      }
    })
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
