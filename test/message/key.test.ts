import fc from 'fast-check'
import { Partitioners } from 'kafkajs'
import { describe, expect, test } from 'vitest'
import { bucketCount, bucketOf, encodeKey, murmur2, partitionOf } from '../../src/message/key.ts'
import { refusal } from './refusal.ts'

const utf8 = (text: string) => new TextEncoder().encode(text)

describe('hash', () => {
  // org.apache.kafka.common.utils.UtilsTest.testMurmur2
  test.each([
    ['21', -973932308],
    ['foobar', -790332482],
    ['a-little-bit-long-string', -985981536],
    ['a-little-bit-longer-string', -1486304829],
    ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58897971],
    ['abc', 479470107],
  ])('murmur2 of %s is what Java computes', (text, hash) => {
    expect(murmur2(utf8(text))).toBe(hash)
  })

  test('the partition of any key is the one that the default partitioner of kafkajs chooses', () => {
    const choose = Partitioners.DefaultPartitioner()
    const keys = fc.uint8Array({ minLength: 1, maxLength: 64 })
    fc.assert(
      fc.property(keys, fc.integer({ min: 1, max: 200 }), (key, partitions) => {
        const partitionMetadata = Array.from({ length: partitions }, (_, partitionId) => ({ partitionId }) as never)
        const theirs = choose({ topic: 't', partitionMetadata, message: { key: Buffer.from(key), value: null } })
        expect(partitionOf('t', key, partitions)).toBe(theirs)
      }),
      { numRuns: 2000 },
    )
  })

  test('every bucket is between 0 and 63, and every one of them is used', () => {
    const seen = new Set(Array.from({ length: 2000 }, (_, i) => bucketOf('t', utf8(`key-${i}`))))
    expect([...seen].sort((a, b) => a - b)).toEqual(Array.from({ length: bucketCount }, (_, i) => i))
  })

  test('messages of a topic without a key share a bucket and a partition', () => {
    expect(bucketOf('orders', null)).toBe(bucketOf('orders', null))
    expect(bucketOf('orders', null)).toBe((murmur2(utf8('orders')) & 0x7fffffff) % 64)
    expect(partitionOf('orders', null, 7)).toBe((murmur2(utf8('orders')) & 0x7fffffff) % 7)
  })

  test('an empty key is a key: its place depends on no topic', () => {
    expect(bucketOf('a', utf8(''))).toBe(bucketOf('b', utf8('')))
  })
})

describe('encoding', () => {
  test.each([
    ['text', 'Zoë', utf8('Zoë')],
    ['an empty text', '', new Uint8Array(0)],
    ['a number', 42, utf8('42')],
    ['a negative number', -7, utf8('-7')],
    ['negative zero', -0, utf8('0')],
    ['a fraction', 0.5, utf8('0.5')],
    ['the largest safe integer', Number.MAX_SAFE_INTEGER, utf8('9007199254740991')],
    ['a bigint of any size', 12345678901234567890n, utf8('12345678901234567890')],
    ['bytes', Buffer.from([0, 255]), new Uint8Array([0, 255])],
    ['null', null, null],
    ['undefined', undefined, null],
  ])('%s is written as it is', (_name, key, bytes) => {
    expect(encodeKey(key, 'key')).toEqual(bytes)
  })

  test.each([
    ['an unpaired surrogate', 'a\ud800'],
    ['NaN', Number.NaN],
    ['Infinity', Number.POSITIVE_INFINITY],
    ['an integer that stands for several', 2 ** 53],
    ['a number with an exponent', 1e-7],
    ['a boolean', true],
    ['a Date', new Date()],
    ['an array', ['a']],
    ['other bytes than Uint8Array', new Uint16Array(2)],
  ])('%s is refused', (_name, key) => {
    expect(refusal(() => encodeKey(key, 'key'))).toEqual({ code: 'OUTBOX_INVALID_KEY', field: 'key' })
  })

  test('bytes are copied: a caller may reuse its array', () => {
    const key = new Uint8Array([1])
    const encoded = encodeKey(key, 'key')
    key[0] = 2
    expect(encoded).toEqual(new Uint8Array([1]))
  })
})
