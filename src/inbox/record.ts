import { createHash } from 'node:crypto'
import type { KafkaMessage } from 'kafkajs'
import { checkId } from '../message/id.ts'

// Keeps rule 24 of docs/protocol-application.md.

/** A record as a consumer reads it, or as it stands in inbox_dead_letter. */
export interface InboxRecord {
  topic: string
  partition: number
  /** Offsets are longer than a JavaScript number. */
  offset: string
  /** Header `id`, in lower case; null where it is missing or no UUID. */
  id: string | null
  /** Header `type`. */
  type: string | null
  key: Uint8Array | null
  value: Uint8Array | null
  headers: Record<string, string>
}

/** A record that was read, with what tells it apart from every other. */
export interface NewRecord extends InboxRecord {
  /**
   * The id; of a record without one, a UUID made of everything that stays the same when it is read again. An offset alone is no identity: it
   * comes again in a recreated topic and in another cluster.
   */
  readonly identity: string
}

/** The record that kafkajs has read. */
export function recordOf(topic: string, partition: number, message: KafkaMessage): NewRecord {
  const { offset, key, value, headers } = message
  const texts: Record<string, string> = {}
  // Of a header that comes several times the last one counts, as in Kafka's own clients.
  for (const [name, given] of Object.entries(headers ?? {}))
    texts[clean(name)] = clean(String(Array.isArray(given) ? given.at(-1) : given))
  const id = idOf(texts.id)
  let identity = id ?? undefined
  return {
    topic,
    partition,
    offset,
    id,
    type: texts.type ?? null,
    key,
    value,
    headers: texts,
    // Most records without an id are of no event that has a handler: nobody asks.
    get identity() {
      identity ??= identityOf(topic, partition, message)
      return identity
    },
  }
}

/** A UUID of version 8 with 122 bits of a digest; each part goes in with its length, so that no two records look alike. */
function identityOf(topic: string, partition: number, { offset, timestamp, key, value }: KafkaMessage): string {
  const digest = createHash('sha256')
  for (const part of [topic, String(partition), offset, timestamp, key, value]) {
    digest.update(part === null ? 'null ' : `${Buffer.byteLength(part)} `)
    if (part !== null) digest.update(part)
  }
  const bytes = digest.digest().subarray(0, 16)
  bytes[6] = (bytes[6]! & 0x0f) | 0x80
  bytes[8] = (bytes[8]! & 0x3f) | 0x80
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-')
}

/** PostgreSQL can hold no NUL in text, and a record of another producer may have one. */
export const clean = (text: string): string => text.replaceAll('\0', '\uFFFD')

function idOf(header: string | undefined): string | null {
  try {
    return checkId(header, 'id')
  } catch {
    return null
  }
}
