import * as v from 'valibot'
import { z } from 'zod'
import { defineEvents, event } from '../../src/index.ts'

const Money = z.object({ amount: z.number(), currency: z.string() })

/** An event of three versions: a number became an object, then a field with a default came. */
export const OrderPlaced = event({
  topic: 'orders',
  key: (order) => order.orderId,
  schema: z.object({ orderId: z.string(), total: z.number() }),
})
  .evolve({
    schema: z.object({ orderId: z.string(), total: Money }),
    key: (order) => order.orderId,
    up: (old) => ({ ...old, total: { amount: old.total, currency: 'EUR' } }),
  })
  .evolve({
    schema: z.object({ orderId: z.string(), total: Money, channel: z.enum(['web', 'shop']).default('web') }),
    up: (old) => old,
  })

/** Of another library, and without a key. */
export const StockCounted = event({
  topic: 'stock',
  schema: v.object({ sku: v.string(), left: v.pipe(v.number(), v.minValue(0)) }),
})

/** Validated asynchronously: as slow as it says, and refused where it says so. */
export const SlowlyChecked = event({
  topic: 'slow',
  key: (one) => one.key,
  schema: z.object({ key: z.string(), waitMs: z.number(), ok: z.boolean() }).refine(async ({ waitMs, ok }) => {
    await new Promise((resolve) => setTimeout(resolve, waitMs))
    return ok
  }),
})

export const events = defineEvents({ OrderPlaced, StockCounted, SlowlyChecked })
