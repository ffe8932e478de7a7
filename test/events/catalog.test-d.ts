import * as v from 'valibot'
import { describe, expectTypeOf, test } from 'vitest'
import { z } from 'zod'
import { type Codec, defineEvents, event, type PayloadOf, type ReadPayloadOf } from '../../src/index.ts'
import { checkWire } from '../../src/testing/index.ts'
import { events, OrderPlaced, type StockCounted } from './catalog.ts'

const iso = z.codec(z.iso.datetime(), z.date(), {
  decode: (text) => new Date(text),
  encode: (date) => date.toISOString(),
})
const codec: Codec = { contentType: 'x', encode: () => new Uint8Array(), decode: () => undefined }

describe('an event', () => {
  test('its version is the place in the chain', () => {
    expectTypeOf(OrderPlaced.version).toEqualTypeOf<3>()
    expectTypeOf(event({ topic: 't', schema: z.string() }).version).toEqualTypeOf<1>()
  })

  test('what is enqueued is what the newest schema takes, what is read is what it gives', () => {
    type Total = { amount: number; currency: string }
    expectTypeOf<PayloadOf<typeof OrderPlaced>>().toEqualTypeOf<{
      orderId: string
      total: Total
      channel?: 'web' | 'shop' | undefined
    }>()
    expectTypeOf<ReadPayloadOf<typeof OrderPlaced>>().toEqualTypeOf<{ orderId: string; total: Total; channel: 'web' | 'shop' }>()
    expectTypeOf<PayloadOf<typeof StockCounted>>().toEqualTypeOf<{ sku: string; left: number }>()
  })

  test('its key reads the payload, of any library', () => {
    event({ topic: 't', key: (one) => one.id, schema: z.object({ id: z.string() }) })
    event({ topic: 't', key: (one) => one.id, schema: v.object({ id: v.number() }) })
    // @ts-expect-error no such field
    event({ topic: 't', key: (one) => one.ids, schema: z.object({ id: z.string() }) })
    // @ts-expect-error a Date is no key
    event({ topic: 't', key: (one) => one.at, schema: z.object({ at: iso }) })
  })
})

describe('a new version', () => {
  const One = event({ topic: 't', key: (one) => one.id, schema: z.object({ id: z.string(), n: z.number() }) })

  test('`up` reads what the version before gives, and returns what the new one takes', () => {
    One.evolve({ schema: z.object({ id: z.string(), n: z.number(), more: z.boolean() }), up: (old) => ({ ...old, more: false }) })
    // @ts-expect-error the old version has no such field
    One.evolve({ schema: z.object({ id: z.string(), n: z.number() }), up: (old) => ({ ...old, n: old.m }) })
    // @ts-expect-error a field is missing
    One.evolve({ schema: z.object({ id: z.string(), n: z.number(), more: z.boolean() }), up: (old) => old })
    // @ts-expect-error no function
    One.evolve({ schema: z.object({ id: z.string(), n: z.number() }) })
  })

  test('the key is taken over where the new payload fits, and is asked for where it does not', () => {
    One.evolve({ schema: z.object({ id: z.string(), n: z.int() }), up: (old) => old })
    const renamed = z.object({ orderId: z.string(), n: z.number() })
    One.evolve({ schema: renamed, key: (one) => one.orderId, up: ({ id, n }) => ({ orderId: id, n }) })
    // @ts-expect-error the old function would read a field that is gone
    One.evolve({ schema: renamed, up: ({ id, n }: { id: string; n: number }) => ({ orderId: id, n }) })
  })
})

describe('a schema must accept the JSON of its own output', () => {
  test('those that do are taken', () => {
    defineEvents({
      Text: event({ topic: 't', schema: z.iso.datetime() }),
      Codec: event({ topic: 't', schema: z.object({ at: iso }) }),
      Coerced: event({ topic: 't', schema: z.object({ at: z.coerce.date() }) }),
      Default: event({ topic: 't', schema: z.object({ a: z.string().default('x'), b: z.string().optional() }) }),
      Record: event({ topic: 't', schema: z.record(z.string(), z.array(z.tuple([z.literal('a'), z.number().nullable()]))) }),
      Union: event({
        topic: 't',
        schema: z.discriminatedUnion('k', [z.object({ k: z.literal(1) }), z.object({ k: z.literal(2) })]),
      }),
      Brand: event({ topic: 't', schema: z.object({ id: z.string().brand<'Id'>() }) }),
      Open: event({ topic: 't', schema: z.looseObject({ a: z.unknown() }) }),
      Valibot: event({ topic: 't', schema: v.object({ a: v.optional(v.string(), 'x') }) }),
    })
  })

  test('those that do not are refused', () => {
    // @ts-expect-error a Date comes back as a string
    defineEvents({ A: event({ topic: 't', schema: z.object({ at: z.date() }) }) })
    // @ts-expect-error JSON has no BigInt
    defineEvents({ A: event({ topic: 't', schema: z.bigint() }) })
    // @ts-expect-error a number where a string is taken
    defineEvents({ A: event({ topic: 't', schema: z.string().transform((text) => text.length) }) })
    // @ts-expect-error JSON has no Map
    defineEvents({ A: event({ topic: 't', schema: z.object({ m: z.map(z.string(), z.string()) }) }) })
    // @ts-expect-error also in valibot
    defineEvents({ A: event({ topic: 't', schema: v.object({ at: v.date() }) }) })
    const Later = event({ topic: 't', schema: z.object({ at: z.date() }) }).evolve({
      schema: z.object({ at: z.string() }),
      up: ({ at }) => ({ at: at.toISOString() }),
    })
    // @ts-expect-error an older version is read as well
    defineEvents({ Later })
  })

  test('with a codec it is the codec that must bring everything back', () => {
    defineEvents({ A: event({ topic: 't', schema: z.object({ at: z.date(), n: z.bigint() }) }) }, { codec })
  })
})

test('checkWire takes the payloads of the catalog', () => {
  void checkWire(events, { StockCounted: [{ sku: 'a', left: 1 }] })
  // @ts-expect-error the payload of another event
  void checkWire(events, { OrderPlaced: [{ sku: 'a', left: 1 }] })
  // @ts-expect-error no such event
  void checkWire(events, { Nothing: [] })
})
