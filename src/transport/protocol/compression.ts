// The codecs of Kafka's record batches, by Kafka's names and numbers. Used by the encoder of the transports and, through kafkajs/codecs.ts,
// by everything that reads records. It knows which package serves a codec that Node lacks, and loads it when it is needed.

import * as zlib from 'node:zlib'
import { OutboxError } from '../../message/errors.ts'
import { findOptional, requireOptional } from '../../running/optional-package.ts'
import { WireCursor } from './wire-cursor.ts'

/** Names of the codecs. The index of a name is its number in the attributes of a batch. */
export const compressions = ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const

/** One of {@link compressions}. */
export type Compression = (typeof compressions)[number]

/** Compresses the records of batches. */
export interface Compressor {
  /** Number of its codec in a batch's attributes. */
  readonly number: number
  compress(bytes: Buffer): Uint8Array
}

/** Both directions of a codec. */
interface Codec {
  /** Undefined: what serves the codec here can only read. */
  compress: ((bytes: Buffer) => Uint8Array) | undefined
  decompress(bytes: Buffer): Uint8Array
}

/** Node's own zstd, from 22.15 and 23.8 on. */
const { zstdCompressSync, zstdDecompressSync } = zlib as {
  zstdCompressSync?: (bytes: Buffer) => Buffer
  zstdDecompressSync?: (bytes: Buffer) => Buffer
}

/** The package that serves a codec, an optional peer dependency; undefined: Node does. */
const packages: Record<Exclude<Compression, 'none'>, string | undefined> = {
  gzip: undefined,
  snappy: 'snappyjs',
  lz4: 'lz4-napi',
  zstd: zstdDecompressSync === undefined ? 'fzstd' : undefined,
}

/** The codec of that name. Throws COMPRESSION_PACKAGE if its package is missing or cannot be loaded. */
export function codecOf(name: Exclude<Compression, 'none'>): Codec {
  try {
    return makers[name]()
  } catch (cause) {
    throw packageMissing(name, cause)
  }
}

const makers: Record<Exclude<Compression, 'none'>, () => Codec> = {
  gzip: () => ({ compress: (bytes) => zlib.gzipSync(bytes), decompress: (bytes) => zlib.gunzipSync(bytes) }),
  snappy() {
    const { compress, uncompress } = load<{ compress: Codec['decompress']; uncompress: Codec['decompress'] }>('snappy')
    return { compress, decompress: (bytes) => unframed(bytes, uncompress) }
  },
  lz4() {
    const lz4 = load<{ compressFrameSync: Codec['decompress']; decompressFrameSync: Codec['decompress'] }>('lz4')
    return { compress: lz4.compressFrameSync, decompress: lz4.decompressFrameSync }
  },
  zstd() {
    if (zstdDecompressSync) return { compress: zstdCompressSync, decompress: zstdDecompressSync }
    return { compress: undefined, decompress: load<Pick<Codec, 'decompress'>>('zstd').decompress }
  },
}

const load = <T>(name: keyof typeof makers): T => requireOptional<T>(packages[name]!)

/** Whether records with this codec can be read: by Node, or by a package that is installed. */
export function isReadable(name: Exclude<Compression, 'none'>): boolean {
  const needed = packages[name]
  try {
    if (needed !== undefined) findOptional(needed)
    return true
  } catch {
    return false
  }
}

/** What to install for a codec. */
export const installRemedy = (name: Exclude<Compression, 'none'>): string => `Run "npm install ${packages[name]}".`

function packageMissing(name: Exclude<Compression, 'none'>, cause: unknown): OutboxError {
  const missing = (cause as NodeJS.ErrnoException | undefined)?.code === 'MODULE_NOT_FOUND'
  const what = `The compression ${name} needs the package ${packages[name]}, which ${missing ? 'is not installed' : 'cannot be loaded'}.`
  return new OutboxError('COMPRESSION_PACKAGE', what, { field: 'compression', remedy: installRemedy(name), cause })
}

/**
 * What compresses batches with the codec of that name; undefined for `none`.
 *
 * @throws OutboxError INVALID_OPTION for a name that there is not; COMPRESSION_PACKAGE if nothing here compresses so.
 */
export function compressorOf(name: Compression): Compressor | undefined {
  if (name === 'none') return undefined
  const number = compressions.indexOf(name)
  if (number < 0) {
    const remedy = `Use one of ${compressions.join(', ')}.`
    throw new OutboxError('INVALID_OPTION', 'There is no compression of that name.', { field: 'compression', remedy })
  }
  const { compress } = codecOf(name)
  if (compress) return { number, compress }
  const remedy = 'Run Node 22.15 or newer, or choose another compression.'
  throw new OutboxError('COMPRESSION_PACKAGE', `Node ${process.versions.node} cannot compress with ${name}.`, {
    field: 'compression',
    remedy,
  })
}

/** The first bytes of what snappy-java writes: blocks behind a head, each with its length. Other clients write one block without a head. */
const javaMagic = Buffer.from('\x82SNAPPY\0', 'latin1')

/** Bytes of that head: the magic and two versions. */
const javaHeadSize = 16

function unframed(bytes: Buffer, uncompress: Codec['decompress']): Uint8Array {
  if (!bytes.subarray(0, javaMagic.length).equals(javaMagic)) return uncompress(bytes)
  const cursor = new WireCursor(bytes.subarray(javaHeadSize))
  const blocks: Uint8Array[] = []
  while (cursor.left > 0) blocks.push(uncompress(cursor.raw(cursor.int32())))
  return Buffer.concat(blocks)
}
