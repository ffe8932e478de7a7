import type { OrderRequest } from '../examples/orders/shop.ts'

/** Orders asked for and not answered, at most: more would only pile up in a shop that is too slow. */
const mostWaiting = 20

/** Every tenth order is for something of which there is too little. */
const scarce = { sku: 'the last teapots', every: 10 }

/** What the shop has in store, prices in cents; the teapots are gone soon. The kettles are left to anyone who opens the shop page. */
export const inventory = [
  { sku: 'tea', stock: 1_000_000_000, price: 490 },
  { sku: 'cups', stock: 1_000_000_000, price: 1_250 },
  { sku: 'kettle', stock: 1_000_000_000, price: 3_900 },
  { sku: scarce.sku, stock: 5, price: 8_900 },
]

/** The shop's customers: they place orders over HTTP, at a steady rate. */
export class Customers {
  placed = 0
  refused = 0
  /** Orders that the shop neither placed nor refused. */
  failed = 0
  readonly #urls: readonly string[]
  readonly #rate: number
  readonly #waiting = new Set<Promise<void>>()
  #timer: NodeJS.Timeout | undefined

  /**
   * @param apiUrls order services, which are asked in turn
   * @param rate orders a second
   */
  constructor(apiUrls: readonly string[], rate: number) {
    this.#urls = apiUrls
    this.#rate = rate
  }

  start(): void {
    const began = performance.now()
    let asked = 0
    this.#timer = setInterval(() => {
      const due = Math.floor(((performance.now() - began) / 1_000) * this.#rate)
      // What could not be asked in time is not made up for: the rate is steady, not the sum.
      for (; asked < due; asked++) if (this.#waiting.size < mostWaiting) this.#ask(asked)
    }, 10)
  }

  /** Places no more orders; resolves when all are answered. */
  async stop(): Promise<void> {
    clearInterval(this.#timer)
    await Promise.all(this.#waiting)
  }

  #ask(n: number): void {
    const sku = n % scarce.every === 0 ? scarce.sku : n % 2 === 0 ? 'tea' : 'cups'
    const channel = n % 4 === 1 ? 'phone' : 'web'
    const request: OrderRequest = { customer: `customer${n % 40}@example.com`, sku, quantity: 1 + (n % 3), channel }
    const asking = this.#order(this.#urls[n % this.#urls.length]!, request)
    this.#waiting.add(asking)
    void asking.finally(() => this.#waiting.delete(asking))
  }

  async #order(url: string, request: OrderRequest): Promise<void> {
    try {
      const response = await fetch(`${url}/orders`, { method: 'POST', body: JSON.stringify(request) })
      await response.arrayBuffer()
      if (response.status === 201) this.placed++
      else if (response.status === 409) this.refused++
      else this.failed++
    } catch {
      this.failed++
    }
  }
}
