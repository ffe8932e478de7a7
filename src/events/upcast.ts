import type { AnyEvent } from './catalog.ts'
import { validate } from './validate.ts'

/** A payload as it was read, and what its message says about it. */
export interface ReadEvent {
  type: string
  /** Number of the version under which it was written. */
  version: number
  payload: unknown
}

/**
 * A payload of any version as the newest one: each version's schema validates it, then the next version's `up` takes it further. One of a
 * newer version than the event has is given to the newest schema that is known: writers may be ahead of readers. Throws INVALID_PAYLOAD.
 */
export async function upcast({ versions }: AnyEvent, { type, version, payload }: ReadEvent): Promise<unknown> {
  const first = Math.min(version, versions.length)
  const steps = versions.slice(first - 1)
  let value = payload
  for (const [i, { schema, up }] of steps.entries()) {
    const given = i === 0 ? value : up!(value as never)
    value = await validate(schema, given, { type, version: first + i, field: 'payload' })
  }
  return value
}
