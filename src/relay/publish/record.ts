import { addedHeaders, jsonContentType, maxHeaders } from '../../message/headers.ts'
import { isTopic } from '../../message/topic.ts'
import type { OutboxRow } from '../../store/store.ts'
import type { TransportRecord } from '../../transport/transport.ts'

/** Milliseconds of the years 1 to 9999, which RFC 3339 can write. */
const firstMs = Date.parse('0001-01-01T00:00:00Z')
const lastMs = Date.parse('9999-12-31T23:59:59.999Z')

/**
 * Why a row can never be a Kafka record, in words without its data; undefined: it can. The enqueue refuses such messages; a row that SQL wrote
 * can be anything that its columns take.
 * Keeps rule 11 of docs/protocol.md.
 */
export function recordFault({ topic, createdAt, headers }: OutboxRow): string | undefined {
  if (!isTopic(topic)) return 'Its topic is no name that Kafka takes: 1 to 249 characters of a-z, A-Z, 0-9, ".", "_" and "-".'
  if (!(createdAt >= firstMs && createdAt <= lastMs)) return 'Its created_at is outside the years 1 to 9999.'
  if (headers === null) return undefined
  if (typeof headers !== 'object' || Array.isArray(headers)) return 'Its headers are not an object.'
  let count = 0
  for (const name in headers) {
    if (typeof headers[name] !== 'string') return 'A header is not a string.'
    count++
  }
  if (count > maxHeaders + addedHeaders) return `It has ${count} headers; at most ${maxHeaders} are carried.`
  return undefined
}

/**
 * The Kafka record of a row: stored key and value as they are; the message's own headers, then ours. The id's name is the one that
 * Debezium's outbox router uses, so that consumers can change over.
 */
export function toRecord(row: OutboxRow): TransportRecord {
  const headers = copied(row.headers)
  headers.id = row.messageId
  headers['created-at'] = rfc3339(row.createdAt)
  if (row.type !== null) headers.type = row.type
  if (row.value !== null && headers['content-type'] === undefined) headers['content-type'] = jsonContentType
  return { key: row.key, value: row.value, headers }
}

/**
 * A copy to which names can be added. V8 is slow to add them to the spread of what JSON.parse made, slower than all else that is done with
 * a record; Object.assign alone would lose a header `__proto__`.
 */
function copied(headers: OutboxRow['headers']): Record<string, string> {
  return headers !== null && Object.hasOwn(headers, '__proto__') ? { ...headers } : Object.assign({}, headers)
}

let second = Number.NaN
let upToSecond = ''

/** The time as RFC 3339 in UTC. Rows come in the order of their times: within one second only the end of the text differs. */
function rfc3339(ms: number): string {
  const start = Math.floor(ms / 1_000) * 1_000
  if (start !== second) {
    second = start
    upToSecond = new Date(second).toISOString().slice(0, -4)
  }
  return `${upToSecond}${String(ms - start).padStart(3, '0')}Z`
}
