import type { Histogram, Registry } from 'prom-client'

/** Upper bounds in milliseconds of the time from creation to acknowledgement: milliseconds on a good day, hours after an outage. */
const boundsMs = [5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 300_000, 1_800_000, 7_200_000]

/** What was counted of a topic; `within` has for each bound those between it and the one before. */
interface Series {
  within: number[]
  count: number
  sumMs: number
}

/**
 * The one histogram that counts every message. prom-client's own takes one value at a time and looks its labels up for each: 3 % of all that
 * a relay does (`npm run profile` of `npm run metrics-cost`). This one takes those of a batch at once, and is a metric of a registry like any other.
 */
export class DeliveryLatency {
  readonly name = 'outbox_delivery_latency_seconds'
  readonly help = 'Time from the creation of a message to its acknowledgement.'
  readonly type = 'histogram'
  readonly labelNames = ['topic']
  readonly aggregator = 'sum'
  readonly #topics = new Map<string, Series>()

  constructor(registry: Registry) {
    // The registry asks a metric for its name, `get` and `reset`; its type names only the classes of prom-client.
    registry.registerMetric(this as unknown as Histogram)
  }

  observe(topic: string, agesMs: readonly number[]): void {
    const series = this.#of(topic)
    let bound = 0
    for (const age of agesMs) {
      // The clocks of database and relay differ: a message from the future is a new one.
      const ms = age > 0 ? age : 0
      // Messages of a batch are of nearly one age: mostly the bound of the one before is theirs too.
      if (bound > 0 && ms <= boundsMs[bound - 1]!) bound = 0
      while (bound < boundsMs.length && ms > boundsMs[bound]!) bound++
      if (bound < boundsMs.length) series.within[bound]!++
      series.sumMs += ms
    }
    series.count += agesMs.length
  }

  /** What was counted so far, in seconds and with each bound including those below, as Prometheus wants it. */
  async get() {
    const { name, help, type, aggregator } = this
    return { name, help, type, aggregator, values: [...this.#topics].flatMap(([topic, series]) => this.#values(topic, series)) }
  }

  reset(): void {
    this.#topics.clear()
  }

  /** Forgets what was counted of a topic. */
  remove({ topic }: { topic: string }): void {
    this.#topics.delete(topic)
  }

  #of(topic: string): Series {
    const known = this.#topics.get(topic)
    if (known) return known
    const series = { within: boundsMs.map(() => 0), count: 0, sumMs: 0 }
    this.#topics.set(topic, series)
    return series
  }

  #values(topic: string, { within, count, sumMs }: Series) {
    let upTo = 0
    const buckets = boundsMs.map((bound, n) => {
      upTo += within[n]!
      return { metricName: `${this.name}_bucket`, labels: { le: bound / 1000, topic }, value: upTo }
    })
    return [
      ...buckets,
      { metricName: `${this.name}_bucket`, labels: { le: '+Inf', topic }, value: count },
      { metricName: `${this.name}_sum`, labels: { topic }, value: sumMs / 1000 },
      { metricName: `${this.name}_count`, labels: { topic }, value: count },
    ]
  }
}
