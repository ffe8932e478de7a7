import { types } from 'node:util'
import { OutboxError } from './errors.ts'
import { encodeText, isWellFormed } from './text.ts'

/** Number of buckets: a constant of the table format, never a setting. Relays that disagreed would split a key. */
export const bucketCount = 64

/**
 * MurmurHash2, 32 bits, seed 0x9747b28c, as `org.apache.kafka.common.utils.Utils.murmur2` computes it: the hash of Kafka's own
 * producer, so that every client finds a key in the same partition. Returns a signed 32-bit integer.
 */
export function murmur2(data: Uint8Array): number {
  const m = 0x5bd1e995
  const length = data.length
  let h = 0x9747b28c ^ length
  const whole = length & ~3
  for (let i = 0; i < whole; i += 4) {
    let k = data[i]! | (data[i + 1]! << 8) | (data[i + 2]! << 16) | (data[i + 3]! << 24)
    k = Math.imul(k, m)
    k ^= k >>> 24
    h = Math.imul(h, m) ^ Math.imul(k, m)
  }
  const rest = length - whole
  if (rest > 2) h ^= data[whole + 2]! << 16
  if (rest > 1) h ^= data[whole + 1]! << 8
  if (rest > 0) h = Math.imul(h ^ data[whole]!, m)
  h ^= h >>> 13
  h = Math.imul(h, m)
  return h ^ (h >>> 15)
}

/** Kafka's `toPositive`: the sign bit is cleared, not negated. */
const toPositive = (hash: number): number => hash & 0x7fffffff

const topicHashes = new Map<string, number>()

/** Hash that places a message: of its key, or of its topic when it has none, so that messages without a key keep their order too. */
export function placementHash(topic: string, key: Uint8Array | null): number {
  if (key !== null) return toPositive(murmur2(key))
  let hash = topicHashes.get(topic)
  if (hash === undefined) {
    hash = toPositive(murmur2(encodeText(topic)))
    if (topicHashes.size < 10_000) topicHashes.set(topic, hash)
  }
  return hash
}

/** Bucket of the outbox table, 0 to 63, in which a message of that topic and key is stored. */
export const bucketOf = (topic: string, key: Uint8Array | null): number => placementHash(topic, key) % bucketCount

/** Kafka partition, 0 to `partitions` - 1, of a message of that topic and key. */
export const partitionOf = (topic: string, key: Uint8Array | null, partitions: number): number =>
  placementHash(topic, key) % partitions

/** What a key may be given as. Numbers are written in decimal; bytes stay as they are; null is a message without a key. */
export type MessageKey = string | number | bigint | Uint8Array | null

/** Key bytes as Kafka gets them; null without a key. An empty string is a key of zero bytes. Throws INVALID_KEY. */
export function encodeKey(key: unknown, field: string): Uint8Array | null {
  const refuse = (what: string, remedy: string) => new OutboxError('INVALID_KEY', `${field} ${what}.`, { field, remedy })
  if (key === null || key === undefined) return null
  // A copy: the caller may change the array before the INSERT is sent.
  if (types.isUint8Array(key)) return new Uint8Array(key)
  switch (typeof key) {
    case 'string':
      // It would become U+FFFD, and with it different keys one.
      if (!isWellFormed(key)) throw refuse('has an unpaired surrogate, which UTF-8 cannot hold', 'Encode it, or give bytes.')
      return encodeText(key)
    case 'bigint':
      return encodeText(key.toString())
    case 'number':
      // Beyond 2^53 neighbors share one number, and 1e21 or 1e-7 is not the text that other producers write.
      if (!Number.isFinite(key) || Math.abs(key) > Number.MAX_SAFE_INTEGER || String(key).includes('e')) {
        throw refuse('is a number without an exact decimal text', 'Give a BigInt or a string.')
      }
      return encodeText(String(key))
    default:
      throw refuse(`is ${Array.isArray(key) ? 'an array' : `of type ${typeof key}`}`, 'Give a string, for example String(key).')
  }
}
