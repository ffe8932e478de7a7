import { jsonContentType } from '../message/headers.ts'

/** A message in a form that tests can compare. */
export interface OutboxMessage {
  /** UUID of the message. */
  id: string
  topic: string
  /** As text; null for a message without a key. */
  key: string | null
  type: string | null
  /** The JSON value; bytes for a payload that is not JSON; null for a tombstone. */
  payload: unknown
  /** Headers that the application gave, `version` and the trace; not those that the other fields tell. */
  headers: Record<string, string>
}

/** What is stored of a message, in the outbox or in Kafka. */
interface Stored extends Omit<OutboxMessage, 'key' | 'payload'> {
  key: Uint8Array | null
  value: Uint8Array | null
}

const told = new Set(['id', 'type', 'content-type', 'created-at'])

/** Reads key and payload; a value without `content-type` is JSON. */
export function tell({ id, topic, key, type, value, headers }: Stored): OutboxMessage {
  const isJson = (headers['content-type'] ?? jsonContentType) === jsonContentType
  return {
    id,
    topic,
    key: key === null ? null : text(key),
    type,
    payload: value === null ? null : isJson ? JSON.parse(text(value)) : new Uint8Array(value),
    headers: Object.fromEntries(Object.entries(headers).filter(([name]) => !told.has(name))),
  }
}

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString()
