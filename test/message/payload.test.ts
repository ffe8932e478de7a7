import { inspect } from 'node:util'
import { runInNewContext } from 'node:vm'
import { Decimal } from '@prisma/client/runtime/client'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { isOutboxError, OutboxError } from '../../src/message/errors.ts'
import { encodeJson } from '../../src/message/payload.ts'

const encode = (payload: unknown) => encodeJson(payload, 'payload')

function pathOf(payload: unknown): string | undefined {
  try {
    encode(payload)
  } catch (error) {
    if (isOutboxError(error, 'OUTBOX_INVALID_PAYLOAD')) return error.field
    throw error
  }
  throw new Error('Nothing was thrown.')
}

describe('what JSON can hold', () => {
  test('any JSON value survives', () => {
    fc.assert(
      fc.property(fc.jsonValue({ stringUnit: 'binary', maxDepth: 6 }), (value) => {
        // JSON has no -0: it becomes 0, which is equal to it.
        const expected = JSON.parse(JSON.stringify(value))
        expect(JSON.parse(encode(value))).toStrictEqual(expected)
      }),
      { numRuns: 2000 },
    )
  })

  test('any value at all either survives as JSON writes it, or is refused', () => {
    const anything = fc.anything({
      withBigInt: true,
      withDate: true,
      withMap: true,
      withSet: true,
      withTypedArray: true,
      withNullPrototype: true,
      withSparseArray: true,
      withBoxedValues: true,
      stringUnit: 'binary',
    })
    const seen = { written: 0, refused: 0 }
    fc.assert(
      fc.property(anything, (value) => {
        try {
          const text = encode(value)
          seen.written++
          expect(text).toBe(JSON.stringify(value))
        } catch (error) {
          if (!(error instanceof OutboxError)) throw error
          seen.refused++
        }
      }),
      { numRuns: 3000 },
    )
    expect(seen.written).toBeGreaterThan(100)
    expect(seen.refused).toBeGreaterThan(100)
  })

  test('dates and decimals become strings, without losing a digit', () => {
    const payload = { at: new Date(0), price: new Decimal('0.10000000000000000001') }
    expect(encode(payload)).toBe('{"at":"1970-01-01T00:00:00.000Z","price":"0.10000000000000000001"}')
  })

  test('a class with toJSON is what it says, at the top and inside', () => {
    class Money {
      toJSON() {
        return { cents: 5 }
      }
    }
    expect(encode(new Money())).toBe('{"cents":5}')
    expect(encode([new Money()])).toBe('[{"cents":5}]')
  })

  test('a member that is undefined is left out, as everywhere in JavaScript', () => {
    expect(encode({ a: 1, b: undefined })).toBe('{"a":1}')
  })

  test('an object that stands in two places is written twice', () => {
    const address = { city: 'Kiel' }
    expect(encode({ from: address, to: address })).toBe('{"from":{"city":"Kiel"},"to":{"city":"Kiel"}}')
  })

  test('an own property named __proto__ is data', () => {
    expect(encode(JSON.parse('{"__proto__":1}'))).toBe('{"__proto__":1}')
  })

  test('objects of another realm are as plain as ours', () => {
    expect(encode(runInNewContext('({ a: [1, { b: 2 }] })'))).toBe('{"a":[1,{"b":2}]}')
  })

  test('a thousand levels are written, one more is refused', () => {
    const nested = (levels: number) => JSON.parse('['.repeat(levels) + ']'.repeat(levels))
    expect(encode(nested(1000))).toHaveLength(2000)
    expect(pathOf(nested(1001))).toContain('payload[0][0]')
  })

  test('a getter is read once: what was checked is what is written', () => {
    let reads = 0
    const payload = {
      get n() {
        return ++reads
      },
    }
    expect(encode(payload)).toBe('{"n":1}')
  })
})

describe('what JSON would change', () => {
  class Order {
    id = 1
  }
  const cycle: Record<string, unknown> = { list: [] }
  ;(cycle.list as unknown[]).push(cycle)

  test.each<[string, unknown, string]>([
    ['undefined as a whole', undefined, 'payload'],
    ['undefined in an array', { items: [1, undefined] }, 'payload.items[1]'],
    ['a hole in an array', Object.assign(new Array(3), { 0: 1, 2: 3 }), 'payload[1]'],
    ['a BigInt', { order: { total: 1n } }, 'payload.order.total'],
    ['a Map', { lines: new Map() }, 'payload.lines'],
    ['a Set', { tags: new Set() }, 'payload.tags'],
    ['NaN', [{ price: Number.NaN }], 'payload[0].price'],
    ['Infinity', { price: Number.NEGATIVE_INFINITY }, 'payload.price'],
    ['a function', { act: () => {} }, 'payload.act'],
    ['a symbol', { s: Symbol('s') }, 'payload.s'],
    ['a class instance', { order: new Order() }, 'payload.order'],
    ['an error', { error: new Error('x') }, 'payload.error'],
    ['a boxed string', new String('x'), 'payload'],
    ['an invalid date', { at: new Date('never') }, 'payload.at'],
    ['bytes inside of JSON', { photo: new Uint8Array(2) }, 'payload.photo'],
    ['a Buffer inside of JSON', { photo: Buffer.from('x') }, 'payload.photo'],
    ['a cycle', cycle, 'payload.list[0]'],
    ['an unpaired surrogate', { name: 'a\ud83d' }, 'payload.name'],
    ['an unpaired surrogate in a name', { deep: { '\udc00': 1 } }, 'payload.deep'],
    ['a toJSON that gives what JSON cannot hold', { a: { toJSON: () => undefined } }, 'payload.a'],
    ['a toJSON that throws', { a: { toJSON: () => cycle.no!.valueOf() } }, 'payload.a'],
    ['a name that is no identifier', { 'a b': 1n }, 'payload["a b"]'],
  ])('%s is refused, with its path', (_name, payload, path) => {
    expect(pathOf(payload)).toBe(path)
  })

  test('the error never holds the value', () => {
    let error: unknown
    try {
      encode({ note: 'secret\ud800' })
    } catch (thrown) {
      error = thrown
    }
    expect(error).toBeInstanceOf(OutboxError)
    expect(inspect(error)).not.toContain('secret')
  })
})
