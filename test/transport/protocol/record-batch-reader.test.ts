import { deepStrictEqual } from 'node:assert/strict'
import { createRequire } from 'node:module'
import fc from 'fast-check'
import kafkajs from 'kafkajs'
import { describe, expect, test } from 'vitest'
import { crc32c } from '../../../src/transport/protocol/crc32c.ts'
import { type FetchAnswer, fetchVersions, readFetchAnswer } from '../../../src/transport/protocol/fetch-answer.ts'
import { RecordBatch } from '../../../src/transport/protocol/record-batch.ts'
import type { Codecs } from '../../../src/transport/protocol/record-batch-reader.ts'
import { Unreadable } from '../../../src/transport/protocol/wire-cursor.ts'
import { batchBytes, type RawBatch, type RawRecord } from '../../support/batch-bytes.ts'
import { WireWriter } from '../../support/kafka-wire.ts'

const codecs = kafkajs.CompressionCodecs as unknown as Codecs
const require = createRequire(import.meta.url)

/** kafkajs' decoder, which has read the answers of brokers for years: another author's reading of the same format. */
const theirs = (bytes: Buffer, version: number): Promise<FetchAnswer> =>
  require(`kafkajs/src/protocol/requests/fetch/v${version}/response`).decode(bytes)

interface Partition {
  records: Buffer
  aborted?: readonly (readonly [producerId: bigint, firstOffset: bigint])[]
}

/** An answer as a broker writes it, about one topic unless more are given. */
function answer(version: number, ...topics: (readonly Partition[])[]): Buffer {
  const writer = new WireWriter(false).int32(17)
  if (version >= 7) writer.int16(0).int32(4711)
  writer.array([...topics.entries()], ([n, partitions]) => {
    writer.string(`orders-${n}`).array([...partitions.entries()], ([index, { records, aborted = [] }]) => {
      writer.int32(index).int16(0).int64(99n).int64(98n)
      if (version >= 5) writer.int64(1n)
      writer.array(aborted, ([producerId, firstOffset]) => writer.int64(producerId).int64(firstOffset))
      if (version >= 11) writer.int32(-1)
      writer.int32(records.length).raw(records)
    })
  })
  return writer.done()
}

/** Reads the records of one partition. */
const read = async (records: Buffer) => {
  const found = await readFetchAnswer(answer(11, [{ records }]), 11, codecs)
  return found!.responses[0]!.partitions[0]!.messages
}
const one = (record: RawRecord = {}, batch: Partial<RawBatch> = {}) => batchBytes({ records: [record], ...batch })

const bytes = fc.option(
  fc.oneof(
    fc.uint8Array({ maxLength: 100 }),
    fc.constantFrom(63, 64, 8_191, 8_192).map((length) => new Uint8Array(length)),
  ),
)
// kafkajs finds names like `constructor` in every object before they come.
const name = fc.string({ unit: 'grapheme', maxLength: 10 }).filter((name) => !(name in {}))
const headers = fc.array(fc.tuple(fc.oneof(name, fc.constantFrom('a', 'b', '7')), bytes), { maxLength: 6 })
const timestampDelta = fc.oneof(fc.bigInt(-200n, 200n), fc.bigInt(-(2n ** 40n), 2n ** 40n))
const record: fc.Arbitrary<RawRecord> = fc.record({ key: bytes, value: bytes, headers, timestampDelta })

/** A batch of a broker: compaction leaves gaps between its offsets. */
const batch = fc
  .record({
    records: fc.array(fc.tuple(record, fc.constantFrom(1, 1, 1, 2, 70, 9_000)), { maxLength: 5 }),
    offset: fc.bigInt(0n, 2n ** 60n),
    timestamp: fc.bigInt(0n, 2n ** 50n),
    maxTimestamp: fc.bigInt(0n, 2n ** 50n),
    attributes: fc.constantFrom(0, 0, 0x08, 0x10, 0x20, 0x30, 0x38),
    gzip: fc.boolean(),
    producerId: fc.constantFrom(-1n, 7n, 2n ** 50n),
  })
  .map(({ records, ...rest }): RawBatch => {
    let next = -1
    const placed = records.map(([one, gap]) => {
      next += gap
      return { ...one, offsetDelta: next }
    })
    return { ...rest, records: placed, lastOffsetDelta: Math.max(0, next) }
  })

