import type { KafkaMessage } from 'kafkajs'
import type { AnyEvent, Catalog, EventMap } from '../events/catalog.ts'
import { upcast } from '../events/upcast.ts'
import { isOutboxError, OutboxError } from '../message/errors.ts'
import type { ReceivedEvent } from './handlers.ts'
import { type InboxRecord, recordOf } from './record.ts'

/** Why a record cannot be read: nothing that waiting would heal. */
export type UnreadableReason = 'INVALID_ID' | 'INVALID_JSON' | 'INVALID_PAYLOAD' | 'NEWER_VERSION' | 'UPCAST_FAILED'

/** What a record turned out to be. */
export type Decoded = { event: ReceivedEvent } | { reason: UnreadableReason; error: string }

const unreadable = (reason: UnreadableReason, error: string): Decoded => ({ reason, error })

/**
 * The event that a record holds, brought to the newest version. Rejects where the catalog's codec does: it may have asked a registry that
 * does not answer, which another try may heal.
 */
export async function decode(record: InboxRecord, event: AnyEvent, { codec }: Catalog): Promise<Decoded> {
  const { id, topic, value, headers } = record
  const type = record.type!
  if (id === null) return unreadable('INVALID_ID', 'The header id is missing, or no UUID.')
  const version = versionOf(headers.version)
  let payload: unknown = null
  if (value !== null && codec) payload = await codec.decode(value, { topic, type, version })
  else if (value !== null) {
    try {
      payload = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(value))
    } catch {
      return unreadable('INVALID_JSON', 'The value is no JSON.')
    }
  }
  try {
    const newest = await upcast(event, { type, version, payload })
    const { partition, offset, key } = record
    const createdAt = headers['created-at'] === undefined ? undefined : new Date(headers['created-at'])
    return { event: { id, type, payload: newest as never, version, topic, partition, offset, key, headers, createdAt } }
  } catch (error) {
    const what = error instanceof Error ? error.message : String(error)
    if (!isOutboxError(error)) return unreadable('UPCAST_FAILED', what)
    return unreadable(version > event.versions.length ? 'NEWER_VERSION' : 'INVALID_PAYLOAD', what)
  }
}

/** A message without the header was written before its event had a second version. */
function versionOf(header: string | undefined): number {
  return /^[1-9]\d{0,8}$/.test(header ?? '') ? Number(header) : 1
}

/** Any event of a catalog: `switch (event.type)` tells which, and with it the payload. */
export type AnyReceivedEvent<E extends EventMap> = { [T in keyof E]: ReceivedEvent<E, T> }[keyof E]

/** Where a record was read, and the record as kafkajs gives it. */
export interface ReadRecord {
  topic: string
  partition: number
  message: KafkaMessage
}

/**
 * The event that a record holds, validated and brought to its newest version; undefined where the catalog has no event of its type. For
 * consumers without {@link createInbox}: by hand with `inbox.once`, or without a database. If the catalog's codec rejects, it rejects with
 * the codec's own error.
 *
 * @throws OutboxError INVALID_ID, and INVALID_PAYLOAD for everything else that no other try would heal.
 * @example
 * ```ts
 * const event = await readEvent(events, { topic, partition, message })
 * if (event?.type === 'OrderPlaced') console.log(event.payload.total)
 * ```
 */
export async function readEvent<E extends EventMap>(
  events: Catalog<E>,
  { topic, partition, message }: ReadRecord,
): Promise<AnyReceivedEvent<E> | undefined> {
  const record = recordOf(topic, partition, message)
  const event = events.find(record.type)
  if (!event) return undefined
  const decoded = await decode(record, event, events)
  if ('event' in decoded) return decoded.event as AnyReceivedEvent<E>
  const code = decoded.reason === 'INVALID_ID' ? 'INVALID_ID' : 'INVALID_PAYLOAD'
  const what = `The record ${topic}/${partition} at ${message.offset} cannot be read (${decoded.reason}): ${decoded.error}`
  const remedy = 'Pass it over or put it aside: reading it again gives the same.'
  throw new OutboxError(code, what, { field: code === 'INVALID_ID' ? 'id' : 'payload', remedy })
}
