import { jsonContentType } from '../message/headers.ts'
import type { OutboxRow } from '../store/store.ts'
import type { TransportRecord } from '../transport/transport.ts'

/**
 * The Kafka record of a row: stored key and value as they are; the message's own headers, then ours. The id's name is the one that
 * Debezium's outbox router uses, so that consumers can change over.
 */
export function toRecord(row: OutboxRow): TransportRecord {
  const headers: Record<string, string> = {
    ...row.headers,
    id: row.messageId,
    'created-at': new Date(row.createdAt).toISOString(),
  }
  if (row.type !== null) headers.type = row.type
  if (row.value !== null && headers['content-type'] === undefined) headers['content-type'] = jsonContentType
  return { key: row.key, value: row.value, headers }
}