const partition = fc.record({
  batches: fc.array(batch, { maxLength: 3 }),
  /** Share of the bytes that are cut off the end, as a broker does where an answer is full. */
  cut: fc.constantFrom(0, 0, 0.1, 0.5),
  aborted: fc.array(fc.tuple(fc.bigInt(0n, 2n ** 50n), fc.bigInt(0n, 2n ** 50n)), { maxLength: 3 }),
})

describe('an answer to a fetch', () => {
  test('is what kafkajs itself would read, in every version', async () => {
    const version = fc.integer({ min: fetchVersions.first, max: fetchVersions.last })
    await fc.assert(
      fc.asyncProperty(version, fc.array(fc.array(partition, { maxLength: 3 }), { maxLength: 3 }), async (version, topics) => {
        const parts = topics.map((partitions) =>
          partitions.map(({ batches, cut, aborted }) => {
            const whole = Buffer.concat(batches.map(batchBytes))
            const kept = whole.subarray(0, Math.ceil(whole.length * (1 - cut)))
            // kafkajs cannot read fewer bytes than a batch has in front of its format; a broker sends none.
            return { records: kept.length < 17 ? Buffer.alloc(0) : kept, aborted }
          }),
        )
        const bytes = answer(version, ...parts)
        // Vitest would compare large buffers byte by byte.
        deepStrictEqual(await readFetchAnswer(bytes, version, codecs), await theirs(bytes, version))
      }),
      { numRuns: 150 },
    )
  })

  test('has what our own encoder wrote', async () => {
    const records = [
      { key: Buffer.from('k'), value: null, headers: { id: '1', größe: '€' } },
      { key: null, value: Buffer.from('v'), headers: {} },
    ]
    const written = new RecordBatch(records)
    const bytes = Buffer.alloc(written.size)
    written.write(bytes, 0, 1_790_000_000_000)
    const [first, second] = await read(bytes)
    expect(first).toMatchObject({ offset: '0', timestamp: '1790000000000', key: Buffer.from('k'), value: null })
    expect(first!.headers).toEqual({ id: Buffer.from('1'), größe: Buffer.from('€') })
    expect(second).toMatchObject({ offset: '1', key: null, value: Buffer.from('v'), headers: {} })
  })

  test('is left to kafkajs where a partition has records of a format without headers', async () => {
    const old = one()
    old[16] = 1
    expect(await readFetchAnswer(answer(11, [{ records: one() }, { records: old }]), 11, codecs)).toBeUndefined()
  })
})

describe('what no producer but a strange one writes', () => {
  test.each(['constructor', '__proto__', 'toString', 'hasOwnProperty'])('a header %s is a header', async (name) => {
    const [found] = await read(
      one({
        headers: [
          [name, Buffer.from('v')],
          ['id', null],
        ],
      }),
    )
    expect(Object.entries(found!.headers)).toEqual([
      [name, Buffer.from('v')],
      ['id', null],
    ])
    expect(Object.getPrototypeOf(found!.headers)).toBe(Object.prototype)
  })

  test.each([[2 ** 30], [-1], [0]])(
    'an offset of its own, %i, which a broker lets pass: its place counts',
    async (offsetDelta) => {
      const records = [{ offsetDelta }, { offsetDelta }, { offsetDelta }]
      expect((await read(batchBytes({ records, offset: 40n }))).map(({ offset }) => offset)).toEqual(['40', '41', '42'])
    },
  )

  test('a batch of more records than a call takes arguments', async () => {
    const records = Array.from({ length: 200_000 }, (_, offsetDelta) => ({ offsetDelta }))
    expect(await read(batchBytes({ records }))).toHaveLength(200_000)
  })

  test.each<[string, number, (n: number) => string]>([
    ['names of their own', 3_000, (n) => `h${n}`],
    ['one name', 20_000, () => 'h'],
    ['numbers as names', 3_000, (n) => String(n * 7)],
  ])('thousands of headers with %s take a small part of the time of kafkajs', async (_, count, nameOf) => {
    const headers = Array.from({ length: count }, (_, n) => [nameOf(n), Buffer.of(1)] as const)
    const bytes = answer(11, [{ records: one({ headers }) }])
    const quickest = async (decode: () => Promise<unknown>, times: number) => {
      const took: number[] = []
      for (let n = 0; n < times; n++) {
        const start = performance.now()
        await decode()
        took.push(performance.now() - start)
      }
      return Math.min(...took)
    }
    const slow = await quickest(() => theirs(bytes, 11), 2)
    expect(await quickest(() => readFetchAnswer(bytes, 11, codecs), 10)).toBeLessThan(slow / 5)
  })
})

