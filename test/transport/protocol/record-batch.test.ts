import { createRequire } from 'node:module'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { crc32c } from '../../../src/transport/protocol/crc32c.ts'
import { encodeProduce } from '../../../src/transport/protocol/produce-request.ts'
import type { TransportBatch } from '../../../src/transport/transport.ts'

const kafkajs = createRequire(import.meta.url)
type Encoded = { buffer: Buffer }
/** The encoders of kafkajs, which every broker understands: another author's reading of the same format. */
const theirRequest: (request: object) => { encode(): Promise<Encoded> } = kafkajs(
  'kafkajs/src/protocol/requests/produce/v7/request.js',
)
const theirCrc32c: (bytes: Buffer) => number = kafkajs('kafkajs/src/protocol/recordBatch/crc32C')

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
const records = fc.array(record, { minLength: 1, maxLength: 5 })

const now = 1_790_000_000_123
const timeout = 1_234

/** The request as kafkajs would write it at that time, its topics in the order in which they come first. */
async function theirs(batches: readonly TransportBatch[]): Promise<Buffer> {
  const buffers = (key: Uint8Array | null) => key && Buffer.from(key)
  const topicData = [...new Set(batches.map(({ topic }) => topic))].map((topic) => ({
    topic,
    partitions: batches
      .filter((batch) => batch.topic === topic)
      .map(({ partition, records }) => ({
        partition,
        messages: records.map(({ key, value, headers }) => ({
          key: buffers(key),
          value: buffers(value),
          headers,
          timestamp: now,
        })),
      })),
  }))
  return (await theirRequest({ acks: -1, timeout, topicData }).encode()).buffer
}

describe('a produce request', () => {
  test('is the bytes that kafkajs itself would write', async () => {
    await fc.assert(
      fc.asyncProperty(records, async (records) => {
        const batches = [{ topic: 'orders', partition: 3, records }]
        expect(encodeProduce(batches, timeout, now).equals(await theirs(batches))).toBe(true)
      }),
      { numRuns: 300 },
    )
  })

  test('of several partitions and topics names each topic once', async () => {
    const one = (topic: string, partition: number) => ({ topic, partition, records: fc.sample(record, { numRuns: 3, seed: 7 }) })
    const batches = [one('orders', 3), one('bestellungen-größe', 0), one('orders', 11)]
    expect(encodeProduce(batches, timeout, now).equals(await theirs(batches))).toBe(true)
  })

  test('numbers its records beyond one byte', async () => {
    const records = Array.from({ length: 9_000 }, () => ({ key: null, value: Buffer.from('v'), headers: {} }))
    const batches = [{ topic: 'orders', partition: 0, records }]
    expect(encodeProduce(batches, timeout, now).equals(await theirs(batches))).toBe(true)
  })
})

describe('the checksum', () => {
  test.each([
    // RFC 3720, appendix B.4, and the check value of the catalog of CRC algorithms.
    [Buffer.alloc(32), 0x8a9136aa],
    [Buffer.alloc(32, 0xff), 0x62a8ab43],
    [Buffer.from(Array.from({ length: 32 }, (_, n) => n)), 0x46dd794e],
    [Buffer.from('123456789'), 0xe3069283],
    [Buffer.alloc(0), 0],
  ])('of %j is that of the standard', (bytes, sum) => expect(crc32c(bytes)).toBe(sum))

  test('is that of kafkajs for any bytes', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => crc32c(bytes) === theirCrc32c(Buffer.from(bytes))))
  })
})
