/** Name and fields of one event of a list, whichever it is. The name tells the type of the fields. */
export type NamedEvent<Events> = { [E in keyof Events]: [name: E, event: Events[E]] }[keyof Events]

/** Gets the name and the fields of every event. */
export type Listener<Events> = (...event: NamedEvent<Events>) => unknown

/** Events of a relay, an inbox or a projection can be listened to. */
export interface Listenable<Events> {
  /**
   * Calls `handler` with each event of that name, in the order of the events. Register before `start` or `run`: earlier events are not
   * repeated. Errors and rejections of a handler are ignored; they reach neither the emitter nor other handlers.
   *
   * @returns a function that removes the handler.
   * @example
   * ```ts
   * const off = relay.on('dead_lettered', (event) => alarm(event.topic, event.messageId))
   * ```
   */
  on<E extends keyof Events>(name: E, handler: (event: Events[E]) => unknown): () => void
  /**
   * Calls `handler` with the name and the fields of every event.
   *
   * @example
   * ```ts
   * relay.on('*', (name, event) => console.log(name, event))
   * ```
   */
  on(name: '*', handler: Listener<Events>): () => void
  on(name: '*', handler: (name: keyof Events) => unknown): () => void
}

/** Marks handlers of metrics, traces and pages; the same in every copy of the package. */
const watches = Symbol.for('prisma-extension-outbox.watches')

/** The same events for handlers that count or draw: an event that only they get still goes to the console. */
export function watching<Events>(source: Listenable<Events>): Listenable<Events> {
  return {
    on: (name: never, handler: (...args: never[]) => unknown) =>
      source.on(name, Object.assign((...args: never[]) => handler(...args), { [watches]: true }) as never),
  }
}

/** Hands events to the handlers that are registered for them. */
export class Emitter<Events> implements Listenable<Events> {
  readonly #handlers = new Map<keyof Events | '*', Set<(...args: never[]) => unknown>>()
  readonly #unheard: Listener<Events> | undefined

  /** `unheard` gets the events that no handler has, those of {@link watching} aside. */
  constructor(unheard?: Listener<Events>) {
    this.#unheard = unheard
  }

  on<E extends keyof Events>(name: E, handler: (event: Events[E]) => unknown): () => void
  on(name: '*', handler: Listener<Events>): () => void
  on(name: '*', handler: (name: keyof Events) => unknown): () => void
  on(name: keyof Events | '*', handler: (...args: never[]) => unknown): () => void {
    const handlers = this.#handlers.get(name) ?? new Set()
    this.#handlers.set(name, handlers.add(handler))
    return () => void handlers.delete(handler)
  }

  emit<E extends keyof Events>(name: E, event: Events[E]): void {
    let heard = false
    const call = (handler: (...args: never[]) => unknown, ...args: unknown[]) => {
      heard ||= !(watches in handler)
      ignoringErrors(() => handler(...(args as never[])))
    }
    for (const handler of this.#handlers.get(name) ?? []) call(handler, event)
    for (const handler of this.#handlers.get('*') ?? []) call(handler, name, event)
    if (!heard && this.#unheard) call(this.#unheard as (...args: never[]) => unknown, name, event)
  }
}

/** A full disk under the log must not stop the messages, and a rejection that nobody handles would end the process. */
function ignoringErrors(call: () => unknown): void {
  try {
    const result = call()
    if (typeof result === 'object') Promise.resolve(result).catch(() => {})
  } catch {}
}
