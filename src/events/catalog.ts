import { OutboxError } from '../message/errors.ts'
import type { MessageKey } from '../message/key.ts'
import { checkLockKey } from '../message/message.ts'
import { checkTopic } from '../message/topic.ts'
import type { Codec } from './codec.ts'
import { type InputOf, isStandardSchema, type OutputOf, type StandardSchema } from './standard-schema.ts'
import type { WireStable } from './wire.ts'

/** An event as it begins: version 1. */
export interface EventDefinition<S extends StandardSchema> {
  /** Kafka topic of all its versions. */
  topic: string
  /** Key of the message, from the payload as the schema gives it. @default no key */
  key?: ((payload: OutputOf<S>) => MessageKey) | undefined
  /** Whether its messages keep the order of overlapping transactions: see `lockKey` of a message. @default false */
  lockKey?: boolean | undefined
  /** Schema of the payload, of any library with Standard Schema. What it gives is stored: defaults filled in, unknown fields as it likes. */
  schema: S
}

/** The next version of an event; `Keyed` tells whether the version before has a key. */
export type Evolution<Before extends StandardSchema, Keyed extends boolean, S extends StandardSchema> = {
  /** Schema of the new payload. */
  schema: S
  /** Makes a new payload of an old one, for consumers that read what was written before. */
  up: (old: OutputOf<Before>) => InputOf<S>
} & (Keyed extends false ? OptionalKey<S> : OutputOf<S> extends OutputOf<Before> ? OptionalKey<S> : { key: NewKey<S> })

export interface OptionalKey<S extends StandardSchema> {
  key?: NewKey<S> | undefined
}

/** Taken over from the version before only where its function fits: a key that becomes undefined would cost the order. */
export type NewKey<S extends StandardSchema> = (payload: OutputOf<S>) => MessageKey

export type Schemas = readonly [...StandardSchema[], StandardSchema]
export type Last<S extends Schemas> = S extends readonly [...StandardSchema[], infer L extends StandardSchema] ? L : never

/** One version of an event, without its types. */
export interface EventVersion {
  readonly schema: StandardSchema
  readonly key: ((payload: never) => MessageKey) | undefined
  /** From the version before; undefined in version 1. */
  readonly up: ((old: never) => unknown) | undefined
}

/** An event of the catalog, whatever its schemas are. */
export interface AnyEvent {
  readonly topic: string
  /** Whether enqueues lock topic and key. @default false */
  readonly lockKey?: boolean | undefined
  /** All versions, oldest first; the number of a version is its place, beginning with 1. */
  readonly versions: readonly [...EventVersion[], EventVersion]
}

/** An event with all its versions. */
export class EventType<S extends Schemas, Keyed extends boolean = boolean> implements AnyEvent {
  /** Only for the compiler. */
  declare readonly schemas: S
  /** Only for the compiler. */
  declare readonly keyed: Keyed
  readonly topic: string
  readonly versions: readonly [...EventVersion[], EventVersion]
  readonly lockKey: boolean

  /** @internal Use {@link event}. */
  constructor(topic: string, versions: readonly [...EventVersion[], EventVersion], lockKey: boolean) {
    this.topic = topic
    this.versions = versions
    this.lockKey = lockKey
  }

  /** Number of the newest version: the one that is enqueued, and that handlers receive. */
  get version(): S['length'] {
    return this.versions.length
  }

  /**
   * The event with one version more. The older ones stay, so that what was written under them can be read: `up` brings it to the new
   * version. Throws INVALID_OPTION.
   */
  evolve<const N extends StandardSchema>(next: Evolution<Last<S>, Keyed, N>): EventType<readonly [...S, N], Keyed> {
    const { schema, up, key = this.versions.at(-1)!.key } = next as Evolution<Last<S>, false, N>
    checkSchema(schema)
    checkFunction('key', key)
    if (typeof up !== 'function') throw wrong('up', 'is not a function', 'It makes the new payload of an old one.')
    return new EventType<readonly [...S, N], Keyed>(this.topic, [...this.versions, { schema, key, up }], this.lockKey)
  }
}

