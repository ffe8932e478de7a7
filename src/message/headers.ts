import { OutboxError } from './errors.ts'
import { isWellFormed } from './text.ts'

/** Names of the headers that the outbox writes itself; a message may not carry them. */
export const reservedHeaders = ['id', 'type', 'version', 'content-type', 'created-at'] as const

/** Content type of a value that is not marked otherwise: rows leave it out, the relay writes it. */
export const jsonContentType = 'application/json'

/** Content type of a payload that was given as bytes: its row carries it. */
export const bytesContentType = 'application/octet-stream'

/**
 * Headers that a message may have of its own: kafkajs, as a consumer, copies all headers for each header, and 20,000 of them keep it busy for
 * a minute.
 */
export const maxHeaders = 100

/** Headers that enqueue adds to a row: `content-type`, `version`, `traceparent` and `tracestate`. */
export const addedHeaders = 4

const reserved = new Set<string>(reservedHeaders)

/** A copy of the user's headers. Throws INVALID_HEADER; the error names the header, never its value. */
export function checkHeaders(headers: unknown, field: string): Record<string, string> {
  if (headers === undefined || headers === null) return {}
  if (typeof headers !== 'object' || Array.isArray(headers) || headers instanceof Map) {
    const remedy = 'Headers are a plain object of strings: { name: value }.'
    throw new OutboxError('INVALID_HEADER', `${field} is not a plain object.`, { field, remedy })
  }
  const entries = Object.entries(headers)
  if (entries.length > maxHeaders) {
    const remedy = `Give at most ${maxHeaders} headers; put the rest into the payload.`
    throw new OutboxError('INVALID_HEADER', `${field} has ${entries.length} headers.`, { field, remedy })
  }
  for (const [name, value] of entries) checkHeader(name, value, field)
  return Object.fromEntries(entries)
}

function checkHeader(name: string, value: unknown, path: string): void {
  const field = `${path}[${JSON.stringify(name)}]`
  const refuse = (what: string, remedy: string) => new OutboxError('INVALID_HEADER', `${field} ${what}.`, { field, remedy })
  if (name === '') throw refuse('has an empty name', 'Give the header a name.')
  // A name that differs only in case would stand beside ours, and consumers would pick one at random.
  if (reserved.has(name.toLowerCase()))
    throw refuse('belongs to the outbox', `Rename it: the relay writes ${reservedHeaders.join(', ')}.`)
  if (typeof value !== 'string') throw refuse('is not a string', 'Write the value as a string, or leave the header out.')
  const remedy = 'Encode it first, for example as base64.'
  if (!isWellFormed(name) || !isWellFormed(value)) throw refuse('has an unpaired surrogate, which UTF-8 cannot hold', remedy)
  // PostgreSQL's jsonb refuses it with 22P05, in the middle of the transaction.
  if (name.includes('\0') || value.includes('\0')) throw refuse('has a NUL character, which PostgreSQL cannot hold', remedy)
}
