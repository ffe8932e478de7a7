import { types } from 'node:util'
import { OutboxError } from '../message/errors.ts'
import { checkHeaders } from '../message/headers.ts'
import { checkId, uuidv7 } from '../message/id.ts'
import type { MessageKey } from '../message/key.ts'
import { checkLockKey, checkShape, type EncodeOptions, encodeMessage, type MessageRow } from '../message/message.ts'
import type { JsonPayload } from '../message/payload.ts'
import type { AnyEvent, Catalog, EventMap, EventVersion, PayloadOf } from './catalog.ts'
import { validate } from './validate.ts'

/** The optional fields of an {@link EventMessage}. */
export interface EventExtras {
  /** Kafka headers beside those that the outbox writes. */
  headers?: Record<string, string> | undefined
  /** UUID of the message: the Kafka header `id`. @default a new UUIDv7 */
  id?: string | undefined
  /** Keeps the order of overlapping transactions, as `lockKey` of a message. @default that of the event */
  lockKey?: boolean | undefined
}

/** A message of the catalog. Topic, key and version come from the event. */
export interface EventMessage<E extends EventMap, T extends keyof E = keyof E> extends EventExtras {
  /** Name of the event: the Kafka header `type`. */
  type: T
  /** What the newest schema of the event takes. */
  payload: PayloadOf<E[T]>
}

/** A message of any event of the catalog: payload and type belong together. */
export type AnyEventMessage<E extends EventMap> = { [T in keyof E]: EventMessage<E, T> }[keyof E]

const fields = new Set(['type', 'payload', 'headers', 'id', 'lockKey'])

/**
 * Checks a message against its catalog and makes its row; at once, or as a promise where the schema or the codec is asynchronous. Throws
 * UNKNOWN_EVENT, INVALID_PAYLOAD, and everything that `encodeMessage` throws.
 */
export function encodeEvent(
  message: EventMessage<EventMap>,
  catalog: Catalog,
  { maxBytes, path = '', trace }: EncodeOptions,
): MessageRow | Promise<MessageRow> {
  const event = findEvent(message, catalog, path)
  checkShape(message, path, fields)
  const { type, payload } = message
  // Now, not after an asynchronous schema: the caller may change the message as soon as the call is over.
  const headers = checkHeaders(message.headers, `${path}headers`)
  const id = message.id === undefined ? uuidv7() : checkId(message.id, `${path}id`)
  const lockKey = message.lockKey === undefined ? event.lockKey : checkLockKey(message.lockKey, `${path}lockKey`)
  const version = event.versions.length
  const { schema, key } = event.versions.at(-1)!
  const { topic } = event
  const finish = (valid: unknown, value: unknown) =>
    encodeMessage(
      { topic, key: keyOf(key, valid, type, path), payload: value as JsonPayload, type, headers, id, lockKey },
      { maxBytes, path, version, contentType: catalog.codec?.contentType, trace },
    )
  return then(validate(schema, payload, { type, version, field: `${path}payload` }), (valid) => {
    const { codec } = catalog
    if (!codec) return finish(valid, valid)
    return then(codec.encode(valid, { topic, type, version }), (bytes) => finish(valid, checkBytes(bytes, `${path}payload`)))
  })
}

/** Text or an object would be stored as JSON, under the content type of the codec. */
function checkBytes(bytes: unknown, field: string): Uint8Array {
  if (types.isUint8Array(bytes)) return bytes
  const remedy = 'The function encode of the codec must give a Uint8Array.'
  throw new OutboxError('INVALID_PAYLOAD', `${field} was not made bytes by the codec.`, { field, remedy })
}

function findEvent(message: unknown, catalog: Catalog, path: string): AnyEvent {
  const { type } = (typeof message === 'object' && message !== null ? message : {}) as { type?: unknown }
  const event = catalog.find(type)
  if (event) return event
  const what = type === undefined ? 'is missing' : 'is not in the catalog'
  const remedy = `Give one of its events as the type: ${Object.keys(catalog.events).join(', ')}.`
  throw new OutboxError('UNKNOWN_EVENT', `${path}type ${what}.`, { field: `${path}type`, remedy })
}

/** The key of a payload. An undefined one would lose the order of its messages without a word. */
function keyOf(key: EventVersion['key'], payload: unknown, type: string, path: string): MessageKey {
  if (!key) return null
  const found = key(payload as never)
  if (found !== undefined) return found
  const remedy = `The key function of ${type} must give a key, or null for a message without one.`
  throw new OutboxError('INVALID_KEY', `${path}key is undefined.`, { field: `${path}key`, remedy })
}

/** As `await`, but at once where there is nothing to wait for: a refusal must be thrown at the call wherever it can be. */
function then<T, R>(value: T | Promise<T>, next: (value: T) => R | Promise<R>): R | Promise<R> {
  return types.isPromise(value) ? value.then(next) : next(value)
}
