import type { ShopEvent } from './log.ts'

// The history of an order (event sourcing): its state is not stored but folded from its events, so it can be told for any moment. The
// order's row in the database knows only the present. Kafka finds nothing by key: the events are kept in memory, from reading the topic.

/** State of an order at a moment. */
export interface OrderState {
  orderId: number
  status: 'placed' | 'shipped'
  quantity: number
  sku: string
  /** In cents. */
  total: number
  channel: string
  placedAt: Date
  parcel?: string
  shippedAt?: Date
}

/** One step of the story: the state after an event. Pure; undefined is an order that is not there yet. */
export function evolve(state: OrderState | undefined, event: ShopEvent): OrderState | undefined {
  switch (event.type) {
    case 'OrderPlaced': {
      const { orderId, quantity, sku, total, channel } = event.payload
      return { orderId, status: 'placed', quantity, sku, total, channel, placedAt: event.createdAt! }
    }
    case 'OrderShipped':
      return state && { ...state, status: 'shipped', parcel: event.payload.parcel, shippedAt: event.createdAt! }
  }
}

/** The histories of all orders. */
export class History {
  readonly #stories = new Map<number, ShopEvent[]>()

  add(event: ShopEvent): void {
    const { orderId } = event.payload
    const story = this.#stories.get(orderId)
    if (story) story.push(event)
    else this.#stories.set(orderId, [event])
  }

  /** What happened to an order, in its order. */
  story(orderId: number): { type: string; version: number; at: Date }[] {
    const events = this.#stories.get(orderId) ?? []
    return events.map(({ type, version, createdAt }) => ({ type, version, at: createdAt! }))
  }

  /** The order as it was at a moment; undefined before it was placed. */
  at(orderId: number, moment: Date): OrderState | undefined {
    const events = this.#stories.get(orderId) ?? []
    return events.filter(({ createdAt }) => createdAt! <= moment).reduce<OrderState | undefined>(evolve, undefined)
  }
}
