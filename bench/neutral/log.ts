import { createRequire } from 'node:module'
import { join } from 'node:path'
import kafkajs from 'kafkajs'
import { type LogRecord, readTopic } from '../../test/support/topics.ts'
import type { Adapter, Context } from './adapter.ts'

/** A record that was read back. `i`, `k`, `s`: number, key and place within the key of the message, as its payload says. */
export interface Read {
  i: number
  k: string
  s: number
  key: string | undefined
  partition: number
  at: number
}

/** What the log says of a run. Order: first deliveries behind a later one of their key. */
export interface Verdict {
  records: number
  lost: number
  dup: number
  order: number
  /** Records whose key is not that of the message, and records of a key that is on another partition. */
  wrongKey: number
  split: number
  first: number
  last: number
}

/** Reads the whole topic back. */
export async function readBack(adapter: Adapter, { topic, brokers }: Context): Promise<Read[]> {
  await registerCompression()
  const decode =
    adapter.decode ?? ((record: LogRecord) => JSON.parse(String(record.value)) as { i: number; k: string; s: number })
  return (await readTopic(topic, brokers))
    .filter(({ value }) => value !== null)
    .map((record) => ({
      ...decode(record),
      key: record.key?.toString(),
      partition: record.partition,
      at: record.timestamp,
    }))
}

/** Relays that compress are read with pure JavaScript from the folder RIVALS; gzip is built in. */
async function registerCompression(): Promise<void> {
  const { CompressionTypes, CompressionCodecs } = kafkajs
  const load = createRequire(join(process.env.RIVALS || process.cwd(), 'index.js'))
  const find = (name: string): unknown => {
    try {
      return load(name)
    } catch {
      return undefined
    }
  }
  const snappy = find('kafkajs-snappy')
  const lz4 = find('lz4js') as { compress(b: Buffer): Uint8Array; decompress(b: Buffer): Uint8Array } | undefined
  if (snappy) CompressionCodecs[CompressionTypes.Snappy] = snappy as never
  if (lz4) {
    CompressionCodecs[CompressionTypes.LZ4] = () => ({
      compress: async ({ buffer }: { buffer: Buffer }) => Buffer.from(lz4.compress(buffer)),
      decompress: async (buffer: Buffer) => Buffer.from(lz4.decompress(buffer)),
    })
  }
}

/** Compares what came with the `n` messages that were written. */
export function judge(rows: readonly Read[], n: number): Verdict {
  const seen = new Set<number>()
  const highest = new Map<string, number>()
  const partitionOf = new Map<string, number>()
  const verdict: Verdict = { records: rows.length, lost: 0, dup: 0, order: 0, wrongKey: 0, split: 0, first: Infinity, last: 0 }
  for (const { i, k, s, key, partition, at } of rows) {
    verdict.first = Math.min(verdict.first, at)
    verdict.last = Math.max(verdict.last, at)
    if ((partitionOf.get(k) ?? partition) !== partition) verdict.split++
    partitionOf.set(k, partition)
    if (seen.has(i)) {
      verdict.dup++
      continue
    }
    seen.add(i)
    if (key !== k) verdict.wrongKey++
    const high = highest.get(k) ?? -1
    if (s < high) verdict.order++
    else highest.set(k, s)
  }
  verdict.lost = n - seen.size
  return verdict
}
