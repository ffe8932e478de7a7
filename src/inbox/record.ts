import type { KafkaMessage } from 'kafkajs'
import { checkId } from '../message/id.ts'

/** A record as a consumer reads it, or as it stands in inbox_parked. */
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

/** The record that kafkajs has read. */
export function recordOf(topic: string, partition: number, { offset, key, value, headers }: KafkaMessage): InboxRecord {
  const texts: Record<string, string> = {}
  // Of a header that comes several times the last one counts, as in Kafka's own clients.
  for (const [name, given] of Object.entries(headers ?? {}))
    texts[clean(name)] = clean(String(Array.isArray(given) ? given.at(-1) : given))
  return { topic, partition, offset, id: idOf(texts.id), type: texts.type ?? null, key, value, headers: texts }
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
