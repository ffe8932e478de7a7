import { types } from 'node:util'
import { OutboxError } from './errors.ts'
import { bytesContentType, checkHeaders } from './headers.ts'
import { checkId, uuidv7 } from './id.ts'
import { bucketOf, encodeKey, type MessageKey } from './key.ts'
import { encodeJson, type JsonPayload } from './payload.ts'
import { encodeText, isWellFormed } from './text.ts'
import { checkTopic } from './topic.ts'
import { addTrace } from './trace.ts'

/** Size limit of a message in bytes when no other is set: Kafka's own limit for a batch is 1,048,588 with its overhead. */
export const defaultMaxBytes = 900_000

/** A message as the application gives it. */
export interface Message {
  /** Kafka topic: 1 to 249 characters of a-z, A-Z, 0-9, ".", "_" and "-". */
  topic: string
  /** Messages of one topic and key keep their order. A number is written in decimal, bytes as they are. @default null (no key) */
  key?: MessageKey | undefined
  /** A JSON value, or bytes as they are, or null: a tombstone, which needs a key. */
  payload: JsonPayload | Uint8Array | null
  /** Kafka headers beside those that the outbox writes: `id`, `type`, `version`, `content-type`, `created-at`. */
  headers?: Record<string, string> | undefined
  /** Name of the event: the Kafka header `type`. */
  type?: string | undefined
  /** UUID of the message: the Kafka header `id`, the same in every copy. @default a new UUIDv7 */
  id?: string | undefined
  /**
   * Waits until other transactions that locked the same topic and key have ended, so that overlapping ones keep the order of their commits.
   * Only if every writer of the key does so. Without a key it locks the topic's messages without one. @default false
   */
  lockKey?: boolean | undefined
}

/** A message as a row of the outbox table; `id` and `created_at` come from the database. */
export interface MessageRow {
  bucket: number
  messageId: string
  topic: string
  type: string | null
  key: Uint8Array | null
  value: Uint8Array | null
  /** JSON text of a flat object of strings; null when there is none. */
  headers: string | null
  /** Whether its topic and key are locked before its `id` is drawn. No column. */
  lockKey: boolean
}

const fields = new Set(['topic', 'key', 'payload', 'headers', 'type', 'id', 'lockKey'])

/** How and where a message is encoded. */
export interface EncodeOptions {
  /** Limit of key, value and headers together, in bytes. @default {@link defaultMaxBytes} */
  maxBytes?: number | undefined
  /** Where the message stands, for the error: `messages[3].` @default '' */
  path?: string | undefined
  /** Version of the event: the Kafka header `version`. @default no such header */
  version?: number | undefined
  /** What a payload of bytes is. @default {@link bytesContentType} */
  contentType?: string | undefined
  /** Headers of the trace that it belongs to, which the user's own go before. @default {} */
  trace?: Readonly<Record<string, string>> | undefined
}

/**
 * Checks a message and makes its row; copies everything, so the caller may change the message at once. Throws an OutboxError that names
 * the field: INVALID_MESSAGE, INVALID_TOPIC, INVALID_KEY, INVALID_PAYLOAD, INVALID_HEADER, INVALID_ID or MESSAGE_TOO_LARGE.
 */
export function encodeMessage(message: Message, options: EncodeOptions = {}): MessageRow {
  const { maxBytes = defaultMaxBytes, path = '', version, contentType = bytesContentType, trace = {} } = options
  checkShape(message, path, fields)
  const { topic, payload } = message
  checkTopic(topic, `${path}topic`)
  const key = encodeKey(message.key, `${path}key`)
  const headers = checkHeaders(message.headers, `${path}headers`)
  const type = checkType(message.type, `${path}type`)
  const messageId = message.id === undefined ? uuidv7() : checkId(message.id, `${path}id`)
  const lockKey = checkLockKey(message.lockKey, `${path}lockKey`)
  const value = encodePayload(payload, key, `${path}payload`)
  checkSize(key, value, headers, maxBytes, path)
  if (types.isUint8Array(payload)) headers['content-type'] = contentType
  if (version !== undefined) headers.version = String(version)
  addTrace(headers, trace)
  const headerText = Object.keys(headers).length === 0 ? null : JSON.stringify(headers)
  return { bucket: bucketOf(topic, key), messageId, topic, type, key, value, headers: headerText, lockKey }
}

/** Throws INVALID_MESSAGE if the message is no object, or has a field that is not among the known ones. */
export function checkShape(message: unknown, path: string, fields: ReadonlySet<string>): void {
  const field = path === '' ? 'message' : path.slice(0, -1)
  const refuse = (what: string, remedy: string) => new OutboxError('INVALID_MESSAGE', `${field} ${what}.`, { field, remedy })
  if (typeof message !== 'object' || message === null || Array.isArray(message)) {
    throw refuse('is not an object', `A message is { ${[...fields].join(', ')} }.`)
  }
  // A misspelt `headers`, or a `partition` that nothing would obey, must not vanish silently.
  const stranger = Object.keys(message).find((name) => !fields.has(name))
  if (stranger !== undefined)
    throw refuse(`has an unknown field ${JSON.stringify(stranger.slice(0, 60))}`, `Known: ${[...fields].join(', ')}.`)
}

function checkType(type: unknown, field: string): string | null {
  if (type === undefined || type === null) return null
  if (typeof type === 'string' && type !== '' && isWellFormed(type) && !type.includes('\0')) return type
  const remedy = 'The type is the name of the event, a text of at least one character, or left out.'
  throw new OutboxError('INVALID_MESSAGE', `${field} is not a name.`, { field, remedy })
}

/** Whether a key is locked; undefined: not. Throws INVALID_MESSAGE. */
export function checkLockKey(lockKey: unknown, field: string): boolean {
  if (lockKey === undefined || typeof lockKey === 'boolean') return lockKey ?? false
  throw new OutboxError('INVALID_MESSAGE', `${field} is not a boolean.`, {
    field,
    remedy: 'Give true or false, or leave it out.',
  })
}

function encodePayload(payload: unknown, key: Uint8Array | null, field: string): Uint8Array | null {
  if (types.isUint8Array(payload)) return new Uint8Array(payload)
  if (payload !== null) return encodeText(encodeJson(payload, field))
  if (key !== null) return null
  const remedy = 'Compaction removes by key: give the key, or leave null to payloads that mean a deletion.'
  throw new OutboxError('INVALID_PAYLOAD', `${field} is null, a tombstone, and the message has no key.`, { field, remedy })
}

function checkSize(
  key: Uint8Array | null,
  value: Uint8Array | null,
  headers: Record<string, string>,
  maxBytes: number,
  path: string,
) {
  const texts = Object.entries(headers).flat()
  const headerBytes = texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0)
  const size = (key?.length ?? 0) + (value?.length ?? 0) + headerBytes
  if (size <= maxBytes) return
  const parts = `key ${key?.length ?? 0}, value ${value?.length ?? 0}, headers ${headerBytes}`
  throw new OutboxError('MESSAGE_TOO_LARGE', `The message has ${size} bytes (${parts}), over the limit of ${maxBytes}.`, {
    field: `${path}payload`,
    remedy: 'Store the data elsewhere and send a reference, or raise maxBytes together with max.message.bytes of the topic.',
  })
}
