import { SetMetadata } from '@nestjs/common'
import type { DiscoveryService, MetadataScanner, Reflector } from '@nestjs/core'
import { OutboxError } from '../message/errors.ts'

/** Where {@link OnOutboxEvent} leaves its word on a method; the same in every copy of the package. */
const handles = 'prisma-extension-outbox:handles'

/** Settings of {@link OnOutboxEvent}. */
export interface OnOutboxEventOptions {
  /** Consumer of this handler: its own group in Kafka, and its own rows in the inbox. Default: `inbox.consumer` of the module. */
  consumer?: string | undefined
}

/** What the decorator notes. */
interface Handled extends OnOutboxEventOptions {
  type: string
}

/**
 * The method handles this event of the catalog, once for each message, in a transaction: `(event, tx) => …`. The row of the inbox commits with
 * what the method does by `tx`. Guards, pipes, interceptors and filters of Nest do not run.
 *
 * @param type name of the event in the catalog. The compiler refuses it if `event` is declared as another one.
 * @example
 * ```ts
 * @OnOutboxEvent('order.placed')
 * async confirm(event: ReceivedEvent<Events, 'order.placed'>, tx: TransactionOf<Prisma>) {
 *   await tx.confirmation.create({ data: { orderId: event.payload.id } })
 * }
 * ```
 */
export function OnOutboxEvent<const T extends string>(type: T, { consumer }: OnOutboxEventOptions = {}) {
  return <E extends { type: NoInfer<T> }>(
    target: object,
    method: string | symbol,
    // Not TypedPropertyDescriptor, which is invariant.
    descriptor: { value?: (event: E, tx: never) => unknown },
  ): void => void SetMetadata<string, Handled>(handles, { type, consumer })(target, method, descriptor)
}

/** Handlers of a consumer, by the names of their events. */
export type HandlersByEvent = Record<string, (event: unknown, tx: unknown) => unknown>

/** What is asked for the providers and controllers of an application. */
export interface Discovery {
  discovery: DiscoveryService
  scanner: MetadataScanner
  reflector: Reflector
}

/** The decorated methods of an application by consumer. Throws INVALID_OPTION for one that cannot be called, or that is not the only one. */
export function discoverHandlers({ discovery, scanner, reflector }: Discovery, consumer: string): Map<string, HandlersByEvent> {
  const found = new Map<string, HandlersByEvent>()
  const seen = new Set<object>()
  for (const wrapper of [...discovery.getProviders(), ...discovery.getControllers()]) {
    const instance = wrapper.instance as Record<string, (...args: unknown[]) => unknown> | null | undefined
    // An alias is the same instance under another name.
    if (typeof instance !== 'object' || instance === null || seen.has(instance)) continue
    seen.add(instance)
    const prototype = Object.getPrototypeOf(instance)
    for (const name of scanner.getAllMethodNames(prototype)) {
      const handled = reflector.get<Handled | undefined>(handles, prototype[name])
      if (!handled) continue
      if (!wrapper.isDependencyTreeStatic())
        throw refused(handled.type, 'is in a provider of the scope of a request', 'Give its provider the default scope.')
      const handlers = found.get(handled.consumer ?? consumer) ?? {}
      found.set(handled.consumer ?? consumer, handlers)
      if (Object.hasOwn(handlers, handled.type))
        throw refused(
          handled.type,
          'is not the only one of its consumer',
          'Give one of them another consumer: @OnOutboxEvent(type, { consumer }).',
        )
      handlers[handled.type] = (event, tx) => instance[name]!(event, tx)
    }
  }
  return found
}

const refused = (type: string, what: string, remedy: string): OutboxError =>
  new OutboxError('INVALID_OPTION', `A handler of the event ${type} ${what}.`, { field: `handlers.${type}`, remedy })
