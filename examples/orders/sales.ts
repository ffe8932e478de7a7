import type { ShopEvent } from './log.ts'

/** What the analytics page shows; money in cents. */
export interface Figures {
  orders: number
  revenue: number
  /** The last fifteen minutes in which something was sold, oldest first. */
  minutes: { minute: string; revenue: number }[]
  /** Five at most, the best first. */
  bestSellers: { sku: string; sold: number; revenue: number }[]
  /** By where the orders came from. */
  channels: { channel: string; orders: number }[]
  /** By the version under which they were written. */
  versions: { version: number; orders: number }[]
}

/** The analytics: figures that are kept up with each event, of orders of every version. */
export class Sales {
  #orders = 0
  #revenue = 0
  readonly #minutes = new Map<string, number>()
  readonly #sellers = new Map<string, { sold: number; revenue: number }>()
  readonly #channels = new Map<string, number>()
  readonly #versions = new Map<number, number>()
  readonly #listeners = new Set<() => void>()

  add(event: ShopEvent): void {
    if (event.type !== 'OrderPlaced') return
    const { payload, version, createdAt } = event
    const { sku, quantity, total, channel } = payload
    this.#orders++
    this.#revenue += total
    raise(this.#minutes, createdAt!.toISOString().slice(0, 16), total)
    raise(this.#channels, channel, 1)
    raise(this.#versions, version, 1)
    const { sold, revenue } = this.#sellers.get(sku) ?? { sold: 0, revenue: 0 }
    this.#sellers.set(sku, { sold: sold + quantity, revenue: revenue + total })
    for (const listener of this.#listeners) listener()
  }

  get figures(): Figures {
    const best = [...this.#sellers].sort(([, a], [, b]) => b.revenue - a.revenue).slice(0, 5)
    return {
      orders: this.#orders,
      revenue: this.#revenue,
      minutes: sorted(this.#minutes)
        .slice(-15)
        .map(([minute, revenue]) => ({ minute, revenue })),
      bestSellers: best.map(([sku, seller]) => ({ sku, ...seller })),
      channels: sorted(this.#channels).map(([channel, orders]) => ({ channel, orders })),
      versions: sorted(this.#versions).map(([version, orders]) => ({ version, orders })),
    }
  }

  /** Calls back after each order; the returned function ends it. */
  listen(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }
}

function raise<K>(sums: Map<K, number>, key: K, by: number): void {
  sums.set(key, (sums.get(key) ?? 0) + by)
}

const sorted = <K extends string | number>(sums: Map<K, number>): [K, number][] => [...sums].sort(([a], [b]) => (a < b ? -1 : 1))
