import { createRequire } from 'node:module'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { encodeRecords } from '../../src/transport/encode.ts'

const kafkajs = createRequire(import.meta.url)
/** The encoder of kafkajs, which every broker understands: another author's reading of the same format. */
const encodeRecord: (record: object) => { buffer: Buffer } = kafkajs('kafkajs/src/protocol/recordBatch/record/v0/index.js')

const bytes = fc.option(
  fc.oneof(
    fc.uint8Array({ maxLength: 200 }),
    // Lengths on both sides of what one, two and three bytes of a varint hold.
    fc.constantFrom(63, 64, 8_191, 8_192, 1_048_575, 1_048_576).map((length) => new Uint8Array(length).fill(7)),
  ),
)
const text = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 80 }),
  fc.constantFrom('', 'é'.repeat(40), '€', '😀', 'x'.repeat(64)),
)
const record = fc.record({ key: bytes, value: bytes, headers: fc.dictionary(text, text, { maxKeys: 4, noNullPrototype: true }) })

test('records are the bytes that kafkajs itself would write', () => {
  fc.assert(
    fc.property(fc.array(record, { minLength: 1, maxLength: 5 }), (records) => {
      const expected = records.map(({ key, value, headers }, offsetDelta) => {
        const fields = { offsetDelta, key: key && Buffer.from(key), value: value && Buffer.from(value), headers }
        return encodeRecord(fields).buffer
      })
      expect(encodeRecords(records).equals(Buffer.concat(expected))).toBe(true)
    }),
    { numRuns: 300 },
  )
})

test('offsets go on beyond one byte', () => {
  const records = Array.from({ length: 9_000 }, () => ({ key: null, value: Buffer.from('v'), headers: {} }))
  const expected = records.map((one, offsetDelta) => encodeRecord({ ...one, offsetDelta }).buffer)
  expect(encodeRecords(records).equals(Buffer.concat(expected))).toBe(true)
})
