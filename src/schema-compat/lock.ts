import type { AnyEvent, Catalog, EventVersion } from '../events/catalog.ts'
import { OutboxError } from '../message/errors.ts'
import type { JsonSchema, SchemaObject } from './json-schema.ts'

/** Format of the lock file. */
export const lockFormat = 1

/** What the lock file keeps of a version. */
export interface LockedVersion {
  /** What consumers of this version take. */
  in: JsonSchema
  /** What producers of this version write. */
  out: JsonSchema
  /** Library that made the schemas. */
  vendor: string
}

/** What it keeps of an event. */
export interface LockedEvent {
  topic: string
  /** Oldest first. */
  versions: LockedVersion[]
}

/** A break that was wanted, and why. */
export interface AcceptedBreak {
  finding: string
  reason: string
}

/** The lock file: the events as they were when it was written. */
export interface Lock {
  format: typeof lockFormat
  /** By the names of the events. */
  events: Record<string, LockedEvent>
  /** Breaks that were wanted: a record for anyone who reads the file. */
  accepted: AcceptedBreak[]
}

/** The catalog as the lock file keeps it. Throws INVALID_OPTION for a schema that gives no JSON Schema. */
export function lockOf({ events }: Catalog, accepted: AcceptedBreak[] = []): Lock {
  const names = Object.keys(events).sort()
  return {
    format: lockFormat,
    accepted,
    events: Object.fromEntries(names.map((name) => [name, lockedEvent(name, events[name]!)])),
  }
}

const lockedEvent = (name: string, { topic, versions }: AnyEvent): LockedEvent => ({
  topic,
  versions: versions.map((version, i) => lockedVersion(`version ${i + 1} of ${name}`, version)),
})

function lockedVersion(what: string, { schema }: EventVersion): LockedVersion {
  const { jsonSchema, vendor } = schema['~standard']
  if (!jsonSchema) {
    const remedy = 'Use zod 4.2 or newer, arktype 2.2 or newer, or toStandardJsonSchema() of @valibot/to-json-schema.'
    throw new OutboxError('INVALID_OPTION', `The schema of ${what} gives no JSON Schema.`, { field: 'schema', remedy })
  }
  const taken = converted(what, () => jsonSchema.input({ target: 'draft-2020-12' }))
  return { in: taken, out: writtenBy(() => jsonSchema.output({ target: 'draft-2020-12' })) ?? taken, vendor }
}

function converted(what: string, convert: () => unknown): JsonSchema {
  try {
    return plain(convert()) as JsonSchema
  } catch (cause) {
    const remedy = 'Use a type that JSON has; for dates z.iso.datetime(), or z.codec() around it, and not z.coerce.date().'
    throw new OutboxError('INVALID_OPTION', `JSON Schema cannot say what ${what} takes.`, { field: 'schema', remedy, cause })
  }
}

/** Undefined where the output is no JSON, as of a codec: what is written then is what is taken, or no consumer could read it. */
function writtenBy(convert: () => unknown): JsonSchema | undefined {
  try {
    return plain(convert()) as JsonSchema
  } catch {
    return undefined
  }
}

const words = new Set(['$schema', 'title', 'description', 'examples', 'deprecated', 'readOnly', 'writeOnly', 'default'])
const mapsOfSchemas = new Set(['properties', 'patternProperties', '$defs', 'definitions'])
const values = new Set(['enum', 'const', 'required'])

/** Sorted, and without words that refuse no value: the file changes where the meaning does. */
function plain(schema: unknown, isMap = false): unknown {
  if (Array.isArray(schema)) return schema.map((one) => plain(one))
  if (typeof schema !== 'object' || schema === null) return schema
  const kept = Object.entries(schema as SchemaObject)
    .filter(([name]) => isMap || !words.has(name))
    .sort(([a], [b]) => (a < b ? -1 : 1))
  return Object.fromEntries(
    kept.map(([name, value]) => [name, !isMap && values.has(name) ? value : plain(value, !isMap && mapsOfSchemas.has(name))]),
  )
}

/** Text of the lock file. */
export const lockText = (lock: Lock): string => `${JSON.stringify(lock, null, 2)}\n`

/** The lock of a file's text. Throws INVALID_OPTION. */
export function parseLock(text: string, name: string): Lock {
  const refuse = (what: string, remedy: string, cause?: unknown) =>
    new OutboxError('INVALID_OPTION', `${name} ${what}.`, { field: 'lock', remedy, cause })
  let lock: Partial<Lock> | null
  try {
    lock = JSON.parse(text)
  } catch (cause) {
    throw refuse('is no JSON', 'Restore it from the repository.', cause)
  }
  if (lock?.format !== lockFormat || typeof lock.events !== 'object' || lock.events === null) {
    throw refuse(`has not the format ${lockFormat}`, 'Write it again with "schema lock", or update this package.')
  }
  return { format: lockFormat, events: lock.events, accepted: lock.accepted ?? [] }
}

/** Whether two schemas are the same text: then nothing need be compared. */
export const sameText = (a: JsonSchema, b: JsonSchema): boolean => JSON.stringify(plain(a)) === JSON.stringify(plain(b))