/**
 * An event of the application: its topic, its key and the schema of its payload. Throws INVALID_TOPIC and INVALID_OPTION.
 *
 * @example event({ topic: 'orders', key: (order) => order.id, schema: z.object({ id: z.string(), total: z.number() }) })
 */
export function event<const S extends StandardSchema>(
  definition: EventDefinition<S> & { key: NewKey<S> },
): EventType<readonly [S], true>
export function event<const S extends StandardSchema>(
  definition: EventDefinition<S> & { key?: undefined },
): EventType<readonly [S], false>
export function event<const S extends StandardSchema>({
  topic,
  key,
  lockKey,
  schema,
}: EventDefinition<S>): EventType<readonly [S]> {
  checkTopic(topic, 'topic')
  checkSchema(schema)
  checkFunction('key', key)
  return new EventType<readonly [S]>(topic, [{ schema, key, up: undefined }], checkLockKey(lockKey, 'lockKey'))
}

/** Events by their names. */
export type EventMap = Readonly<Record<string, AnyEvent>>

/** The events of an application: what may be enqueued, and what consumers read. Made by {@link defineEvents}. */
export class Catalog<E extends EventMap = EventMap> {
  readonly events: E
  /** How payloads become bytes; undefined: as JSON. */
  readonly codec: Codec | undefined

  /** @internal Use {@link defineEvents}. */
  constructor(events: E, codec: Codec | undefined) {
    this.events = events
    this.codec = codec
  }

  /** The event of that name; undefined if there is none. */
  find(type: unknown): AnyEvent | undefined {
    return typeof type === 'string' && Object.hasOwn(this.events, type) ? this.events[type] : undefined
  }
}

export type SchemasOf<E> = E extends { readonly schemas: infer S extends Schemas } ? S : never

/** Payload that may be enqueued for an event: what the newest schema takes. */
export type PayloadOf<E> = InputOf<Last<SchemasOf<E>>>

/** Payload that consumers get: what the newest schema gives. */
export type ReadPayloadOf<E> = OutputOf<Last<SchemasOf<E>>>

/**
 * The catalog of an application's events; the names are the types of the messages. Every schema must accept the JSON of its own output;
 * the compiler checks it, unless a codec writes something else than JSON. Throws INVALID_OPTION.
 *
 * @example defineEvents({ OrderPlaced: event({ … }), OrderShipped: event({ … }) })
 */
export function defineEvents<const E extends EventMap>(events: E & { [K in keyof E]: WireStable<SchemasOf<E[K]>> }): Catalog<E>
export function defineEvents<const E extends EventMap>(events: E, options: { codec: Codec }): Catalog<E>
export function defineEvents<const E extends EventMap>(events: E, options?: { codec?: Codec }): Catalog<E> {
  for (const [name, one] of Object.entries<unknown>(events)) {
    if (name === '') throw wrong('events', 'has an event without a name', 'The name is the type of the message.')
    if (!isEvent(one)) throw wrong(`events.${name}`, 'is not an event', 'Make it with event({ topic, key, schema }).')
  }
  return new Catalog({ ...events }, options?.codec)
}

/** By its shape: two copies of the package have two classes. */
function isEvent(value: unknown): value is AnyEvent {
  return typeof value === 'object' && value !== null && Array.isArray((value as Partial<AnyEvent>).versions)
}

function checkSchema(schema: unknown): void {
  if (isStandardSchema(schema)) return
  throw wrong('schema', 'is no schema', 'Give one of zod 4, valibot, arktype or another library with Standard Schema.')
}

function checkFunction(name: string, value: unknown): void {
  if (value !== undefined && typeof value !== 'function') throw wrong(name, 'is not a function', 'It takes the payload.')
}

function wrong(field: string, what: string, remedy: string): OutboxError {
  return new OutboxError('INVALID_OPTION', `${field} ${what}.`, { field, remedy })
}
