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
 * @param random a random UUID: its bits behind the version stand at the same place in both, and Node draws them from a pool.
 */
export function uuidv7(now: number = Date.now(), random: string = crypto.randomUUID()): string {
  const time = now.toString(16).padStart(12, '0')
  return `${time.slice(0, 8)}-${time.slice(8)}-7${random.slice(15)}`
}

/** Unix time in ms at which a UUID version 7 was made, by the clock of its maker; undefined for every other version. */
export const createdAtOf = (id: string): number | undefined =>
  id[14] === '7' ? Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16) : undefined
