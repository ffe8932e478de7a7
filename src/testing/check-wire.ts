import type { AnyEvent, Catalog, EventMap, PayloadOf } from '../events/catalog.ts'
import { encodeEvent } from '../events/event-message.ts'
import { upcast } from '../events/upcast.ts'
import { validate } from '../events/validate.ts'
import { OutboxError } from '../message/errors.ts'
import { pathTo } from '../message/payload.ts'
import { difference } from './difference.ts'

/** Payloads to try, by the names of their events. */
export type WireSamples<E extends EventMap> = { [T in keyof E]?: readonly PayloadOf<E[T]>[] }

/**
 * Sends samples through what a message goes through: the schema, JSON (or the codec), and the schema again, as a consumer does it. Throws
 * INVALID_PAYLOAD with the path where the consumer would get something else than the producer had. The compiler checks types only: a
 * refinement that fails the second time, or a transform that changes its own output, is found here.
 *
 * @example await checkWire(events, { OrderPlaced: [{ orderId: '1', total: 1990 }] })
 */
export async function checkWire<C extends Catalog>(catalog: C, samples: WireSamples<C['events']>): Promise<void> {
  for (const [type, payloads] of Object.entries(samples as Record<string, readonly unknown[] | undefined>)) {
    for (const [i, payload] of (payloads ?? []).entries()) await checkSample(catalog, type, payload, `samples.${type}[${i}]`)
  }
}

async function checkSample(catalog: Catalog, type: string, payload: unknown, field: string): Promise<void> {
  // First as a message: it refuses unknown types, and everything that cannot be enqueued.
  const { value } = await encodeEvent({ type, payload: payload as never }, catalog, { path: `${field}.` })
  const event = catalog.find(type)!
  const version = event.versions.length
  const written = await validate(event.versions.at(-1)!.schema, payload, { type, version, field })
  const read = await upcast(event, { type, version, payload: await decode(catalog, event, type, value) })
  const path = difference(written, read, 'wholly')
  if (path === undefined) return
  const place = pathTo(field, path)
  const remedy = 'Let the schema give the same when it takes the JSON of what it gave.'
  throw new OutboxError('INVALID_PAYLOAD', `${place} reaches the consumer of ${type} changed.`, { field: place, remedy })
}

function decode({ codec }: Catalog, { topic, versions }: AnyEvent, type: string, value: Uint8Array | null): unknown {
  if (value === null) return null
  if (codec) return codec.decode(value, { topic, type, version: versions.length })
  return JSON.parse(Buffer.from(value).toString())
}
