/** An order as it stands in the table: the truth. */
export interface PlacedOrder {
  id: number
  customer: string
}

/** A record of the topic, in the order of its partition. */
export interface Announcement {
  key: string
  orderId: number
}

/** What the topic says, compared with the orders table. */
export interface Verdict {
  placed: number
  records: number
  /** Orders that were placed, and that the topic does not know: lost messages. */
  missing: number[]
  /** Orders that the topic announces, and that were never placed. */
  phantom: number[]
  /** Orders that are announced more than once. */
  doubled: number[]
  /** Records beyond the first of their order. */
  copies: number
  /** Records that stand behind a newer order of the same key; copies are left out. */
  outOfOrder: number
}

/** Compares orders and records. Ids of orders grow in the order of their creation. */
export function judge(orders: readonly PlacedOrder[], records: readonly Announcement[]): Verdict {
  const placed = new Set(orders.map((order) => order.id))
  const seen = new Set<number>()
  const doubled = new Set<number>()
  const newest = new Map<string, number>()
  let outOfOrder = 0
  for (const { key, orderId } of records) {
    if (seen.has(orderId)) {
      doubled.add(orderId)
      continue
    }
    seen.add(orderId)
    const before = newest.get(key) ?? 0
    if (orderId < before) outOfOrder++
    newest.set(key, Math.max(before, orderId))
  }
  return {
    placed: placed.size,
    records: records.length,
    missing: [...placed].filter((id) => !seen.has(id)),
    phantom: [...seen].filter((id) => !placed.has(id)),
    doubled: [...doubled],
    copies: records.length - seen.size,
    outOfOrder,
  }
}

/**
 * Whether the promise was kept: nothing lost, nothing made up, no key out of order.
 *
 * @param disturbed something was killed or stopped meanwhile: copies are then allowed, each has the id of the first.
 */
export function isKept(verdict: Verdict, disturbed: boolean): boolean {
  const { missing, phantom, copies, outOfOrder } = verdict
  return missing.length === 0 && phantom.length === 0 && outOfOrder === 0 && (disturbed || copies === 0)
}
