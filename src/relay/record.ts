import { jsonContentType } from '../message/headers.ts'
import type { OutboxRow } from '../store/store.ts'
import type { TransportRecord } from '../transport/transport.ts'

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
