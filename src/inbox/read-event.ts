import type { KafkaMessage } from 'kafkajs'
import type { Catalogue, EventMap } from '../events/catalog.ts'
import { OutboxError } from '../message/errors.ts'
import { decode } from './decode.ts'
import type { ReceivedEvent } from './handlers.ts'
import { recordOf } from './record.ts'

/** Any event of a catalogue: `switch (event.type)` tells which, and with it the payload. */
export type AnyReceivedEvent<E extends EventMap> = { [T in keyof E]: ReceivedEvent<E, T> }[keyof E]

/** Where a record was read, and the record as kafkajs gives it. */
export interface ReadRecord {
  topic: string
  partition: number
  message: KafkaMessage
}

/**
 * The event that a record holds, validated and brought to its newest version; undefined where the catalogue has no event of its type. For
 * consumers without {@link createInbox}: by hand with `inbox.once`, or without a database. Rejects with INVALID_ID, and with INVALID_PAYLOAD
 * for everything else that no other try would heal; where the catalogue's codec rejects, with the codec's own error.
 *
 * @example
 * const event = await readEvent(events, { topic, partition, message })
 * if (event?.type === 'OrderPlaced') console.log(event.payload.total)
 */
export async function readEvent<E extends EventMap>(
  events: Catalogue<E>,
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
