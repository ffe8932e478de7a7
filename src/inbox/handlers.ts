import type { TransactionOf as TransactionOf8 } from '../enqueue/prisma8-types.ts'
import type { TransactionOf as TransactionOf7 } from '../enqueue/types.ts'
import type { AnyEvent, Catalog, EventMap, ReadPayloadOf } from '../events/catalog.ts'
import { wrongOption } from './failure.ts'
import type { InboxRecord } from './record.ts'

/** A message of the catalog, as a handler gets it. */
export interface ReceivedEvent<E extends EventMap = EventMap, T extends keyof E = keyof E> {
  /** Id of the message, the same in every copy: the idempotency key for effects outside of the database. */
  id: string
  /** Name in the catalog. */
  type: T
  /** As the newest schema gives it, whatever version it was written under. */
  payload: ReadPayloadOf<E[T]>
  /** Number of the version under which it was written. */
  version: number
  topic: string
  partition: number
  offset: string
  /** Kafka key, byte for byte. */
  key: Uint8Array | null
  headers: Record<string, string>
  /** When it was enqueued, by the clock of the producer's database; undefined without the header `created-at`. */
  createdAt: Date | undefined
}

/** What a handler gets as its transaction: that of the client, with all its extensions, whatever its version of Prisma. */
export type TransactionOf<Client> = Client extends { $transaction: unknown } ? TransactionOf7<Client> : TransactionOf8<Client>

/** What is done with the events of a catalog, by their names; those that are not named are skipped. With `Batch`, several at once. */
export type Handlers<E extends EventMap, Tx, Batch> = {
  // Asks for undefined: without `strictNullChecks` undefined extends number.
  [T in keyof E]?: [Batch] extends [undefined]
    ? (event: ReceivedEvent<E, T>, tx: Tx) => unknown
    : (events: readonly ReceivedEvent<E, T>[], tx: Tx) => unknown
}

/** The event of a record that has a handler; undefined also for a type of the same name in a topic of somebody else's. */
export function handledEvent(
  { type, topic }: Pick<InboxRecord, 'type' | 'topic'>,
  { events, handlers }: { events: Catalog; handlers: object },
): AnyEvent | undefined {
  const event = type !== null && Object.hasOwn(handlers, type) ? events.find(type) : undefined
  return event?.topic === topic ? event : undefined
}

/** Topics of the events that have a handler, each once. */
export const topicsOf = (handlers: object, events: Catalog): string[] =>
  [...new Set(Object.keys(handlers).map((type) => events.find(type)!.topic))].sort()

/** Throws INVALID_OPTION where there is no handler, or one that is no function, or one of an event that the catalog lacks. */
export function checkHandlers(handlers: object | undefined, events: Catalog): void {
  const given = Object.entries(handlers ?? {})
  const [wrong] = given.find(([type, handler]) => !events.find(type) || typeof handler !== 'function') ?? []
  if (given.length > 0 && wrong === undefined) return
  throw wrongOption(wrong === undefined ? 'handlers' : `handlers.${wrong}`, 'a function for an event of the catalog')
}
