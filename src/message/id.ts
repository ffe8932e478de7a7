import { OutboxError } from './errors.ts'

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i

/** The id in lower case, as PostgreSQL gives it back. Throws INVALID_ID for everything that is not a UUID of any version. */
export function checkId(id: unknown, field: string): string {
  if (typeof id === 'string' && uuid.test(id)) return id.toLowerCase()
  throw new OutboxError('INVALID_ID', `${field} is not a UUID.`, { field, remedy: 'Leave it out, and the outbox makes one.' })
}

/**
 * A UUID version 7 (RFC 9562, section 5.7): 48 bits of Unix milliseconds, then 74 random bits. Ids of one millisecond have no order; the
 * order of messages is the table's.
 *
 * @param now Unix time in milliseconds.
 * @param random 10 random bytes; 6 of their bits give way to version and variant.
 */
export function uuidv7(now: number = Date.now(), random: Uint8Array = crypto.getRandomValues(new Uint8Array(10))): string {
  const bytes = Buffer.alloc(16)
  bytes.writeUIntBE(now, 0, 6)
  bytes.set(random, 6)
  bytes[6] = (bytes[6]! & 0x0f) | 0x70
  bytes[8] = (bytes[8]! & 0x3f) | 0x80
  const hex = bytes.toString('hex')
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
}
