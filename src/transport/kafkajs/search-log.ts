import type { SearchLog } from '../transport.ts'
import { findRecord } from './find-record.ts'
import type { KafkajsTransportOptions } from './kafkajs.ts'

/** Milliseconds until a search is given up. */
const searchMs = 30_000

/** Searches one partition with a consumer group `outbox-where-…` of its own: for the rare batch whose fate only the log can tell. */
export const searchLog =
  (kafka: KafkajsTransportOptions): SearchLog =>
  async ({ topic, partition, messageIds, sinceMs }) => {
    const { found, unread } = await findRecord(kafka, { topic, partition, messageIds, sinceMs, timeoutMs: searchMs })
    if (unread > 0) throw new Error('The log could not be read to its end.')
    return found
  }
