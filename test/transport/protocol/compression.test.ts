import { randomBytes } from 'node:crypto'
import * as zlib from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { codecOf, compressions, compressorOf } from '../../../src/transport/protocol/compression.ts'
import { encodeProduce } from '../../../src/transport/protocol/produce-request.ts'
import { RecordBatch } from '../../../src/transport/protocol/record-batch.ts'
import { type Codecs, readBatches } from '../../../src/transport/protocol/record-batch-reader.ts'
import { hidePackage } from '../../support/hidden-packages.ts'

const names = compressions.filter((name) => name !== 'none')

/** Those that this version of Node can write. */
const written = names.filter((name) => name !== 'zstd' || 'zstdCompressSync' in zlib)

/** What reads batches, as kafkajs would have it. */
const codecs: Codecs = Object.fromEntries(
  names.map((name) => [
    compressions.indexOf(name),
    () => ({ decompress: async (bytes) => Buffer.from(codecOf(name).decompress(bytes)) }),
  ]),
)

const orders = (count: number) =>
  Array.from({ length: count }, (_, n) => ({
    key: Buffer.from(`customer-${n % 7}`),
    value: Buffer.from(JSON.stringify({ orderId: n, lines: [{ sku: 'A-1', n: n % 3 }], note: 'leave it at the door' })),
    headers: { id: `0197f3a0-0000-7000-8000-${String(n).padStart(12, '0')}`, type: 'OrderPlaced' },
  }))

function bytesOf(batch: RecordBatch): Buffer {
  const bytes = Buffer.alloc(batch.size)
  expect(batch.write(bytes, 0, 1_790_000_000_123)).toBe(batch.size)
  return bytes
}

const codecIn = (batch: Buffer) => batch.readInt16BE(21) & 7

describe.each(written)('a batch with %s', (name) => {
  const compressor = compressorOf(name)!

  test('is smaller, says so in its attributes, and reads back as it was', async () => {
    const records = orders(500)
    const batch = bytesOf(new RecordBatch(records, undefined, compressor))
    expect(codecIn(batch)).toBe(compressions.indexOf(name))
    expect(batch.length).toBeLessThan(new RecordBatch(records).size / 3)
    const read = await readBatches(batch, codecs)
    expect(read.map(({ key, value, headers }) => ({ key, value, id: String(headers.id) }))).toEqual(
      records.map(({ key, value, headers }) => ({ key, value, id: headers.id })),
    )
  })

  test('that it cannot make smaller goes as it is: no limit of a broker is passed because of it', async () => {
    const records = [{ key: null, value: randomBytes(900_000), headers: {} }]
    const [plain, batch] = [new RecordBatch(records), new RecordBatch(records, undefined, compressor)]
    expect([batch.size, codecIn(bytesOf(batch))]).toEqual([plain.size, 0])
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 300 }), { minLength: 1, maxLength: 5 }), (values) => {
        const some = values.map((value) => ({ key: null, value, headers: {} }))
        expect(new RecordBatch(some, undefined, compressor).size).toBeLessThanOrEqual(new RecordBatch(some).size)
      }),
    )
  })

  test('is the same when it is sent again, in a request beside another', async () => {
    const [numbers, records] = [{ producerId: 7n, epoch: 3, sequence: 11 }, orders(50)]
    const batches = [0, 1].map((partition) => ({ topic: 'orders', partition, records, numbers }))
    const encode = () => encodeProduce(batches, 1_234, 1_790_000_000_123, compressor)
    const first = encode()
    expect(encode().equals(first)).toBe(true)
    const batch = bytesOf(new RecordBatch(records, numbers, compressor))
    expect(first.includes(batch)).toBe(true)
    expect(first.lastIndexOf(batch)).toBeGreaterThan(first.indexOf(batch))
  })
})

test('no compression is the default, and one that there is not is refused', () => {
  expect(compressorOf('none')).toBeUndefined()
  expect(() => compressorOf('brotli' as never)).toThrow(
    expect.objectContaining({ code: 'OUTBOX_INVALID_OPTION', field: 'compression', remedy: expect.stringContaining('zstd') }),
  )
})

test('zstd is written by Node 22.15 and later, and refused on an older one', () => {
  if ('zstdCompressSync' in zlib) return expect(compressorOf('zstd')).toMatchObject({ number: 4 })
  const remedy = 'Run Node 22.15 or newer, or choose another compression.'
  expect(() => compressorOf('zstd')).toThrow(expect.objectContaining({ code: 'OUTBOX_COMPRESSION_PACKAGE', remedy }))
})

test.each([
  ['snappy', 'snappyjs'],
  ['lz4', 'lz4-napi'],
] as const)('%s without its package names the package to install', (name, needed) => {
  hidePackage(needed)
  expect(() => compressorOf(name)).toThrow(
    expect.objectContaining({
      code: 'OUTBOX_COMPRESSION_PACKAGE',
      field: 'compression',
      message: expect.stringContaining(`The compression ${name} needs the package ${needed}, which is not installed.`),
      remedy: `Run "npm install ${needed}".`,
    }),
  )
})