describe('a batch that cannot be read is refused', () => {
  const value = Buffer.from('value')
  const gzip = () => one({ value }, { gzip: true })
  test.each<[string, () => Buffer]>([
    ['its checksum is wrong', () => one({ value }, { crc: 7 })],
    ['its checksum is wrong', () => Buffer.concat([one({ value }).subarray(0, -1), Buffer.of(1)])],
    ['it has an impossible number of headers', () => one({ value, claims: { headers: 2 ** 31 - 1 } })],
    ['it has an impossible number of headers', () => one({ value, claims: { headers: -2 } })],
    ['it has a length that leads behind its end', () => one({ value, claims: { length: 300 } })],
    ['it has a length that leads behind its end', () => one({ value, claims: { length: -1 } })],
    ['it has a length that leads behind its end', () => one({ value, claims: { length: 4 } })],
    ['it has a length that leads behind its end', () => one({ headers: [['a', value]], claims: { headers: 2 } })],
    ['it has a record of another length than it says', () => one({ headers: [['a', value]], claims: { headers: 0 } })],
    ['its number of records is impossible', () => one({ value }, { count: 2 ** 31 - 1 })],
    ['its number of records is impossible', () => one({ value }, { count: -1 })],
    ['it has bytes behind its last record', () => one({ value }, { count: 0 })],
    ['it has an offset that is not its own', () => one({ offsetDelta: 8 }, { lastOffsetDelta: 7 })],
    ['it is compressed in the unknown way 5', () => one({ value }, { attributes: 5 })],
    ['it is compressed with gzip and cannot be decompressed', () => one({ value }, { attributes: 1 })],
    ['its length is too small', () => Buffer.alloc(70)],
    ['its format is unknown', () => Object.assign(one(), { 16: 3 })],
    ['it has an impossible number of headers', () => one({ claims: { headers: 3 } }, { gzip: true })],
  ])('%s (%#)', async (why, bytes) => {
    const good = batchBytes({ records: [{ value }], offset: 40n })
    const bad = bytes()
    bad.writeBigInt64BE(41n)
    const failure = await read(Buffer.concat([good, bad])).catch((error) => error)
    expect(failure).toBeInstanceOf(Unreadable)
    expect(failure.message).toBe(`Partition 0 of the topic orders-0 at offset 41: ${why}`)
    expect(await read(Buffer.concat([good, gzip()]))).toHaveLength(2)
  })

  test('whatever bytes of it are changed; nothing else is thrown, and nothing is read behind an end', async () => {
    const change = fc.tuple(fc.nat(), fc.nat(255))
    await fc.assert(
      fc.asyncProperty(
        fc.array(batch, { minLength: 1, maxLength: 2 }),
        fc.array(change, { minLength: 1 }),
        async (batches, changes) => {
          const bytes = answer(11, [{ records: Buffer.concat(batches.map(batchBytes)) }])
          for (const [at, to] of changes) bytes[at % bytes.length] = to
          const outcome = await readFetchAnswer(bytes, 11, codecs).catch((error) => error)
          if (outcome instanceof Error) expect(outcome).toBeInstanceOf(Unreadable)
        },
      ),
      { numRuns: 2_000 },
    )
  })

  test('also where the checksum is right', async () => {
    const change = fc.tuple(fc.nat(), fc.nat(255))
    await fc.assert(
      fc.asyncProperty(batch, fc.array(change, { minLength: 1, maxLength: 4 }), async (one, changes) => {
        const bytes = batchBytes(one)
        for (const [at, to] of changes) bytes[21 + (at % (bytes.length - 21))] = to
        bytes.writeUInt32BE(crc32c(bytes.subarray(21)), 17)
        const outcome = await read(bytes).catch((error) => error)
        if (outcome instanceof Error && outcome.name !== 'KafkaJSNotImplemented') expect(outcome).toBeInstanceOf(Unreadable)
      }),
      { numRuns: 2_000 },
    )
  })
})
