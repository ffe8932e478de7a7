import type { Sales } from '../examples/orders/sales.ts'
import type { Shop } from '../examples/orders/shop.ts'

/** What the consumers have done, by the ids of the orders that they did it for. */
export interface Effects {
  /** Confirmations of the mail service. */
  letters: number[]
  /** Parcels of the shipping service. */
  parcels: number[]
  /** Rows of the read model that show the order as shipped. */
  myOrders: number[]
  /** What the analytics have added up, in cents. */
  revenue: number
}

/** Where the consumers have their effects. */
export interface Places {
  shop: Shop
  shipping: Shop
  sales: Sales
}

/** Looks into the tables of the consumers, and at the figures of the analytics. */
export async function readEffects({ shop, shipping, sales }: Places): Promise<Effects> {
  const select = { orderId: true } as const
  const [letters, parcels, myOrders] = await Promise.all([
    shop.letter.findMany({ select }),
    shipping.parcel.findMany({ select }),
    shop.myOrder.findMany({ select, where: { parcel: { not: null } } }),
  ])
  const ids = (rows: { orderId: number }[]) => rows.map(({ orderId }) => orderId)
  return { letters: ids(letters), parcels: ids(parcels), myOrders: ids(myOrders), revenue: sales.figures.revenue }
}

/** An effect that each order should have once, compared with the orders table. */
export interface EffectVerdict {
  what: string
  count: number
  /** Orders without it. */
  missing: number[]
  /** Orders that have it twice or more, and orders that were never placed. */
  surplus: number[]
}

/** What the consumers have made of the orders. */
export interface EffectsVerdict {
  effects: EffectVerdict[]
  /** In cents: what the orders cost, and what the analytics say. */
  revenue: { ordered: number; told: number }
}

/** Compares what the consumers have done with the orders table. */
export function judgeEffects(orders: readonly { id: number; total: number }[], done: Effects): EffectsVerdict {
  const placed = new Set(orders.map(({ id }) => id))
  const compare = (what: string, ids: readonly number[]): EffectVerdict => {
    const seen = new Set<number>()
    const surplus = ids.filter((id) => seen.size === seen.add(id).size || !placed.has(id))
    return { what, count: ids.length, missing: [...placed].filter((id) => !seen.has(id)), surplus }
  }
  return {
    effects: [
      compare('confirmations', done.letters),
      compare('parcels', done.parcels),
      compare('shipped in "my orders"', done.myOrders),
    ],
    revenue: { ordered: orders.reduce((sum, { total }) => sum + total, 0), told: done.revenue },
  }
}

/** Whether each order has had every effect once, and the analytics know what it cost. Copies are no excuse: consumers recognize them. */
export function areRight({ effects, revenue }: EffectsVerdict): boolean {
  return revenue.ordered === revenue.told && effects.every(({ missing, surplus }) => missing.length + surplus.length === 0)
}
