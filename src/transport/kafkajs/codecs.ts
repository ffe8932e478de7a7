import type { CompressionCodecs } from 'kafkajs'
import { isOutboxError, OutboxError } from '../../message/errors.ts'
import { type Compression, codecOf, compressions, installRemedy, isReadable } from '../protocol/compression.ts'

/**
 * Codecs for what kafkajs (2.2.4) fetches: it brings gzip, and asks the application to register the others. Called by `guarded-kafka.ts`
 * for everything that reads records. Owns nothing: kafkajs keeps the codecs.
 */

/** kafkajs' list: by number a function that returns the codec, or throws as long as there is none. */
type Registered = Record<number, () => unknown>

/** The error of kafkajs for a codec that is not registered. Of any copy of kafkajs, so by its name. */
const isUnregistered = (error: unknown): error is Error => error instanceof Error && error.name === 'KafkaJSNotImplemented'

/** Registers the codecs that Node and the installed packages serve. Those of the application stay. */
export function registerCodecs(codecs: typeof CompressionCodecs): void {
  const registered = codecs as unknown as Registered
  for (const [number, name] of compressions.entries()) {
    if (name !== 'none' && isReadable(name) && !isThere(registered[number]!)) registered[number] = () => kafkajsCodec(name)
  }
}

function isThere(make: () => unknown): boolean {
  try {
    make()
    return true
  } catch (error) {
    return !isUnregistered(error)
  }
}

/** A codec in kafkajs' shape, for its producers too. */
const kafkajsCodec = (name: Exclude<Compression, 'none'>) => ({
  compress: async ({ buffer }: { buffer: Buffer }) => codecOf(name).compress!(buffer),
  decompress: async (bytes: Buffer) => asBuffer(codecOf(name).decompress(bytes)),
})

const asBuffer = ({ buffer, byteOffset, length }: Uint8Array): Buffer => Buffer.from(buffer, byteOffset, length)

/** The refusal of records whose codec is missing, if that is behind an error; `where` names them. */
export function missingCodec(error: unknown, where = 'They are compressed'): OutboxError | undefined {
  let found = error
  for (let depth = 0; depth < 10 && found instanceof Error; depth++, found = found.cause) {
    if (isOutboxError(found, 'OUTBOX_COMPRESSION_PACKAGE')) return refused(where, found.remedy, found)
    const name = isUnregistered(found) ? codecIn(found.message) : undefined
    if (name !== undefined) return refused(where, remedyFor(name), found)
  }
  return undefined
}

/** kafkajs says "LZ4 compression not implemented". */
const codecIn = (message: string) =>
  compressions.filter((name) => name !== 'none').find((name) => message.toLowerCase().startsWith(name))

/** A codec that can be read here and is not registered is missing in another copy of kafkajs. */
const remedyFor = (name: Exclude<Compression, 'none'>): string =>
  isReadable(name)
    ? `The consumer is of another copy of kafkajs: install one kafkajs 2.2.4, or register a codec for ${name} in its CompressionCodecs.`
    : installRemedy(name)

const refused = (where: string, remedy: string, cause: Error): OutboxError =>
  new OutboxError('COMPRESSION_PACKAGE', `Records cannot be read. ${where}.`, { remedy, cause })
