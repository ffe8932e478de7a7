import type { FakePartition } from './fake-partition.ts'
import { type WireReader, WireWriter } from './kafka-wire.ts'

/** The APIs that the fake brokers speak: lowest and highest version, and the first one that is flexible. */
export const apis = {
  Produce: { key: 0, min: 3, max: 11, flexible: 9 },
  Metadata: { key: 3, min: 4, max: 12, flexible: 9 },
  ApiVersions: { key: 18, min: 0, max: 4, flexible: 3 },
  InitProducerId: { key: 22, min: 0, max: 4, flexible: 2 },
} as const

/** Name of an API that the fake brokers speak. */
export type ApiName = keyof typeof apis

/** What a metadata answer says about one topic. */
export interface TopicAnswer {
  name: string
  /** Error code of the topic. */
  error: number
  partitions: readonly FakePartition[]
}

/** What a produce answer says about one batch. */
export interface BatchAnswer {
  topic: string
  partition: number
  error: number
  baseOffset: bigint
  recordErrors: readonly number[]
}

export function answerApiVersions(version: number): Buffer {
  const writer = new WireWriter(version >= apis.ApiVersions.flexible).int16(0)
  writer.array(Object.values(apis), ({ key, min, max }) => writer.int16(key).int16(min).int16(max).tags())
  if (version >= 1) writer.int32(0)
  return writer.tags().done()
}

export function answerInitProducerId(version: number, producerId: bigint): Buffer {
  return new WireWriter(version >= apis.InitProducerId.flexible).int32(0).int16(0).int64(producerId).int16(0).tags().done()
}

/** Names of the topics that a metadata request asks about; null: all. */
export function readMetadata(version: number, reader: WireReader): string[] | null {
  return reader.array(() => {
    if (version >= 10) reader.raw(16)
    const name = reader.string()!
    reader.tags()
    return name
  })
}

export function answerMetadata(version: number, ports: readonly number[], topics: readonly TopicAnswer[]): Buffer {
  const writer = new WireWriter(version >= apis.Metadata.flexible).int32(0)
  const nodes = (list: number[]) => writer.array(list, (node) => writer.int32(node))
  writer.array([...ports.entries()], ([index, port]) => {
    const node = writer.int32(index + 1).string('127.0.0.1')
    node.int32(port).string(null).tags()
  })
  writer.string('fake').int32(1)
  writer.array(topics, ({ name, error, partitions }) => {
    writer.int16(error).string(name)
    if (version >= 10) writer.raw(Buffer.alloc(16))
    writer.int8(0).array([...partitions.entries()], ([index, { leader }]) => {
      // LEADER_NOT_AVAILABLE
      writer.int16(leader < 0 ? 5 : 0).int32(index)
      writer.int32(leader)
      if (version >= 7) writer.int32(0)
      nodes([1])
      nodes([1])
      if (version >= 5) nodes([])
      writer.tags()
    })
    if (version >= 8) writer.int32(0)
    writer.tags()
  })
  if (version >= 8 && version <= 10) writer.int32(0)
  return writer.tags().done()
}

/** The batches of a produce request, still in bytes. */
export function readProduce(reader: WireReader): { topic: string; partition: number; bytes: Buffer }[] {
  reader.string()
  reader.int16()
  reader.int32()
  const topics = reader.array(() => {
    const topic = reader.string()!
    const partitions = reader.array(() => {
      const found = { topic, partition: reader.int32(), bytes: reader.bytes() }
      reader.tags()
      return found
    })
    reader.tags()
    return partitions!
  })
  return topics!.flat()
}

export function answerProduce(version: number, batches: readonly BatchAnswer[], throttleMs: number): Buffer {
  const writer = new WireWriter(version >= apis.Produce.flexible)
  const topics = [...new Set(batches.map(({ topic }) => topic))]
  writer.array(topics, (name) => {
    const own = batches.filter(({ topic }) => topic === name)
    writer.string(name).array(own, ({ partition, error, baseOffset, recordErrors }) => {
      writer.int32(partition).int16(error).int64(baseOffset).int64(-1n)
      if (version >= 5) writer.int64(0n)
      if (version >= 8) {
        writer.array(recordErrors, (index) => writer.int32(index).string('refused').tags())
        writer.string(null)
      }
      writer.tags()
    })
    writer.tags()
  })
  return writer.int32(throttleMs).tags().done()
}
