import type { Metric, Registry } from 'prom-client'

/** Topics, or reasons, that have a label of their own; each is a time series for every metric that has the label. */
export const ownLabels = 100

/** Part of them that names may take that no message has been acknowledged for: missing topics must not hide those that are served. */
const guestShare = 1 / 2

/** Milliseconds without use after which a label may go to another name. */
const idleMs = 600_000

/**
 * Gives a hundred names a label of their own, and others `other`: a monitoring system dies of unbounded labels. A name that was not used for ten
 * minutes, or that never had an acknowledgement, gives its label to one that is served; its series go with it.
 */
export class BoundedLabels {
  readonly #registry: Registry
  readonly #label: string
  readonly #now: () => number
  /** When each was last used, the longest ago first. */
  readonly #served = new Map<string, number>()
  readonly #guests = new Map<string, number>()

  /** `label`: name of the label that the names are given. `now`: milliseconds on a monotonic clock. */
  constructor(registry: Registry, label: string, now: () => number = () => performance.now()) {
    this.#registry = registry
    this.#label = label
    this.#now = now
  }

  /** Label of a name that has been served. */
  of(name: string): string {
    if (this.#guests.delete(name) || this.#served.delete(name) || this.#makeRoom()) {
      this.#served.set(name, this.#now())
      return name
    }
    return 'other'
  }

  /** Label of a name of which only trouble, or a message that waits, is known. */
  ofUnproven(name: string): string {
    if (this.#served.has(name)) return this.of(name)
    const room = this.#guests.size < ownLabels * guestShare && this.#size < ownLabels
    if (!this.#guests.delete(name) && !room) return 'other'
    this.#guests.set(name, this.#now())
    return name
  }

  /** Whether the name has a label of its own. */
  has(name: string): boolean {
    return this.#served.has(name) || this.#guests.has(name)
  }

  get #size(): number {
    return this.#served.size + this.#guests.size
  }

  #makeRoom(): boolean {
    if (this.#size < ownLabels) return true
    const [guest] = this.#guests.keys()
    const [oldest] = this.#served
    const idle = oldest && this.#now() - oldest[1] > idleMs ? oldest[0] : undefined
    const gone = guest ?? idle
    if (gone === undefined) return false
    this.#guests.delete(gone)
    this.#served.delete(gone)
    for (const metric of this.#registry.getMetricsAsArray()) void removeSeries(metric as unknown as Metric, this.#label, gone)
    return true
  }
}

/** Removes the series of one value of a label. */
async function removeSeries(metric: Metric, label: string, name: string): Promise<void> {
  const { values } = await metric.get()
  const gone = new Map<string, Record<string, string | number>>()
  for (const { labels } of values) {
    // `le` is none of a histogram's own labels.
    const { le: _, ...own } = labels as Record<string, string | number>
    if (own[label] === name) gone.set(JSON.stringify(own), own)
  }
  for (const labels of gone.values()) metric.remove(labels as never)
}
